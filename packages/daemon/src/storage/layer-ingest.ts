/** One pass over a layer's stream: digests, decompression, the uncompressed tar on disk, its EROFS image. */
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import { LayerTree } from './erofs/layer-tree.ts';
import { gunzip } from './gunzip.ts';
import type { HeapShare } from './heap-guard.ts';
import { decompress, detectCompression, type LayerCompression, MAGIC_BYTES } from './layer-decompression.ts';
import { type LayerImageMode, writeLayerImage } from './layer-image.ts';
import type { LayerLimits } from './layer-limits.ts';
import { StreamedFile } from './streamed-file.ts';
import { syncPath } from './sync-path.ts';
import { TarParser } from './tar/tar-parser.ts';

/** File names in a layer's directory. */
export const TAR_FILE = 'layer.tar';

export const EROFS_FILE = 'layer.erofs';

/** The layer as it came, where that is wanted: moves on to the blob store. */
export const COMPRESSED_FILE = 'layer.compressed';

export interface StoredLayer {
  /** sha256:… of the uncompressed tar. */
  readonly diffId: string;
  /** sha256:… of the bytes as they came; the diff id where they were not compressed. */
  readonly compressedDigest: string;
  readonly compressedSizeBytes: number;
  /** Whether the bytes as they came were kept: they were asked for, and they are not the tar itself. */
  readonly keptCompressed: boolean;
  readonly tarSizeBytes: number;
  /** Sum of the regular files' sizes, each hard link once and holes included. */
  readonly contentSizeBytes: number;
  readonly entryCount: number;
}

export interface IngestRequest {
  /** An empty directory that takes the files. */
  readonly directory: string;
  readonly compression: LayerCompression | 'detect';
  readonly expectedDiffId: string | undefined;
  readonly expectedDigest: string | undefined;
  readonly keepCompressed: boolean;
  /** Whether the layer's own files are written; where they are there already everything is checked all the same. */
  readonly keepLayer: boolean;
  readonly imageMode: LayerImageMode;
  readonly limits: LayerLimits;
}

/**
 * Writes layer.tar and layer.erofs, where they are wanted, durably but for the directory's own entry, and checks the digests. A piece of `source`
 * is no longer used once the next one is asked for.
 * @throws TsdError bad_parameter: damaged, hostile or not what was expected; insufficient_storage: the disk is full.
 */
export async function ingestLayer(
  source: AsyncIterable<Buffer>,
  request: IngestRequest,
  heapShare?: HeapShare,
): Promise<StoredLayer> {
  const { directory, limits, keepLayer } = request;
  const tar = keepLayer ? await StreamedFile.create(join(directory, TAR_FILE)) : null;
  const input = new LayerInput(source, request);
  try {
    const tree = new LayerTree(limits.tree);
    let contentSizeBytes = 0;
    const parser = new TarParser((entry) => {
      contentSizeBytes += entry.sizeBytes;
      tree.add(entry);
    }, limits.tar);
    const diffHash = createHash('sha256');
    let tarSizeBytes = 0;
    for await (const piece of input.uncompressed()) {
      const written = tar?.append(piece);
      try {
        tarSizeBytes += piece.length;
        diffHash.update(piece);
        parser.write(piece);
        heapShare?.check(tree.nodeCount);
      } finally {
        await written;
      }
    }
    parser.end();
    const diffId = `sha256:${diffHash.digest('hex')}`;
    const compressed = input.finish() ?? { digest: diffId, sizeBytes: tarSizeBytes };
    verifyDigest('digest', compressed.digest, request.expectedDigest);
    verifyDigest('diff id', diffId, request.expectedDiffId);
    // The files go to the disk while the image is made.
    const synced = Promise.all([tar?.sync(), input.sync()]);
    // Awaited below: until then a failure is nobody's.
    synced.catch(() => undefined);
    if (keepLayer) {
      writeLayerImage(tree, {
        tarPath: join(directory, TAR_FILE),
        tarSizeBytes,
        diffId,
        mode: request.imageMode,
        imagePath: join(directory, EROFS_FILE),
      });
      // Other layers go on meanwhile.
      await syncPath(join(directory, EROFS_FILE));
    }
    await synced;
    return {
      diffId,
      compressedDigest: compressed.digest,
      compressedSizeBytes: compressed.sizeBytes,
      keptCompressed: input.isKept,
      tarSizeBytes,
      contentSizeBytes,
      entryCount: parser.entryCount,
    };
  } catch (error) {
    throw storageError(error);
  } finally {
    await Promise.all([tar?.close(), input.close()]);
  }
}

