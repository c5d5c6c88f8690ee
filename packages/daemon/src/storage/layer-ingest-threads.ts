/** A few ingest threads, started when needed and ended when idle: a thread costs some 30 MB while it works. */
import { quietCollections } from '../os/release-memory.ts';
import type { IngestRequest, StoredLayer } from './layer-ingest.ts';
import { LayerIngestThread } from './layer-ingest-thread.ts';

/** Each takes some 30 MB and, while it has something to do, a processor. */
const MAX_THREADS = 2;
/** Long enough for the next image of a row: a fresh thread is slow until V8 has compiled what it does. */
const IDLE_MS = 12_000;

export interface LayerIngestThreads {
  /** As LayerIngestThread.ingest, in the thread that has the fewest layers at hand. Never waits for other layers' sources. */
  ingest(first: Iterable<Uint8Array>, rest: AsyncIterable<Uint8Array>, request: IngestRequest): Promise<StoredLayer>;
  close(): Promise<void>;
}

/** What it is made of; tests have their own. */
export interface LayerIngestThreadsParts {
  readonly createThread: () => IngestThread;
  readonly releaseMemory: () => void;
  readonly idleMs: number;
}

export type IngestThread = Pick<LayerIngestThread, 'ingest' | 'load' | 'broken' | 'close'>;

const PARTS: LayerIngestThreadsParts = {
  createThread: () => new LayerIngestThread(),
  releaseMemory: quietCollections.release,
  idleMs: IDLE_MS,
};

export function createLayerIngestThreads(parts: LayerIngestThreadsParts = PARTS): LayerIngestThreads {
  let threads: IngestThread[] = [];
  let idleTimer: NodeJS.Timeout | null = null;

  const choose = (): IngestThread => {
    // One that has died is of no use.
    threads = threads.filter((thread) => !thread.broken);
    const [leastLoaded] = threads.toSorted((a, b) => a.load - b.load);
    if (leastLoaded !== undefined && (leastLoaded.load === 0 || threads.length >= MAX_THREADS)) return leastLoaded;
    const thread = parts.createThread();
    threads.push(thread);
    return thread;
  };

  const closeIdle = async (): Promise<void> => {
    const idle = threads.filter((thread) => thread.load === 0);
    threads = threads.filter((thread) => !idle.includes(thread));
    await Promise.all(idle.map((thread) => thread.close()));
    // Not while layers are on their way. Who ends last comes here again.
    if (threads.length === 0) parts.releaseMemory();
  };

  const closeWhenIdle = (): void => {
    if (idleTimer !== null) clearTimeout(idleTimer);
    idleTimer = setTimeout(() => void closeIdle(), parts.idleMs);
    idleTimer.unref();
  };

  return {
    async ingest(first, rest, request) {
      const thread = choose();
      try {
        return await thread.ingest(first, rest, request);
      } finally {
        if (thread.load === 0) closeWhenIdle();
      }
    },
    async close() {
      if (idleTimer !== null) clearTimeout(idleTimer);
      await closeIdle();
    },
  };
}
