/**
 * The thread that ingests layers, so that hashing and parsing do not hold up the daemon's event loop. Pieces arrive in
 * slots of shared memory; a slot is given back when its piece is no longer used. Layers take turns, piece by piece.
 */
import { parentPort } from 'node:worker_threads';
import { TsdError } from '@tsd/shared/errors';
import { setThreadNiceness } from '../os/thread-priority.ts';
import { HeapGuard } from './heap-guard.ts';
import { ingestLayer } from './layer-ingest.ts';
import type { IngestAnswer, IngestCommand } from './layer-ingest-thread.ts';

if (parentPort === null) throw new Error('layer-ingest-worker runs as a worker thread only');
const port = parentPort;
/** The event loop comes first, on however few processors. */
const NICENESS = 5;
setThreadNiceness(NICENESS);

/** Commands of one layer, as a stream of pieces. */
class Pieces implements AsyncIterable<Buffer> {
  private readonly id: number;
  private readonly queue: IngestCommand[] = [];
  private wake: (() => void) | null = null;

  constructor(id: number) {
    this.id = id;
  }

  push(command: IngestCommand): void {
    this.queue.push(command);
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const command = this.queue.shift();
      if (command === undefined) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      } else if (command.kind === 'piece') {
        yield Buffer.from(command.memory, command.offset, command.length);
        answer({ id: this.id, kind: 'free', offset: command.offset });
      } else if (command.kind === 'end') {
        return;
      } else {
        throw new Error('the source of the layer failed');
      }
    }
  }
}

function answer(message: IngestAnswer): void {
  port.postMessage(message);
}

const layers = new Map<number, Pieces>();
const heap = new HeapGuard();

port.on('message', (command: IngestCommand) => {
  const { id } = command;
  if (command.kind !== 'begin') {
    // One that has failed meanwhile is no longer there.
    layers.get(id)?.push(command);
    return;
  }
  const pieces = new Pieces(id);
  layers.set(id, pieces);
  const heapShare = heap.join();
  ingestLayer(pieces, command.request, heapShare)
    .finally(() => {
      heapShare.leave();
      layers.delete(id);
    })
    .then(
      (layer) => answer({ id, kind: 'done', layer }),
      (error: unknown) => answer(failure(id, error)),
    );
});

function failure(id: number, error: unknown): IngestAnswer {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { id, kind: 'failed', code: error instanceof TsdError ? error.code : null, message, stack: stack ?? message };
}
