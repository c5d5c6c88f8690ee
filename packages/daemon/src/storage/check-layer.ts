/** Compares what lies on the disk with what its digest says: a layer's tar and image, a kept blob. Blocks: for a thread. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, rmSync } from 'node:fs';
import { dropCachedPages } from '../os/drop-cached-pages.ts';
import { LayerTree } from './erofs/layer-tree.ts';
import { encodeLayerImage, type LayerImageMode, layerImageMode, writeLayerImage } from './layer-image.ts';
import type { LayerLimits } from './layer-limits.ts';
import { TarParser } from './tar/tar-parser.ts';

const PIECE_BYTES = 1024 * 1024;

export interface FileCheckRequest {
  readonly path: string;
  /** sha256:… */
  readonly digest: string;
}

export interface LayerCheckRequest {
  readonly tar: FileCheckRequest;
  readonly erofsPath: string;
  readonly limits: LayerLimits;
  /** How images are written here. One that only newer kernels can mount is not right. */
  readonly imageMode: LayerImageMode;
  /** Where to write the right image when the one there is not; null: nowhere. */
  readonly remakeAt: string | null;
}

export interface LayerVerdict {
  /** What is wrong with the tar; null: nothing. */
  readonly tar: string | null;
  /** What is wrong with the image; null: nothing, or not known because the tar is wrong. */
  readonly image: string | null;
  /** Whether the right image has been written; else why not, where it was wanted. */
  readonly remade: boolean | string;
  /** Of a tar that is right. */
  readonly counts: LayerCounts | null;
}

export interface LayerCounts {
  readonly tarSizeBytes: number;
  readonly contentSizeBytes: number;
  readonly entryCount: number;
}

/** Called with the number of bytes that were read since the last call. */
export type OnCheckedBytes = (bytes: number) => void;

/** What is wrong with a file; null: nothing. @throws for what says nothing about the file, such as a lack of memory. */
export function checkFile(request: FileCheckRequest, onBytes: OnCheckedBytes): string | null {
  return readAll(request, onBytes, () => undefined);
}

/** @throws as `checkFile` */
export function checkLayer(request: LayerCheckRequest, onBytes: OnCheckedBytes): LayerVerdict {
  const { tar, limits } = request;
  let contentSizeBytes = 0;
  let tarSizeBytes = 0;
  const tree = new LayerTree(limits.tree);
  const parser = new TarParser((entry) => {
    contentSizeBytes += entry.sizeBytes;
    tree.add(entry);
  }, limits.tar);
  let refusal: unknown = null;
  const parse = (work: () => void): void => {
    try {
      if (refusal === null) work();
    } catch (error) {
      refusal = error;
    }
  };
  const damage = readAll(tar, onBytes, (piece) => {
    tarSizeBytes += piece.length;
    parse(() => parser.write(piece));
  });
  parse(() => parser.end());
  if (damage !== null) return { tar: damage, image: null, remade: false, counts: null };
  const counts = { tarSizeBytes, contentSizeBytes, entryCount: parser.entryCount };
  // The bytes are those that were asked for, so what is wrong is not on the disk.
  if (refusal !== null) {
    const image = `cannot be made from the tar: ${refusal instanceof Error ? refusal.message : refusal}`;
    return { tar: null, image, remade: false, counts };
  }
  const made = { tarPath: tar.path, tarSizeBytes, diffId: tar.digest };
  const { erofsPath, imageMode, remakeAt } = request;
  const difference = compareImage(erofsPath, imageMode, (mode) => encodeLayerImage(tree, { ...made, mode }));
  if (difference === null || remakeAt === null) return { tar: null, image: difference, remade: false, counts };
  const remade = writeAnew(remakeAt, () => {
    writeLayerImage(tree, { ...made, mode: imageMode, imagePath: remakeAt });
    syncFile(remakeAt);
  });
  return { tar: null, image: difference, remade, counts };
}

function syncFile(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Leaves either the whole file or none. */
function writeAnew(path: string, write: () => void): true | string {
  try {
    // What a killed daemon left there.
    rmSync(path, { force: true });
    write();
    return true;
  } catch (error) {
    rmSync(path, { force: true });
    return error instanceof Error ? error.message : String(error);
  }
}

/** Reads a file to its end and checks size and digest. `consume` sees each piece, which is used again. */
function readAll(request: FileCheckRequest, onBytes: OnCheckedBytes, consume: (piece: Buffer) => void): string | null {
  const { path, digest } = request;
  try {
    const file = openSync(path, 'r');
    try {
      const hash: Hash = createHash('sha256');
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      // The disk is to be checked, not the memory; and what is read here is not to push out what others read.
      dropCachedPages(file, 0, 0);
      let position = 0;
      for (let bytes = readSync(file, piece); bytes > 0; bytes = readSync(file, piece)) {
        const read = piece.subarray(0, bytes);
        hash.update(read);
        consume(read);
        dropCachedPages(file, position, bytes);
        position += bytes;
        onBytes(bytes);
      }
      const actual = `sha256:${hash.digest('hex')}`;
      return actual === digest ? null : `has the digest ${actual}`;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return readFailure(error);
  }
}

/** What an error in reading says about the file. @throws the error when it says nothing. */
function readFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT') return 'is missing';
  // The disk, or the file system, knows that it has lost the data; or something else lies there.
  if (['EIO', 'EUCLEAN', 'EBADMSG', 'EISDIR', 'ELOOP', 'ENOTDIR'].includes(code)) return `cannot be read (${code})`;
  throw error;
}

function compareImage(
  path: string,
  imageMode: LayerImageMode,
  encode: (mode: LayerImageMode) => Iterable<Buffer>,
): string | null {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    return readFailure(error);
  }
  try {
    const mode = layerImageMode(path);
    if (mode === 'index' && imageMode === 'copy') return 'needs Linux 6.12 or later';
    let position = 0;
    for (const piece of encode(mode)) {
      const read = readUpTo(file, position, piece.length);
      if (!read.equals(piece))
        return `is not what the tar gives, from byte ${position + piece.findIndex((byte, at) => read[at] !== byte)}`;
      position += piece.length;
    }
    const { size } = fstatSync(file);
    return size === position ? null : `has ${size} bytes instead of ${position}`;
  } catch (error) {
    return readFailure(error);
  } finally {
    closeSync(file);
  }
}

/** Fewer bytes only where the file ends. */
function readUpTo(file: number, offset: number, length: number): Buffer {
  const data = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const bytes = readSync(file, data, done, length - done, offset + done);
    if (bytes === 0) return data.subarray(0, done);
    done += bytes;
  }
  return data;
}
