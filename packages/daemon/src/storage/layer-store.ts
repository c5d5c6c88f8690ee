/**
 * Layers on disk: `<root>/sha256/<hex of the diff id>/` with layer.tar (the uncompressed tar, byte for byte) and layer.erofs
 * (its image, layer-image.ts). A layer is either there and complete or not there: it is made under `tmp` and renamed.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import type { BlobStore } from './blob-store.ts';
import { createDoomedFiles, DOOMED_PREFIX, type DoomedFiles } from './doomed-files.ts';
import { fileSizeBytes } from './file-size.ts';
import { detectCompression, type LayerCompression, MAGIC_BYTES } from './layer-decompression.ts';
import { type LayerImageMode, layerImageMode } from './layer-image.ts';
import {
  COMPRESSED_FILE,
  EROFS_FILE,
  type IngestRequest,
  ingestLayer,
  type StoredLayer,
  TAR_FILE,
} from './layer-ingest.ts';
import { createLayerIngestThreads } from './layer-ingest-threads.ts';
import { DEFAULT_LAYER_LIMITS, type LayerLimits } from './layer-limits.ts';
import { digestHex, isSha256Digest } from './sha256-digest.ts';
import { syncPath } from './sync-path.ts';

export type { StoredLayer } from './layer-ingest.ts';

/** Up to this size an uncompressed layer takes a few milliseconds: not worth a thread. */
const INLINE_BYTES = 2 * 1024 * 1024;
const INGEST_PREFIX = 'layer-ingest-';
/** Directories of the layer compressor. */
export const COMPRESS_PREFIX = 'layer-compress-';
const ASIDE_SUFFIX = '.damaged';

export interface LayerStoreOptions {
  /** The directory of all layers; made where missing. */
  readonly root: string;
  /** A directory on the same file system for what is not finished; made where missing. */
  readonly tmp: string;
  /** Takes the compressed bytes of layers that come with `keepCompressed`; on the same file system too. */
  readonly blobStore?: Pick<BlobStore, 'adopt'>;
  /** How images are written, by what the kernel can mount; `index` by default. */
  readonly imageMode?: LayerImageMode;
  /** Takes the files of removed layers. */
  readonly doomed?: DoomedFiles;
  readonly limits?: LayerLimits;
}

export interface IngestOptions {
  /** sha256:…, refused unless the uncompressed layer has it. */
  readonly expectedDiffId?: string;
  /** sha256:…, refused unless the bytes of `source` have it. */
  readonly expectedDigest?: string;
  /** `detect` (the default) goes by magic number. */
  readonly compression?: LayerCompression | 'detect';
  /**
   * The bytes as they came go to the blob store too, if there is one, unless they are the tar itself; with `only` nothing
   * else is kept of them, for a layer that is there already.
   */
  readonly keepCompressed?: boolean | 'only';
  /** Waited for before the layer, or its bytes as they came, are in their stores: takes the digests of what will be. */
  readonly beforePublish?: (digests: readonly string[]) => Promise<void>;
}

