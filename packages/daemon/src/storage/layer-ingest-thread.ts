/** The daemon's side of the ingest thread: passes a stream on to it through shared memory. */
import { totalmem } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, TsdError } from '@tsd/shared/errors';
import type { IngestRequest, StoredLayer } from './layer-ingest.ts';

export type IngestCommand =
  | { readonly kind: 'begin'; readonly request: IngestRequest }
  | { readonly kind: 'piece'; readonly memory: SharedArrayBuffer; readonly offset: number; readonly length: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'abort' };

export type IngestAnswer =
  /** The slot at this offset may be filled again. */
  | { readonly kind: 'free'; readonly offset: number }
  | { readonly kind: 'done'; readonly layer: StoredLayer }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string; readonly stack: string };

const SLOT_BYTES = 256 * 1024;
const SLOTS = 4;
/** Two million files take about half of it; on small hosts half of the memory is the bound. */
const MAX_HEAP_MB = 3072;
/** Buffers that have passed through are found soon. */
const YOUNG_HEAP_MB = 4;

/** A running thread that takes one layer at a time. */
export class LayerIngestThread {
  private readonly worker: Worker;
  private readonly memory = new SharedArrayBuffer(SLOT_BYTES * SLOTS);
  private readonly memory8 = new Uint8Array(this.memory);
  /** Offsets; the last one is being filled. */
  private readonly freeSlots: number[] = Array.from({ length: SLOTS }, (_, i) => i * SLOT_BYTES);
  private filled = 0;
  private wake: (() => void) | null = null;
  private outcome: { layer: StoredLayer } | { error: unknown } | null = null;
  /** Set when the thread itself has died: it is of no more use. */
  broken = false;

  constructor() {
    // Beside this file, with the same ending: sources in development, built files in an installation.
    this.worker = new Worker(new URL(`./layer-ingest-worker${extname(import.meta.url)}`, import.meta.url), {
      resourceLimits: {
        maxOldGenerationSizeMb: Math.min(MAX_HEAP_MB, Math.floor(totalmem() / 2 ** 21)),
        maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
      },
    });
    this.worker.unref();
    this.worker.on('message', (message: IngestAnswer) => this.receive(message));
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', () => this.fail(new Error('the ingest thread ended')));
  }

  /**
   * As `ingestLayer`, for any source; `first` are pieces that were taken from it before. After an error the thread is
   * `broken`: it may still give slots back that belong to this layer.
   */
  async ingest(
    first: Iterable<Uint8Array>,
    rest: AsyncIterable<Uint8Array>,
    request: IngestRequest,
  ): Promise<StoredLayer> {
    this.outcome = null;
    this.send({ kind: 'begin', request });
    try {
      for (const piece of first) await this.pass(piece);
      for await (const piece of rest) {
        await this.pass(piece);
        if (this.outcome !== null) break;
      }
    } catch (error) {
      this.broken = true;
      this.send({ kind: 'abort' });
      await this.finished();
      throw error;
    }
    this.flush();
    this.send({ kind: 'end' });
    const outcome = await this.finished();
    if ('layer' in outcome) return outcome.layer;
    this.broken = true;
    throw outcome.error;
  }

  /** Copies a piece into slots and sends those that are full. */
  private async pass(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      while (this.freeSlots.length === 0 && this.outcome === null) await this.next();
      const slot = this.freeSlots.at(-1);
      if (slot === undefined || this.outcome !== null) return;
      const bytes = Math.min(piece.length - at, SLOT_BYTES - this.filled);
      this.memory8.set(piece.subarray(at, at + bytes), slot + this.filled);
      at += bytes;
      this.filled += bytes;
      if (this.filled === SLOT_BYTES) this.flush();
    }
  }

  /** Sends what is in the slot at hand. */
  private flush(): void {
    if (this.filled === 0) return;
    this.send({ kind: 'piece', memory: this.memory, offset: this.freeSlots.pop() as number, length: this.filled });
    this.filled = 0;
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.broken = true;
    await this.worker.terminate();
  }

  private send(command: IngestCommand): void {
    this.worker.postMessage(command);
  }

  private receive(message: IngestAnswer): void {
    if (message.kind === 'free') this.freeSlots.unshift(message.offset);
    else if (message.kind === 'done') this.outcome = { layer: message.layer };
    else this.outcome = { error: thrown(message) };
    this.wake?.();
  }

  private fail(error: Error & { code?: unknown }): void {
    this.broken = true;
    const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    const told = outOfMemory
      ? new TsdError('bad_parameter', 'the layer has more files than fit in memory', { cause: error })
      : error;
    this.outcome ??= { error: told };
    this.wake?.();
  }

  private async finished(): Promise<{ layer: StoredLayer } | { error: unknown }> {
    while (this.outcome === null) await this.next();
    return this.outcome;
  }

  private next(): Promise<void> {
    this.worker.ref();
    return new Promise((resolve) => {
      this.wake = () => {
        this.worker.unref();
        this.wake = null;
        resolve();
      };
    });
  }
}

function thrown({ code, message, stack }: Extract<IngestAnswer, { kind: 'failed' }>): Error {
  const error = code === null ? new Error(message) : new TsdError(code, message);
  error.stack = stack;
  return error;
}
