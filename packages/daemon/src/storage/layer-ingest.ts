/** One pass over a layer's stream: digests, decompression, the uncompressed tar on disk, its EROFS image. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import { startWriteback } from '../os/start-writeback.ts';
import { encodeErofsImage } from './erofs/erofs-image.ts';
import { indexPlacement } from './erofs/index-placement.ts';
import { LayerTree } from './erofs/layer-tree.ts';
import { decompress, detectCompression, type LayerCompression, MAGIC_BYTES } from './layer-decompression.ts';
import type { LayerLimits } from './layer-limits.ts';
import { TarParser } from './tar/tar-parser.ts';

/** File names in a layer's directory. */
export const TAR_FILE = 'layer.tar';

export const EROFS_FILE = 'layer.erofs';

const WRITEBACK_BYTES = 8 * 1024 * 1024;

export interface StoredLayer {
  /** sha256:… of the uncompressed tar. */
  readonly diffId: string;
  /** sha256:… of the bytes as they came; the diff id where they were not compressed. */
  readonly compressedDigest: string;
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
  readonly limits: LayerLimits;
}

/**
 * Writes layer.tar and layer.erofs, durably but for the directory's own entry, and checks the digests. A piece of `source`
 * is no longer used once the next one is asked for.
 * @throws TsdError bad_parameter: damaged, hostile or not what was expected; insufficient_storage: the disk is full.
 */
export async function ingestLayer(source: AsyncIterable<Buffer>, request: IngestRequest): Promise<StoredLayer> {
  const { directory, limits } = request;
  const tar = await open(join(directory, TAR_FILE), 'wx', 0o600);
  try {
    const tree = new LayerTree(limits.tree);
    let contentSizeBytes = 0;
    const parser = new TarParser((entry) => {
      contentSizeBytes += entry.sizeBytes;
      tree.add(entry);
    }, limits.tar);
    const digests = new LayerDigests();
    const tarSizeBytes = await writeTar(openLayer(source, request, digests), tar, (piece) => {
      digests.diffId.update(piece);
      parser.write(piece);
    });
    parser.end();
    const { diffId, compressedDigest } = digests.finish();
    verifyDigest('digest', compressedDigest, request.expectedDigest);
    verifyDigest('diff id', diffId, request.expectedDiffId);
    // The tar goes to the disk while the image is made.
    const synced = tar.datasync();
    writeErofs(tree, directory, tarSizeBytes, Buffer.from(diffId.slice(-64, -32), 'hex'));
    await synced;
    return { diffId, compressedDigest, tarSizeBytes, contentSizeBytes, entryCount: parser.entryCount };
  } catch (error) {
    throw storageError(error);
  } finally {
    await tar.close();
  }
}

/** The digest of what came and the one of what is in it: one and the same where nothing is compressed. */
class LayerDigests {
  readonly diffId: Hash = createHash('sha256');
  compressed: Hash | null = null;

  finish(): { diffId: string; compressedDigest: string } {
    const diffId = `sha256:${this.diffId.digest('hex')}`;
    return { diffId, compressedDigest: this.compressed === null ? diffId : `sha256:${this.compressed.digest('hex')}` };
  }
}

/** The uncompressed layer. */
async function* openLayer(
  source: AsyncIterable<Buffer>,
  request: IngestRequest,
  digests: LayerDigests,
): AsyncGenerator<Buffer> {
  const { limits } = request;
  const pieces = source[Symbol.asyncIterator]();
  const head = await readHead(pieces);
  const compression = request.compression === 'detect' ? detectCompression(head) : request.compression;
  const whole = prepend(head, pieces);
  if (compression === 'none') {
    yield* whole;
    return;
  }
  const hash = createHash('sha256');
  digests.compressed = hash;
  let compressedBytes = 0;
  let expandedBytes = 0;
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const piece of whole) {
      compressedBytes += piece.length;
      hash.update(piece);
      yield piece;
    }
  };
  for await (const piece of decompress(counted(), compression)) {
    expandedBytes += piece.length;
    if (expandedBytes > limits.freeExpansionBytes && expandedBytes > compressedBytes * limits.maxExpansionRatio)
      throw new TsdError(
        'bad_parameter',
        `the layer expands to more than ${limits.maxExpansionRatio} times its compressed size: refused as a decompression bomb`,
      );
    yield piece;
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

/** Writes each piece while `consume` looks at it; returns the total size. */
async function writeTar(
  pieces: AsyncIterable<Buffer>,
  tar: FileHandle,
  consume: (piece: Buffer) => void,
): Promise<number> {
  let position = 0;
  let handedOver = 0;
  let writeback: Promise<void> = Promise.resolve();
  try {
    for await (const piece of pieces) {
      const written = writeFully(tar, piece, position);
      try {
        consume(piece);
      } finally {
        await written;
      }
      position += piece.length;
      // The disk works alongside, so that little is left to wait for at the end.
      if (position - handedOver >= WRITEBACK_BYTES) {
        const start = handedOver;
        const end = position;
        writeback = writeback.then(() => startWriteback(tar.fd, start, end - start));
        handedOver = position;
      }
    }
  } finally {
    await writeback;
  }
  return position;
}

async function writeFully(file: FileHandle, piece: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < piece.length) {
    const { bytesWritten } = await file.write(piece, done, piece.length - done, position + done);
    done += bytesWritten;
  }
}

function writeErofs(tree: LayerTree, directory: string, tarSizeBytes: number, uuid: Buffer): void {
  const tar = openSync(join(directory, TAR_FILE), 'r');
  const image = openSync(join(directory, EROFS_FILE), 'wx', 0o600);
  try {
    const readTar = (offset: number, length: number): Buffer => {
      const data = Buffer.alloc(length);
      for (let done = 0; done < length; ) {
        const bytes = readSync(tar, data, done, length - done, offset + done);
        if (bytes === 0) throw new Error(`${TAR_FILE} ends before offset ${offset + length}`);
        done += bytes;
      }
      return data;
    };
    for (const piece of encodeErofsImage(tree, { placement: indexPlacement({ tarSizeBytes, readTar }), uuid })) {
      for (let done = 0; done < piece.length; ) done += writeSync(image, piece, done);
    }
    fsyncSync(image);
  } finally {
    closeSync(image);
    closeSync(tar);
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
