/** `tsdctl system check`: every blob, layer and row against its digest and reference; with `repair`, mends. */
import { availableParallelism } from 'node:os';
import { quietCollections } from '../os/release-memory.ts';
import { type CheckThread, startCheckThread } from '../storage/check-thread.ts';
import { type CheckContentsDeps, checkBlob, checkLayer } from './check-contents.ts';
import { checkRows } from './check-rows.ts';
import { CheckRun, type CheckRunOptions, mended, unmended } from './check-run.ts';
import type { LayerRecord } from './layer-records.ts';

export type CheckSystemDeps = CheckContentsDeps;

/** One core is left to the daemon and to what else runs. */
const MAX_THREADS = Math.max(1, Math.min(4, availableParallelism() - 1));

type Task = (thread: CheckThread) => Promise<void>;

/**
 * Runs beside everything else that the daemon does; images and layers may come and go meanwhile.
 *
 * @throws what the signal aborted with
 */
export async function checkSystem(deps: CheckSystemDeps, options: CheckRunOptions): Promise<void> {
  const { db, store } = deps;
  const run = new CheckRun(options);
  await checkRows(deps, run);
  const blobs = store.keptBlobs();
  const layers = db
    .prepare<[], LayerRecord>(
      `SELECT diff_id AS diffId, tar_size_bytes AS tarSizeBytes, content_size_bytes AS contentSizeBytes,
         entry_count AS entryCount FROM layers ORDER BY diff_id`,
    )
    .all();
  run.expect({
    items: blobs.length + layers.length,
    sizeBytes: [...blobs.map((blob) => blob.sizeBytes), ...layers.map((layer) => layer.tarSizeBytes)].reduce(
      (sum, bytes) => sum + bytes,
      0,
    ),
  });
  await runTasks(run, [
    ...blobs.map((blob) => task(run, 'blob', blob.digest, (thread) => checkBlob(deps, run, blob, thread))),
    ...layers.map((layer) => task(run, 'layer', layer.diffId, (thread) => checkLayer(deps, run, layer, thread))),
  ]);
  const brokenImages = markImages(deps, run);
  run.summary({ images: imageMarks(deps).length, layers: layers.length, blobs: blobs.length, brokenImages });
}

/** What cannot be checked for some other reason is told, and the check goes on. */
function task(run: CheckRun, kind: 'blob' | 'layer', id: string, check: Task): Task {
  return async (thread) => {
    try {
      await check(thread);
    } catch (error) {
      run.signal.throwIfAborted();
      const problem = `could not be checked: ${error instanceof Error ? error.message : error}`;
      run.problem({ kind, id, problem }, run.repair ? unmended('see the daemon’s log, and check again') : null);
      throw error;
    } finally {
      run.finished();
    }
  };
}

/** A few threads take the tasks in turn. */
async function runTasks(run: CheckRun, tasks: readonly Task[]): Promise<void> {
  const { signal } = run;
  const threads = new Set<CheckThread>();
  const start = (): CheckThread => {
    const thread = startCheckThread((bytes) => run.read(bytes));
    threads.add(thread);
    return thread;
  };
  const end = async (thread: CheckThread): Promise<void> => {
    threads.delete(thread);
    await thread.close();
  };
  const endAll = (): void => {
    for (const thread of threads) void end(thread);
  };
  const queue = tasks.values();
  const lane = async (): Promise<void> => {
    let thread = start();
    try {
      for (const next of queue) {
        signal.throwIfAborted();
        try {
          await next(thread);
        } catch {
          signal.throwIfAborted();
          // It has been told. The thread may be of no more use.
          await end(thread);
          thread = start();
        }
      }
    } finally {
      await end(thread);
    }
  };
  signal.addEventListener('abort', endAll);
  try {
    const lanes = Array.from({ length: Math.min(MAX_THREADS, tasks.length) }, lane);
    // All have ended before anyone hears of the first failure.
    for (const outcome of await Promise.allSettled(lanes)) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    signal.removeEventListener('abort', endAll);
    quietCollections.release();
  }
}

interface ImageMark {
  readonly id: string;
  readonly broken: string | null;
}

function imageMarks({ db }: CheckSystemDeps): ImageMark[] {
  return db.prepare<[], ImageMark>('SELECT id, broken FROM images ORDER BY id').all();
}

/** Marks the images that are not whole and, when repairing, takes the mark from those that are. Returns who has it now. */
function markImages(deps: CheckSystemDeps, run: CheckRun): string[] {
  const { store } = deps;
  for (const { id, broken } of imageMarks(deps)) {
    const fault = run.faultyImages.get(id);
    if (fault !== undefined) {
      if (run.repair && broken === null) store.setBroken(id, fault);
    } else if (broken !== null && store.imageLayers(id).every(({ diffId }) => run.soundLayers.has(diffId))) {
      if (run.repair) store.setBroken(id, null);
      if (run.markedImages.has(id)) continue;
      const problem = `it is marked as broken, but all of it is there: ${broken}`;
      run.problem({ kind: 'image', id, problem }, run.repair ? mended('the mark is taken away') : null);
    }
  }
  return imageMarks(deps).flatMap(({ id, broken }) => (broken === null ? [] : [id]));
}
