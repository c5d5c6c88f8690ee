/** The daemon's side of an ingest thread: passes streams on to it through shared memory, several at a time. */
import { totalmem } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, TsdError } from '@tsd/shared/errors';
import { collectYoungGarbage } from '../os/release-memory.ts';
import { TOO_MANY_FILES } from './heap-guard.ts';
import type { IngestRequest, StoredLayer } from './layer-ingest.ts';

/** All but the first are about a layer that the thread has at hand; `id` says which. */
export type IngestCommand = { readonly id: number } & (
  | { readonly kind: 'begin'; readonly request: IngestRequest }
  | { readonly kind: 'piece'; readonly memory: SharedArrayBuffer; readonly offset: number; readonly length: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'abort' }
);

export type IngestAnswer = { readonly id: number } /** The slot at this offset may be filled again. */ & (
  | { readonly kind: 'free'; readonly offset: number }
  | { readonly kind: 'done'; readonly layer: StoredLayer }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string; readonly stack: string }
);

type Outcome = { readonly layer: StoredLayer } | { readonly error: unknown };

const SLOT_BYTES = 256 * 1024;
/**
 * What sockets are read into is garbage as soon as it has been passed on, but V8, which sees a few small objects, lets it lie
 * until it is time to collect everything: ten times for a hundred megabytes. So the young are collected after this much.
 */
const GARBAGE_BYTES = 2 * 1024 * 1024;
const SLOTS = 4;
/** Two million files take about half of it; on small hosts half of the memory is the bound. */
const MAX_HEAP_MB = 3072;
/** Buffers that have passed through are found soon. */
const YOUNG_HEAP_MB = 4;

/** A running thread. A layer whose source has nothing to give costs it nothing but memory: others go on meanwhile. */
export class LayerIngestThread {
  private readonly worker: Worker;
  private readonly layers = new Map<number, LayerOnItsWay>();
  /** Of layers that are done, to be used again. */
  private readonly spareMemory: SharedArrayBuffer[] = [];
  private lastId = 0;
  private garbageBytes = 0;
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
    this.worker.on('message', (message: IngestAnswer) => this.layers.get(message.id)?.receive(message));
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', () => this.fail(new Error('the ingest thread ended')));
  }

  /** How many layers it has at hand. */
  get load(): number {
    return this.layers.size;
  }

  /** As `ingestLayer`, for any source; `first` are pieces that were taken from it before. */
  async ingest(
    first: Iterable<Uint8Array>,
    rest: AsyncIterable<Uint8Array>,
    request: IngestRequest,
  ): Promise<StoredLayer> {
    this.lastId += 1;
    const id = this.lastId;
    const memory = this.spareMemory.pop() ?? new SharedArrayBuffer(SLOT_BYTES * SLOTS);
    const layer = new LayerOnItsWay(id, memory, (command) => {
      this.worker.postMessage(command);
      if (command.kind === 'piece') this.collectGarbage(command.length);
    });
    if (this.layers.size === 0) this.worker.ref();
    this.layers.set(id, layer);
    try {
      return await layer.ingest(first, rest, request);
    } finally {
      this.layers.delete(id);
      this.spareMemory.push(memory);
      if (this.layers.size === 0) this.worker.unref();
    }
  }

  private collectGarbage(passedBytes: number): void {
    this.garbageBytes += passedBytes;
    if (this.garbageBytes < GARBAGE_BYTES) return;
    this.garbageBytes = 0;
    collectYoungGarbage();
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.broken = true;
    await this.worker.terminate();
  }

  private fail(error: Error & { code?: unknown }): void {
    this.broken = true;
    const outOfMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    const told = outOfMemory ? new TsdError('bad_parameter', TOO_MANY_FILES, { cause: error }) : error;
    for (const layer of this.layers.values()) layer.fail(told);
  }
}

/** One layer on its way to the thread. */
class LayerOnItsWay {
  private readonly id: number;
  private readonly memory: SharedArrayBuffer;
  private readonly memoryBytes: Buffer;
  private readonly post: (command: IngestCommand) => void;
  /** Offsets; the last one is being filled. */
  private readonly freeSlots: number[] = Array.from({ length: SLOTS }, (_, i) => i * SLOT_BYTES);
  private filled = 0;
  private wake: (() => void) | null = null;
  private outcome: Outcome | null = null;

  constructor(id: number, memory: SharedArrayBuffer, post: (command: IngestCommand) => void) {
    this.id = id;
    this.memory = memory;
    this.memoryBytes = Buffer.from(memory);
    this.post = post;
  }

  async ingest(
    first: Iterable<Uint8Array>,
    rest: AsyncIterable<Uint8Array>,
    request: IngestRequest,
  ): Promise<StoredLayer> {
    const { id } = this;
    this.post({ id, kind: 'begin', request });
    try {
      for (const piece of first) await this.pass(piece);
      for await (const piece of rest) {
        await this.pass(piece);
        if (this.outcome !== null) break;
      }
    } catch (error) {
      this.post({ id, kind: 'abort' });
      await this.finished();
      throw error;
    }
    this.flush();
    this.post({ id, kind: 'end' });
    const outcome = await this.finished();
    if ('layer' in outcome) return outcome.layer;
    throw outcome.error;
  }

  receive(message: IngestAnswer): void {
    if (message.kind === 'free') this.freeSlots.unshift(message.offset);
    else if (message.kind === 'done') this.outcome = { layer: message.layer };
    else this.outcome = { error: thrown(message) };
    this.wake?.();
  }

  fail(error: unknown): void {
    this.outcome ??= { error };
    this.wake?.();
  }

  /** Copies a piece into slots and sends those that are full. */
  private async pass(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      while (this.freeSlots.length === 0 && this.outcome === null) await this.next();
      const slot = this.freeSlots.at(-1);
      if (slot === undefined || this.outcome !== null) return;
      const bytes = Math.min(piece.length - at, SLOT_BYTES - this.filled);
      // Not set(), which copies to shared memory word by word.
      Buffer.prototype.copy.call(piece, this.memoryBytes, slot + this.filled, at, at + bytes);
      at += bytes;
      this.filled += bytes;
      if (this.filled === SLOT_BYTES) this.flush();
    }
  }

  /** Sends what is in the slot at hand. */
  private flush(): void {
    if (this.filled === 0) return;
    const offset = this.freeSlots.pop() as number;
    this.post({ id: this.id, kind: 'piece', memory: this.memory, offset, length: this.filled });
    this.filled = 0;
  }

  private async finished(): Promise<Outcome> {
    while (this.outcome === null) await this.next();
    return this.outcome;
  }

  private next(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = () => {
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
