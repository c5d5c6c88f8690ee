/** stdout and stderr of the client. */
import { write, writeSync } from 'node:fs';
import { isTerminal } from '../node-bindings.ts';
import { terminalSize } from './terminal-size.ts';

export interface Output {
  readonly isTerminal: boolean;
  /** Width of the terminal, 80 where it is not one. */
  readonly columns: number;
  /** Writes at once. */
  write(data: string | Uint8Array): void;
  /** Queues bytes of a stream; false when the reader is behind and `drained` should be awaited. */
  push(data: Uint8Array): boolean;
  /** Resolves when everything that was pushed is written. */
  drained(): Promise<void>;
}

/** Pushed bytes that may wait before `push` answers false. */
const QUEUED_BYTES = 1024 * 1024;

/**
 * Writes to a descriptor with write(2) itself: process.stdout would make a shared pipe non-blocking for every process
 * that has it, and costs a millisecond to make. Pushed data is written by the thread pool, so signals are handled while
 * a slow reader keeps a pipe full. Throws what write(2) throws (EPIPE ends the client quietly, see main).
 */
export function createOutput(descriptor: 1 | 2): Output {
  const toTerminal = isTerminal(descriptor);
  let queue: Uint8Array[] = [];
  let queuedBytes = 0;
  let writing = false;
  let waiting: (() => void)[] = [];
  let failure: unknown;

  const settle = (): void => {
    const ready = waiting;
    waiting = [];
    for (const wake of ready) wake();
  };
  const pump = (): void => {
    const data = queue.length === 1 ? queue[0] : Buffer.concat(queue);
    queue = [];
    if (data === undefined || data.length === 0) {
      writing = false;
      settle();
      return;
    }
    writing = true;
    writeFully(descriptor, data, (error) => {
      queuedBytes -= data.length;
      if (error !== null) {
        failure = error;
        queue = [];
        writing = false;
        settle();
        return;
      }
      pump();
    });
  };

  return {
    isTerminal: toTerminal,
    get columns() {
      return terminalSize(descriptor)?.columns ?? 80;
    },
    write(data) {
      writeAllSync(descriptor, typeof data === 'string' ? Buffer.from(data) : data);
    },
    push(data) {
      if (failure !== undefined) throw failure;
      queue.push(data);
      queuedBytes += data.length;
      if (!writing) pump();
      return queuedBytes < QUEUED_BYTES;
    },
    async drained() {
      if (writing) await new Promise<void>((resolve) => waiting.push(resolve));
      if (failure !== undefined) throw failure;
    },
  };
}

function writeFully(descriptor: number, data: Uint8Array, done: (error: Error | null) => void): void {
  write(descriptor, data, (error, written) => {
    if (error !== null && error.code === 'EAGAIN') {
      // Another process made the pipe non-blocking, and it is full; poll(2) is not at hand.
      setTimeout(() => writeFully(descriptor, data, done), RETRY_MS);
      return;
    }
    if (error !== null) done(error);
    else if (written < data.length) writeFully(descriptor, data.subarray(written), done);
    else done(null);
  });
}

function writeAllSync(descriptor: number, data: Uint8Array): void {
  let rest = data;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(RETRY_CELL, 0, 0, RETRY_MS);
    }
  }
}

/** A non-blocking pipe that is full is tried again after this; only where another process made it non-blocking. */
const RETRY_MS = 2;
const RETRY_CELL = new Int32Array(new SharedArrayBuffer(4));
