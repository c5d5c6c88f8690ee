/** Writes little-endian fields one after the other into a growing buffer: the launcher's wire format (PROTOCOL.md). */
export class WireWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#length = this.#room(1).writeUInt8(value, this.#length);
    return this;
  }

  u16(value: number): this {
    this.#length = this.#room(2).writeUInt16LE(value, this.#length);
    return this;
  }

  u32(value: number): this {
    this.#length = this.#room(4).writeUInt32LE(value, this.#length);
    return this;
  }

  i32(value: number): this {
    this.#length = this.#room(4).writeInt32LE(value, this.#length);
    return this;
  }

  u64(value: bigint): this {
    this.#length = this.#room(8).writeBigUInt64LE(value, this.#length);
    return this;
  }

  /** As they are, without a length. */
  raw(value: Uint8Array): this {
    this.#room(value.length).set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** A u32 length and the bytes. */
  bytes(value: Uint8Array): this {
    return this.u32(value.length).raw(value);
  }

  /** Overwrites a u32 written before (a length that is known only now). */
  patchU32(offset: number, value: number): this {
    this.#buffer.writeUInt32LE(value, offset);
    return this;
  }

  /** What was written; not a copy. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(byteCount: number): Buffer {
    if (this.#length + byteCount > this.#buffer.length) {
      const bigger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + byteCount));
      this.#buffer.copy(bigger, 0, 0, this.#length);
      this.#buffer = bigger;
    }
    return this.#buffer;
  }
}
