/** A few ingest threads, started when needed and ended when idle: a thread costs some 30 MB while it works. */
import { releaseFreeMemory } from '../os/release-memory.ts';
import type { IngestRequest, StoredLayer } from './layer-ingest.ts';
import { LayerIngestThread } from './layer-ingest-thread.ts';

/** Each takes some 30 MB and a processor; what they wait for is the network or the disk. */
export const MAX_INGEST_THREADS = 2;
const IDLE_MS = 2000;

export interface LayerIngestThreads {
  /** As LayerIngestThread.ingest, in a thread that is free; waits while none is. */
  ingest(first: Iterable<Uint8Array>, rest: AsyncIterable<Uint8Array>, request: IngestRequest): Promise<StoredLayer>;
  close(): Promise<void>;
}

export function createLayerIngestThreads(): LayerIngestThreads {
  const idle: LayerIngestThread[] = [];
  const waiting: (() => void)[] = [];
  let running = 0;
  let idleTimer: NodeJS.Timeout | null = null;

  const acquire = async (): Promise<LayerIngestThread> => {
    while (running >= MAX_INGEST_THREADS) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
    // One that died while idle is of no use.
    for (let thread = idle.pop(); thread !== undefined; thread = idle.pop()) if (!thread.broken) return thread;
    return new LayerIngestThread();
  };

  const closeIdle = async (): Promise<void> => {
    await Promise.all(idle.splice(0).map((thread) => thread.close()));
    releaseFreeMemory();
  };

  const release = async (thread: LayerIngestThread): Promise<void> => {
    running--;
    waiting.shift()?.();
    if (thread.broken) return thread.close();
    idle.push(thread);
    if (idleTimer !== null) clearTimeout(idleTimer);
    idleTimer = setTimeout(() => void closeIdle(), IDLE_MS);
    idleTimer.unref();
  };

  return {
    async ingest(first, rest, request) {
      const thread = await acquire();
      try {
        return await thread.ingest(first, rest, request);
      } finally {
        await release(thread);
      }
    },
    async close() {
      if (idleTimer !== null) clearTimeout(idleTimer);
      await closeIdle();
    },
  };
}