/** The layer as it comes: its digest, its size and, where it is wanted, a copy of its bytes; none of it for a plain tar. */
class LayerInput {
  private readonly source: AsyncIterable<Buffer>;
  private readonly request: IngestRequest;
  private hash: Hash | null = null;
  private sizeBytes = 0;
  private copy: StreamedFile | null = null;

  constructor(source: AsyncIterable<Buffer>, request: IngestRequest) {
    this.source = source;
    this.request = request;
  }

  get isKept(): boolean {
    return this.copy !== null;
  }

  async *uncompressed(): AsyncGenerator<Buffer> {
    const { request } = this;
    const pieces = this.source[Symbol.asyncIterator]();
    const head = await readHead(pieces);
    const compression = request.compression === 'detect' ? detectCompression(head) : request.compression;
    const whole = prepend(head, pieces);
    if (compression === 'none') {
      yield* whole;
      return;
    }
    if (request.keepCompressed) this.copy = await StreamedFile.create(join(request.directory, COMPRESSED_FILE));
    let expandedBytes = 0;
    const recorded = this.recorded(whole);
    for await (const piece of compression === 'gzip' ? gunzip(recorded) : decompress(recorded, compression)) {
      expandedBytes += piece.length;
      this.checkExpansion(expandedBytes);
      yield piece;
    }
  }

  /** Digest and size of what came; null where nothing was compressed. */
  finish(): { digest: string; sizeBytes: number } | null {
    if (this.hash === null) return null;
    return { digest: `sha256:${this.hash.digest('hex')}`, sizeBytes: this.sizeBytes };
  }

  async sync(): Promise<void> {
    await this.copy?.sync();
  }

  async close(): Promise<void> {
    await this.copy?.close();
  }

  private async *recorded(whole: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    this.hash = hash;
    for await (const piece of whole) {
      const copied = this.copy?.append(piece);
      // Awaited below: until then a failure is nobody's.
      copied?.catch(() => undefined);
      try {
        this.sizeBytes += piece.length;
        hash.update(piece);
        yield piece;
      } finally {
        await copied;
      }
    }
  }

  private checkExpansion(expandedBytes: number): void {
    const { limits } = this.request;
    if (expandedBytes <= limits.freeExpansionBytes || expandedBytes <= this.sizeBytes * limits.maxExpansionRatio)
      return;
    throw new TsdError(
      'bad_parameter',
      `the layer expands to more than ${limits.maxExpansionRatio} times its compressed size: refused as a decompression bomb`,
    );
  }
}

/** At least MAGIC_BYTES, or all there is. A copy, for its piece may be reused. */
async function readHead(pieces: AsyncIterator<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < MAGIC_BYTES) {
    const next = await pieces.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  return head;
}

async function* prepend(head: Buffer, pieces: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (head.length > 0) yield head;
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
  } finally {
    await pieces.return?.();
  }
}

function verifyDigest(what: string, actual: string, expected: string | undefined): void {
  if (expected !== undefined && expected !== actual)
    throw new TsdError('bad_parameter', `the layer's ${what} is ${actual}, expected ${expected}`);
}

function storageError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new TsdError('insufficient_storage', 'no space left in the data root for the layer', { cause: error });
}
