/**
 * Files that take several chunks, sparse ones above all: chunks that the image points at, holes, and chunks that are copied
 * into the image. For each file the chunk size is taken that adds least to the image.
 */
import type { SparseExtent } from '../tar/tar-entry.ts';
import { tarError } from '../tar/tar-error.ts';
import { CHUNK_INDEX_BYTES, MAX_CHUNK_BITS } from './erofs-format.ts';
import { type FileChunks, HOLE } from './file-placement.ts';
import type { LayerInode } from './layer-inode.ts';

const MAX_OVERHEAD_BYTES = 256 * 1024 * 1024;

export interface PiecedFilesOptions {
  readonly blockBytes: number;
  /** Whether the image can point at these bytes of the tar, otherwise they are copied; null: never. */
  readonly canPointAt: ((tarOffset: number, lengthBytes: number) => boolean) | null;
}

/** Reads exactly `length` bytes of the tar. */
export type TarReader = (offset: number, length: number) => Buffer;

/** The chunks of files in one image, with a bound on what they may add to it. */
export class PiecedFiles {
  private readonly options: PiecedFilesOptions;
  private readonly chunks = new Map<LayerInode, FileChunks>();
  private overheadBytes = 0;

  constructor(options: PiecedFilesOptions) {
    this.options = options;
  }

  /** @throws TsdError bad_parameter: indexes and copies of all files together would be too large. */
  place(file: LayerInode): FileChunks {
    let chunks = this.chunks.get(file);
    if (chunks === undefined) {
      const content: Content = { ...this.options, sizeBytes: file.sizeBytes, extents: extentsOf(file) };
      const { chunkBits, costBytes } = cheapestChunkSize(content);
      // Where everything is copied, the data itself is no overhead.
      this.overheadBytes += content.canPointAt === null ? costBytes - dataBytes(content) : costBytes;
      if (this.overheadBytes > MAX_OVERHEAD_BYTES) throw tarError('sparse files are too large or too fragmented');
      chunks = cutIntoChunks(content, chunkBits);
      this.chunks.set(file, chunks);
    }
    return chunks;
  }
}

/** Reads a file's content through the tar; holes and what is beyond the end are zeros. */
export function readThroughTar(file: LayerInode, offset: number, lengthBytes: number, readTar: TarReader): Buffer {
  const extents = extentsOf(file);
  const content = Buffer.alloc(lengthBytes);
  for (let i = firstExtentBeyond(extents, offset); i < extents.length; i++) {
    const extent = extents[i] as SparseExtent;
    const start = Math.max(offset, extent.offset);
    const end = Math.min(offset + lengthBytes, extent.offset + extent.length);
    if (start >= end) break;
    readTar(extent.archiveOffset + (start - extent.offset), end - start).copy(content, start - offset);
  }
  return content;
}

interface Content extends PiecedFilesOptions {
  readonly sizeBytes: number;
  readonly extents: readonly SparseExtent[];
}

/** In the order of their offsets, none of them empty. */
function extentsOf(file: LayerInode): readonly SparseExtent[] {
  return file.sparseExtents ?? [{ offset: 0, length: file.sizeBytes, archiveOffset: file.payloadOffset }];
}

function dataBytes({ extents }: Content): number {
  return extents.reduce((sum, { length }) => sum + length, 0);
}

/** Index of the first extent that ends after `offset`: there can be tens of thousands. */
function firstExtentBeyond(extents: readonly SparseExtent[], offset: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const extent = extents[middle] as SparseExtent;
    if (extent.offset + extent.length > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Small chunks need many indexes, large ones more copying: take the size that adds least to the image. */
function cheapestChunkSize(content: Content): { chunkBits: number; costBytes: number } {
  let best = { chunkBits: 0, costBytes: Number.POSITIVE_INFINITY };
  const maxBits = Math.min(MAX_CHUNK_BITS, log2Up(Math.ceil(content.sizeBytes / content.blockBytes)));
  for (let chunkBits = 0; chunkBits <= maxBits; chunkBits++) {
    const chunkBytes = content.blockBytes * 2 ** chunkBits;
    let copies = 0;
    forEachDataChunk(content, chunkBytes, (_chunk, address) => {
      if (address === null) copies++;
      return copies * chunkBytes < best.costBytes;
    });
    const costBytes = Math.ceil(content.sizeBytes / chunkBytes) * CHUNK_INDEX_BYTES + copies * chunkBytes;
    if (costBytes < best.costBytes) best = { chunkBits, costBytes };
  }
  return best;
}

function cutIntoChunks(content: Content, chunkBits: number): FileChunks {
  const chunkBytes = content.blockBytes * 2 ** chunkBits;
  const addresses = new Array<number>(Math.ceil(content.sizeBytes / chunkBytes)).fill(HOLE);
  const copiedOffsets: number[] = [];
  forEachDataChunk(content, chunkBytes, (chunk, address) => {
    if (address !== null) addresses[chunk] = address / content.blockBytes;
    else {
      addresses[chunk] = -2 - copiedOffsets.length;
      copiedOffsets.push(chunk * chunkBytes);
    }
    return true;
  });
  return { chunkBits, addresses, copiedOffsets };
}

/**
 * Visits in order every chunk that holds data, with the tar offset of its content, or null where the content must be
 * copied: it is not all of one extent (up to the file's end) or the image cannot point at it. Stops when `visit` says false.
 */
function forEachDataChunk(
  { sizeBytes, extents, canPointAt }: Content,
  chunkBytes: number,
  visit: (chunk: number, archiveOffset: number | null) => boolean,
): void {
  let lastVisited = -1;
  for (const extent of extents) {
    const end = extent.offset + extent.length;
    const last = Math.floor((end - 1) / chunkBytes);
    for (let chunk = Math.floor(extent.offset / chunkBytes); chunk <= last; chunk++) {
      if (chunk === lastVisited) continue;
      lastVisited = chunk;
      const start = chunk * chunkBytes;
      const whole = start >= extent.offset && (start + chunkBytes <= end || end === sizeBytes);
      const archiveOffset = extent.archiveOffset + (start - extent.offset);
      const pointed = whole && canPointAt?.(archiveOffset, Math.min(chunkBytes, end - start));
      if (!visit(chunk, pointed ? archiveOffset : null)) return;
    }
  }
}

/** The smallest n with 2^n ≥ value; 0 for 0. */
export function log2Up(value: number): number {
  let bits = 0;
  while (2 ** bits < value) bits++;
  return bits;
}
