const LENGTH_BYTES = 4;
/** UTF-8 of what is one unit of UTF-16. */
const MAX_BYTES_PER_UNIT = 3;

/** Writes little-endian fields one after the other into a growing buffer: the launcher's wire format (PROTOCOL.md). */
export class WireWriter {
  #buffer: Buffer;
  #length = 0;

  /** @param firstBytes how much is expected; it grows from there */
  constructor(firstBytes = 1024) {
    this.#buffer = Buffer.allocUnsafe(firstBytes);
  }

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

  /** A u32 length and the text in UTF-8. */
  string(value: string): this {
    const start = this.#length + LENGTH_BYTES;
    const length = this.#room(LENGTH_BYTES + value.length * MAX_BYTES_PER_UNIT).write(value, start);
    this.u32(length);
    this.#length += length;
    return this;
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
