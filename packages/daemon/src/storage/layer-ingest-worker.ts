/**
 * The thread that ingests layers, so that hashing and parsing do not hold up the daemon's event loop. Pieces arrive in
 * slots of shared memory; a slot is given back when its piece is no longer used. One layer at a time.
 */
import { parentPort } from 'node:worker_threads';
import { TsdError } from '@tsd/shared/errors';
import { setThreadNiceness } from '../os/thread-priority.ts';
import { ingestLayer } from './layer-ingest.ts';
import type { IngestAnswer, IngestCommand } from './layer-ingest-thread.ts';

if (parentPort === null) throw new Error('layer-ingest-worker runs as a worker thread only');
const port = parentPort;
/** The event loop comes first, on however few processors. */
const NICENESS = 5;
setThreadNiceness(NICENESS);

/** Commands of the layer at hand, as a stream of pieces. */
class Pieces implements AsyncIterable<Buffer> {
  private readonly queue: IngestCommand[] = [];
  private wake: (() => void) | null = null;

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
        answer({ kind: 'free', offset: command.offset });
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

let pieces: Pieces | null = null;

port.on('message', (command: IngestCommand) => {
  if (command.kind !== 'begin') {
    pieces?.push(command);
    return;
  }
  pieces = new Pieces();
  ingestLayer(pieces, command.request).then(
    (layer) => answer({ kind: 'done', layer }),
    (error: unknown) => answer(failure(error)),
  );
});

function failure(error: unknown): IngestAnswer {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { kind: 'failed', code: error instanceof TsdError ? error.code : null, message, stack: stack ?? message };
}
