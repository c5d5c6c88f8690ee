import type { Socket } from 'node:net';

/** The body may run ahead of its reader by this much before the socket is paused. */
const BUFFERED_BODY_BYTES = 1024 * 1024;

/** The body of one response between the socket and its reader; pauses the socket while the reader is behind. */
export class BodyQueue {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #ended = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#bufferedBytes > BUFFERED_BODY_BYTES) this.#socket.pause();
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
        if (this.#socket.isPaused() && !this.#ended) this.#socket.resume();
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
