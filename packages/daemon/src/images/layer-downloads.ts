/**
 * Layers on their way from registries: a few at a time, and each once, however many pulls want it. A download goes on as long
 * as somebody waits for it.
 */
import { TsdError } from '@tsd/shared/errors';
import { MAX_INGEST_THREADS } from '../storage/layer-ingest-threads.ts';
import type { LayerStore, StoredLayer } from '../storage/layer-store.ts';
import type { BlobDescriptor, RemoteRepository } from './registry/remote-repository.ts';
import { createSlots } from './slots.ts';
import { unlessAborted } from './unless-aborted.ts';

export type DownloadPhase =
  /** Others come first. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'downloading'; readonly currentBytes: number }
  /** All bytes are here; they are checked and written to the end. */
  | { readonly kind: 'downloaded' };

export interface WantedLayer {
  readonly remote: Pick<RemoteRepository, 'name' | 'openBlob'>;
  readonly blob: BlobDescriptor;
  /** What it must turn out to be. */
  readonly diffId: string;
}

/**
 * Brings a layer into the layer store, its compressed form into the blob store, and resolves when both are there.
 * @throws TsdError, naming the layer; the signal's reason when it aborts
 */
export type FetchLayer = (
  wanted: WantedLayer,
  onPhase: (phase: DownloadPhase) => void,
  signal: AbortSignal,
) => Promise<StoredLayer>;

export interface LayerDownloads {
  /**
   * Runs `work`, which fetches layers and commits what needs them. Until it ends, others that want the same layers share them;
   * when it has ended, so have its downloads, unless others want them. To be called within `layers.hold`.
   */
  share<T>(work: (fetch: FetchLayer) => Promise<T>): Promise<T>;
}

interface Download {
  readonly watchers: Set<(phase: DownloadPhase) => void>;
  readonly abort: AbortController;
  readonly result: Promise<StoredLayer>;
  phase: DownloadPhase | null;
}

export function createLayerDownloads(layerStore: Pick<LayerStore, 'ingest'>): LayerDownloads {
  // A download that nobody reads would keep a registry waiting.
  const slots = createSlots(MAX_INGEST_THREADS);
  const downloads = new Map<string, Download>();

  const forget = (key: string, download: Download): void => {
    if (downloads.get(key) === download) downloads.delete(key);
  };
  const start = (key: string, wanted: WantedLayer): Download => {
    const abort = new AbortController();
    const watchers: Download['watchers'] = new Set();
    const tell = (phase: DownloadPhase): void => {
      download.phase = phase;
      for (const watcher of watchers) watcher(phase);
    };
    const download: Download = {
      watchers,
      abort,
      phase: null,
      result: run(wanted, abort.signal, tell),
    };
    // Whoever waits sees it; after an abort nobody does. A later pull begins anew.
    download.result.catch(() => forget(key, download));
    return download;
  };

  const run = async (
    wanted: WantedLayer,
    signal: AbortSignal,
    tell: (phase: DownloadPhase) => void,
  ): Promise<StoredLayer> => {
    // Watchers join first.
    await null;
    if (slots.areTaken()) tell({ kind: 'waiting' });
    const leave = await slots.enter(signal);
    try {
      return await ingest(layerStore, wanted, signal, tell);
    } finally {
      leave();
    }
  };

  return {
    async share(work) {
      const joined: { key: string; download: Download; onPhase: (phase: DownloadPhase) => void }[] = [];
      const fetch: FetchLayer = async (wanted, onPhase, signal) => {
        signal.throwIfAborted();
        const key = `${wanted.remote.name}@${wanted.blob.digest} ${wanted.diffId}`;
        const download = downloads.get(key) ?? start(key, wanted);
        downloads.set(key, download);
        if (download.phase !== null) onPhase(download.phase);
        download.watchers.add(onPhase);
        joined.push({ key, download, onPhase });
        return unlessAborted(download.result, signal);
      };
      try {
        return await work(fetch);
      } finally {
        for (const { key, download, onPhase } of joined) {
          download.watchers.delete(onPhase);
          if (download.watchers.size > 0) continue;
          forget(key, download);
          download.abort.abort(new TsdError('unavailable', 'nobody waits for the layer any longer'));
          await download.result.catch(() => undefined);
        }
      }
    },
  };
}

async function ingest(
  layerStore: Pick<LayerStore, 'ingest'>,
  { remote, blob, diffId }: WantedLayer,
  signal: AbortSignal,
  tell: (phase: DownloadPhase) => void,
): Promise<StoredLayer> {
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    const onBytes = (currentBytes: number): void => tell({ kind: 'downloading', currentBytes });
    yield* remote.openBlob(blob, { signal, onBytes });
    tell({ kind: 'downloaded' });
  };
  try {
    return await layerStore.ingest(chunks(), {
      expectedDigest: blob.digest,
      expectedDiffId: diffId,
      keepCompressed: true,
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof TsdError)) throw error;
    throw new TsdError(error.code, `failed to register layer ${blob.digest}: ${error.message}`, { cause: error });
  }
}
