/** Archives and comparisons of containers' root file systems, made by worker threads from the layers and the upper directory. */
import { closeSync, constants, openSync } from 'node:fs';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { TsdError } from '@tsd/shared/errors';
import { O_PATH } from '../../os/openat2.ts';
import type { LayerMounts } from '../layer-mounts.ts';
import { createByteSlots, SlotReader } from './byte-slots.ts';
import type { IdRange } from './container-ids.ts';
import type { RootTreeAnswer, RootTreeJob, RootTreeJobKind } from './root-tree-job.ts';

/** Each thread takes some 15 MB; whoever comes later waits. */
const MAX_THREADS = 16;
/** Names of the directories on the way, and of files with several names. */
const MAX_HEAP_MB = 2048;

export interface RootTree {
  /** The container's upper directory; it may not be there yet. */
  readonly upperPath: string;
  /** The image's layers, the lowest first. */
  readonly diffIds: readonly string[];
  /** Null for a container without a user namespace. */
  readonly idRange: IdRange | null;
}

export interface RootTrees {
  /**
   * Streams what `kind` says, see RootTreeJobKind. A piece is valid until the next one is asked for. The work begins with
   * the first one and ends, at the latest, when the iteration does. The container may run meanwhile.
   * @throws TsdError bad_parameter: larger or deeper than what can be archived; not_found: a layer is missing
   */
  stream(tree: RootTree, kind: RootTreeJobKind): AsyncGenerator<Buffer, void, void>;
}

export function createRootTrees({ layerMounts }: { readonly layerMounts: Pick<LayerMounts, 'acquire'> }): RootTrees {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async *stream({ upperPath, diffIds, idRange }, kind) {
      while (running >= MAX_THREADS) await new Promise<void>((resolve) => waiting.push(resolve));
      running++;
      try {
        const lease = layerMounts.acquire(diffIds);
        let upper: number | null = null;
        try {
          upper = openUpper(upperPath);
          yield* runInThread({
            kind,
            upper,
            layers: lease.descriptors.toReversed(),
            idRange,
            slots: createByteSlots(),
          });
        } finally {
          if (upper !== null) closeSync(upper);
          lease.release();
        }
      } finally {
        running--;
        waiting.shift()?.();
      }
    },
  };
}

/** Yields the thread's pieces. It has ended, and with it all that it opened, when this has. */
async function* runInThread(job: RootTreeJob): AsyncGenerator<Buffer, void, void> {
  // Beside this file, with the same ending: sources in development, built files in an installation.
  const worker = new Worker(new URL(`./root-tree-worker${extname(import.meta.url)}`, import.meta.url), {
    workerData: job,
    // Most descriptors are opened by openat2, which Node.js does not know of: the walk closes all of them itself.
    trackUnmanagedFds: false,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const reader = new SlotReader(job.slots);
  const answers: RootTreeAnswer[] = [];
  let wake: (() => void) | null = null;
  const push = (answer: RootTreeAnswer): void => {
    answers.push(answer);
    wake?.();
  };
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      push(failed(new Error('the thread that reads the container ended')));
      resolve();
    });
  });
  worker.on('message', push);
  worker.on('error', (error: Error) => push(failed(error)));
  try {
    for (;;) {
      const answer = answers.shift();
      if (answer === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (answer.kind === 'piece') {
        yield reader.piece(answer.slot, answer.length);
        reader.giveBack(answer.slot);
      } else if (answer.kind === 'done') {
        return;
      } else {
        throw thrown(answer);
      }
    }
  } finally {
    reader.cancel();
    await ended;
  }
}

function failed(error: Error & { code?: unknown }): RootTreeAnswer {
  const { message, stack = message } = error;
  if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return { kind: 'failed', code: null, message, stack };
  return { kind: 'failed', code: 'bad_parameter', message: 'the container has more files than fit in memory', stack };
}

function thrown({ code, message, stack }: Extract<RootTreeAnswer, { kind: 'failed' }>): Error {
  const error = code === null ? new Error(message) : new TsdError(code, message);
  error.stack = stack;
  return error;
}

function openUpper(path: string): number | null {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
