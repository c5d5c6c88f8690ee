/** Compresses stored layers for registries, into the blob store. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import type { BlobStore } from './blob-store.ts';
import { COMPRESS_PREFIX, type LayerStore } from './layer-store.ts';
import { createGzipThreads, parallelGzip } from './parallel-gzip.ts';
import { StreamedFile } from './streamed-file.ts';

export interface LayerCompressor {
  /**
   * Compresses a layer with gzip, always to the same bytes, and leaves them in the blob store.
   * @throws TsdError `internal` when the stored tar is not what the diff id says; the signal's reason
   */
  compress(diffId: string, options: CompressOptions): Promise<CompressedLayer>;
}

export interface CompressOptions {
  readonly signal: AbortSignal;
  /** Told how much of the tar is done. */
  readonly onBytes?: (doneBytes: number, totalBytes: number) => void;
  /** Waited for before the blob is in the blob store. */
  readonly beforePublish?: (digests: readonly string[]) => Promise<void>;
}

export interface CompressedLayer {
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface LayerCompressorDeps {
  readonly layerStore: Pick<LayerStore, 'tarPath' | 'tarSizeBytes'>;
  readonly blobStore: Pick<BlobStore, 'adopt'>;
  /** The layer store's, which removes at its start what a killed daemon has left. */
  readonly tmp: string;
}

export function createLayerCompressor({ layerStore, blobStore, tmp }: LayerCompressorDeps): LayerCompressor {
  const threads = createGzipThreads();
  return {
    async compress(diffId, { signal, onBytes, beforePublish }) {
      const sizeBytes = await layerStore.tarSizeBytes(diffId);
      await mkdir(tmp, { recursive: true, mode: 0o700 });
      const directory = await mkdtemp(join(tmp, COMPRESS_PREFIX));
      try {
        const path = join(directory, 'blob');
        const [plainHash, hash] = [createHash('sha256'), createHash('sha256')];
        let doneBytes = 0;
        const tar = await open(layerStore.tarPath(diffId), 'r');
        try {
          const blob = await StreamedFile.create(path);
          try {
            const pieces = parallelGzip(tar, sizeBytes, threads, (piece) => {
              plainHash.update(piece);
              doneBytes += piece.length;
              onBytes?.(doneBytes, sizeBytes);
            });
            for await (const piece of pieces) {
              signal.throwIfAborted();
              hash.update(piece);
              await blob.append(piece);
            }
            verify(diffId, `sha256:${plainHash.digest('hex')}`);
            await blob.sync();
          } finally {
            await blob.close();
          }
          const compressed = { digest: `sha256:${hash.digest('hex')}`, sizeBytes: blob.sizeBytes };
          await beforePublish?.([compressed.digest]);
          await blobStore.adopt(path, compressed.digest);
          return compressed;
        } finally {
          await tar.close();
        }
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}

function verify(diffId: string, actual: string): void {
  if (actual === diffId) return;
  throw new TsdError(
    'internal',
    `layer ${diffId} is damaged, its tar has the digest ${actual}: run \`tsdctl system check --repair\``,
  );
}
