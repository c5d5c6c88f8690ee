/** A stream of chunks read by amounts: looking ahead, taking, passing on. Chunks are passed on as views, never copied. */
import { TsdError } from '@tsd/shared/errors';

const EMPTY: Buffer = Buffer.alloc(0);

export class ByteStream {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #maxBytes: number;
  #pending: Buffer = EMPTY;
  #readBytes = 0;
  #ended = false;
  #failure: unknown;

  /** @param maxBytes a longer stream fails with `bad_parameter`. */
  constructor(source: AsyncIterable<Uint8Array>, maxBytes: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
  }

  /** What has come from the source so far. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** The next `length` bytes without consuming them; fewer only where the stream ends. */
  async peek(length: number): Promise<Buffer> {
    while (this.#pending.length < length) {
      const chunk = await this.#read();
      if (chunk === null) break;
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    }
    return this.#pending.subarray(0, length);
  }

  /**
   * Consumes `length` bytes into one buffer.
   * @throws TsdError `bad_parameter` where the stream ends before.
   */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.chunks(length)) parts.push(part);
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, length);
  }

  /**
   * Consumes up to `length` bytes as they arrive. What a consumer that stops early leaves stays in the stream; `onBytes`
   * is told of every part handed out.
   * @throws TsdError `bad_parameter` where the stream ends before.
   */
  async *chunks(length: number, onBytes?: (bytes: number) => void): AsyncGenerator<Buffer, void, void> {
    let rest = length;
    while (rest > 0) {
      const chunk = this.#pending.length > 0 ? this.#pending : await this.#read();
      if (chunk === null) throw new TsdError('bad_parameter', `the archive is truncated: ${rest} bytes are missing`);
      const part = chunk.length > rest ? chunk.subarray(0, rest) : chunk;
      this.#pending = chunk.subarray(part.length);
      rest -= part.length;
      onBytes?.(part.length);
      yield part;
    }
  }

  /** Consumes everything that is left, as it arrives. */
  async *rest(): AsyncGenerator<Buffer, void, void> {
    for (;;) {
      const chunk = this.#pending.length > 0 ? this.#pending : await this.#read();
      if (chunk === null) return;
      this.#pending = EMPTY;
      yield chunk;
    }
  }

  /** Makes whoever still reads fail with `error`. */
  abandon(error: unknown): void {
    this.#failure ??= error;
  }

  /** Tells the source that no more is wanted. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#source.return?.();
  }

  async #read(): Promise<Buffer | null> {
    // Whoever reads on after a failure must see it again, not an end that was none.
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) return null;
    try {
      for (;;) {
        const { value, done } = await this.#source.next();
        if (done === true) {
          this.#ended = true;
          return null;
        }
        if (value.length === 0) continue;
        this.#readBytes += value.length;
        if (this.#readBytes > this.#maxBytes) {
          throw new TsdError('bad_parameter', `the archive is larger than ${this.#maxBytes} bytes`);
        }
        return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}