export interface LayerStore {
  /** How images are written here. In `index` mode those of the other mode are as good. */
  readonly imageMode: LayerImageMode;
  /**
   * Takes a layer in, in one pass over `source`. Bringing in one that is there already checks it all the same and keeps
   * what is there. On any error nothing is left behind.
   * @throws TsdError bad_parameter: damaged, hostile, beyond the limits, or a digest is not the expected one;
   *   insufficient_storage; and whatever `source` throws.
   */
  ingest(source: AsyncIterable<Uint8Array>, options?: IngestOptions): Promise<StoredLayer>;
  has(diffId: string): boolean;
  /** The uncompressed tar. */
  tarPath(diffId: string): string;
  /** The EROFS image. */
  imagePath(diffId: string): string;
  /** What to mount: the image and its extra devices in order. @throws TsdError unavailable: an image for newer kernels only. */
  files(diffId: string): { erofsPath: string; devicePaths: string[] };
  /** Size of the uncompressed tar. @throws TsdError not_found */
  tarSizeBytes(diffId: string): Promise<number>;
  /**
   * Takes a damaged layer out of use: it is no longer there. Its files stay as `<hex>.damaged` until the layer comes in
   * again or is removed, for they may be all there is of it. Does nothing where it is not there.
   */
  setAside(diffId: string): Promise<void>;
  /** Undoes `setAside` where there is something aside and nothing has come in its place. */
  bringBack(diffId: string): Promise<void>;
  /** Puts a finished, synchronised file in the place of the layer's image. The next mount sees it. */
  replaceImage(diffId: string, file: string): Promise<void>;
  /** Does nothing where the layer is not there. Mounts of it stay usable until they are closed. */
  remove(diffId: string): Promise<void>;
  /** Calls back, before its files go, for each layer that is removed, set aside or gets another image. */
  onRemove(listener: (diffId: string) => void): void;
  /** Diff ids of all layers, also of those that are set aside. */
  list(): Promise<string[]>;
  /** Deletes what an earlier daemon left unfinished. To be called once, before the first `ingest`. */
  cleanLeftovers(): Promise<void>;
  /** Ends the ingest threads; resolves when all removed layers are gone. */
  close(): Promise<void>;
}

