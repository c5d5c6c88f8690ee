import type { Connection } from './connection.ts';

/** The body may run ahead of its reader by this much before the connection is paused. */
const BUFFERED_BODY_BYTES = 1024 * 1024;

/** The body of one response between the connection and its reader; pauses the connection while the reader is behind. */
export class BodyQueue {
  readonly #connection: Connection;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #ended = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#bufferedBytes > BUFFERED_BODY_BYTES) this.#connection.pause();
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#error = error;
    this.#wake?.();
  }

  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const ready = this.#chunks;
      if (ready.length > 0) {
        this.#chunks = [];
        this.#bufferedBytes = 0;
        if (this.#connection.paused && !this.#ended) this.#connection.resume();
        yield* ready;
        continue;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
