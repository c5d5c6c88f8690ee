/**
 * Layers on their way from registries: a few of each pull at a time, and each once, however many pulls want it. A download
 * goes on as long as somebody waits for it. Pulls do not wait for each other: one may be from a registry that hardly sends.
 */
import { TsdError } from '@tsd/shared/errors';
import type { LayerStore, StoredLayer } from '../storage/layer-store.ts';
import { readPastMirrors } from './past-mirrors.ts';
import type { BlobDescriptor, RemoteRepository } from './registry/remote-repository.ts';
import { createSlots, type Slots } from './slots.ts';
import { unlessAborted } from './unless-aborted.ts';

export type DownloadPhase =
  /** Others come first. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'downloading'; readonly currentBytes: number }
  /** Something went wrong; another try comes. */
  | { readonly kind: 'retrying'; readonly secondsLeft: number }
  /** All bytes are here; they are checked and written to the end. */
  | { readonly kind: 'downloaded' };

export interface WantedLayer {
  readonly remote: Pick<RemoteRepository, 'name' | 'openBlob' | 'distrustMirrors'>;
  readonly blob: BlobDescriptor;
  /** What it must turn out to be. */
  readonly diffId: string;
  /** It came in another way: only its compressed form is wanted, which must turn out to be the same layer. */
  readonly isHere: boolean;
}

/**
 * Brings a layer into the layer store, its compressed form into the blob store, and resolves when what was wanted is there.
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
   * when it has ended, so have its downloads, unless others want them. Both digests of each wanted layer are pinned.
   */
  share<T>(work: (fetch: FetchLayer) => Promise<T>): Promise<T>;
}

/** As many of one pull as dockerd brings by default (max-concurrent-downloads). */
const PARALLEL_LAYERS = 3;

interface Download {
  readonly watchers: Set<(phase: DownloadPhase) => void>;
  readonly abort: AbortController;
  readonly result: Promise<StoredLayer>;
  phase: DownloadPhase | null;
}

export function createLayerDownloads(layerStore: Pick<LayerStore, 'ingest'>): LayerDownloads {
  const downloads = new Map<string, Download>();

  const forget = (key: string, download: Download): void => {
    if (downloads.get(key) === download) downloads.delete(key);
  };
  const start = (key: string, wanted: WantedLayer, slots: Slots): Download => {
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
      result: run(wanted, slots, abort.signal, tell),
    };
    // Whoever waits sees it; after an abort nobody does. A later pull begins anew.
    download.result.catch(() => forget(key, download));
    return download;
  };

  const run = async (
    wanted: WantedLayer,
    slots: Slots,
    signal: AbortSignal,
    tell: (phase: DownloadPhase) => void,
  ): Promise<StoredLayer> => {
    // Watchers join first.
    await null;
    if (slots.areTaken()) tell({ kind: 'waiting' });
    const leave = await slots.enter(signal);
    let isHere = false;
    const letNext = (): void => {
      if (!isHere) leave();
      isHere = true;
    };
    try {
      return await ingest(layerStore, wanted, signal, (phase) => {
        tell(phase);
        // The next one comes while this one is written to the end.
        if (phase.kind === 'downloaded') letNext();
      });
    } finally {
      letNext();
    }
  };

  return {
    async share(work) {
      const slots = createSlots(PARALLEL_LAYERS);
      const joined: { key: string; download: Download; onPhase: (phase: DownloadPhase) => void }[] = [];
      const fetch: FetchLayer = async (wanted, onPhase, signal) => {
        signal.throwIfAborted();
        const key = `${wanted.remote.name}@${wanted.blob.digest} ${wanted.diffId} ${wanted.isHere}`;
        const download = downloads.get(key) ?? start(key, wanted, slots);
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
  { remote, blob, diffId, isHere }: WantedLayer,
  signal: AbortSignal,
  tell: (phase: DownloadPhase) => void,
): Promise<StoredLayer> {
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    const onBytes = (currentBytes: number): void => tell({ kind: 'downloading', currentBytes });
    const onWait = (secondsLeft: number): void => tell({ kind: 'retrying', secondsLeft });
    yield* remote.openBlob(blob, { signal, onBytes, onWait });
    tell({ kind: 'downloaded' });
  };
  try {
    const keepCompressed = isHere ? 'only' : true;
    const expected = { expectedDigest: blob.digest, expectedDiffId: diffId, keepCompressed } as const;
    return await readPastMirrors(remote, blob.digest, () => layerStore.ingest(chunks(), expected));
  } catch (error) {
    if (signal.aborted || !(error instanceof TsdError)) throw error;
    throw new TsdError(error.code, `failed to register layer ${blob.digest}: ${error.message}`, { cause: error });
  }
}