export function createLayerStore({
  root,
  tmp,
  blobStore,
  imageMode = 'index',
  doomed = createDoomedFiles({ directory: tmp, onError: rethrow }),
  limits = DEFAULT_LAYER_LIMITS,
}: LayerStoreOptions): LayerStore {
  const layersDirectory = join(root, 'sha256');
  const threads = createLayerIngestThreads();
  const removeListeners: ((diffId: string) => void)[] = [];
  const directory = (diffId: string): string => join(layersDirectory, digestHex(diffId));
  const imagePath = (diffId: string): string => join(directory(diffId), EROFS_FILE);
  const aside = (diffId: string): string => `${directory(diffId)}${ASIDE_SUFFIX}`;
  const announceRemoval = (diffId: string): void => {
    for (const listener of removeListeners) listener(diffId);
  };

  const prepare = async (): Promise<void> => {
    await mkdir(layersDirectory, { recursive: true, mode: 0o700 });
    await mkdir(tmp, { recursive: true, mode: 0o700 });
  };

  const publish = async (from: string, diffId: string): Promise<void> => {
    await syncPath(from);
    try {
      await rename(from, directory(diffId));
    } catch (error) {
      // Someone else brought in the same layer meanwhile: theirs is as good.
      if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      await rm(from, { recursive: true, force: true });
      return;
    }
    await syncPath(layersDirectory);
    await rm(aside(diffId), { recursive: true, force: true });
  };
  const move = async (from: string, to: string): Promise<void> => {
    await rm(to, { recursive: true, force: true });
    try {
      await rename(from, to);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  };

  return {
    imageMode,
    async ingest(source, options = {}) {
      for (const digest of [options.expectedDiffId, options.expectedDigest])
        if (digest !== undefined) digestHex(digest);
      await prepare();
      const unfinished = await mkdtemp(join(tmp, INGEST_PREFIX));
      try {
        const request: IngestRequest = {
          directory: unfinished,
          compression: options.compression ?? 'detect',
          expectedDiffId: options.expectedDiffId,
          expectedDigest: options.expectedDigest,
          keepCompressed: blobStore !== undefined && (options.keepCompressed ?? false) !== false,
          keepLayer: options.keepCompressed !== 'only',
          imageMode,
          limits,
        };
        const layer = await ingestSource(source, request, threads.ingest);
        await options.beforePublish?.([layer.diffId, ...(layer.keptCompressed ? [layer.compressedDigest] : [])]);
        if (layer.keptCompressed) await blobStore?.adopt(join(unfinished, COMPRESSED_FILE), layer.compressedDigest);
        if (request.keepLayer) await publish(unfinished, layer.diffId);
        else await rm(unfinished, { recursive: true, force: true });
        return layer;
      } catch (error) {
        await rm(unfinished, { recursive: true, force: true });
        throw error;
      }
    },
    has: (diffId) => existsSync(directory(diffId)),
    tarPath: (diffId) => join(directory(diffId), TAR_FILE),
    imagePath,
    files(diffId) {
      const erofsPath = imagePath(diffId);
      const indexed = layerImageMode(erofsPath) === 'index';
      if (indexed && imageMode === 'copy')
        throw new TsdError(
          'unavailable',
          `layer ${diffId} was stored for Linux 6.12 or later: \`tsdctl system check --repair\` stores it anew for this kernel`,
        );
      return { erofsPath, devicePaths: indexed ? [join(directory(diffId), TAR_FILE)] : [] };
    },
    async tarSizeBytes(diffId) {
      try {
        return (await stat(join(directory(diffId), TAR_FILE))).size;
      } catch (error) {
        if (hasCode(error, 'ENOENT')) throw new TsdError('not_found', `No such layer: ${diffId}`);
        throw error;
      }
    },
    async setAside(diffId) {
      if (!existsSync(directory(diffId))) return;
      announceRemoval(diffId);
      await move(directory(diffId), aside(diffId));
    },
    async bringBack(diffId) {
      if (!existsSync(directory(diffId))) await move(aside(diffId), directory(diffId));
    },
    async replaceImage(diffId, file) {
      await rename(file, join(directory(diffId), EROFS_FILE));
      announceRemoval(diffId);
      await syncPath(directory(diffId));
    },
    async remove(diffId) {
      await rm(aside(diffId), { recursive: true, force: true });
      if (!existsSync(directory(diffId))) return;
      announceRemoval(diffId);
      const sizes = await Promise.all([join(directory(diffId), TAR_FILE), imagePath(diffId)].map(fileSizeBytes));
      await doomed.doom(
        directory(diffId),
        sizes.reduce((sum, sizeBytes) => sum + sizeBytes, 0),
      );
    },
    onRemove(listener) {
      removeListeners.push(listener);
    },
    async list() {
      try {
        const names = await readdir(layersDirectory);
        const digests = names.map((name) => `sha256:${name.replace(ASIDE_SUFFIX, '')}`).filter(isSha256Digest);
        return [...new Set(digests)];
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return [];
        throw error;
      }
    },
    async cleanLeftovers() {
      await prepare();
      for (const name of await readdir(tmp)) {
        if ([INGEST_PREFIX, DOOMED_PREFIX, COMPRESS_PREFIX].some((prefix) => name.startsWith(prefix)))
          await rm(join(tmp, name), { recursive: true, force: true });
      }
    },
    async close() {
      await Promise.all([threads.close(), doomed.idle()]);
    },
  };
}

/** Small uncompressed layers are taken in at once; all others go to a thread. */
async function ingestSource(
  source: AsyncIterable<Uint8Array>,
  request: IngestRequest,
  ingestInThread: ReturnType<typeof createLayerIngestThreads>['ingest'],
): Promise<StoredLayer> {
  const pieces = source[Symbol.asyncIterator]();
  try {
    const first: Buffer[] = [];
    let bytes = 0;
    let isPlainSoFar = true;
    while (isPlainSoFar && bytes <= INLINE_BYTES) {
      const next = await pieces.next();
      if (next.done === true) {
        const whole = Buffer.concat(first);
        if (!isPlain(whole, request)) break;
        return await ingestLayer(single(whole), request);
      }
      // A copy: nothing is said about how long a piece stays as it is.
      first.push(Buffer.from(next.value));
      const hadMagic = bytes >= MAGIC_BYTES;
      bytes += next.value.length;
      if (!hadMagic && bytes >= MAGIC_BYTES) isPlainSoFar = isPlain(Buffer.concat(first), request);
    }
    return await ingestInThread(first, { [Symbol.asyncIterator]: () => ({ next: () => pieces.next() }) }, request);
  } finally {
    await pieces.return?.();
  }
}

function isPlain(bytes: Buffer, { compression }: IngestRequest): boolean {
  if (compression !== 'detect') return compression === 'none';
  return detectCompression(bytes.subarray(0, MAGIC_BYTES)) === 'none';
}

async function* single(piece: Buffer): AsyncGenerator<Buffer> {
  yield piece;
}

function rethrow(_path: string, error: unknown): never {
  throw error;
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
