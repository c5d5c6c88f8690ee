/**
 * Index mode: content stays in the layer's uncompressed tar, 512-aligned there by the tar format, and the image holds one
 * chunk index for a whole file. Sparse files take several chunks: data chunks, holes, and where the edge of an extent does
 * not fall on a chunk's edge (or the archive's data is not aligned, or cut off in its last block) a chunk that is copied into the image.
 */
import type { SparseExtent } from '../tar/tar-entry.ts';
import { tarError } from '../tar/tar-error.ts';
import { CHUNK_INDEX_BYTES, MAX_CHUNK_BITS } from './erofs-format.ts';
import { type FileChunks, type FilePlacement, HOLE } from './file-placement.ts';
import type { LayerInode } from './layer-inode.ts';

const BLOCK_BITS = 9;
const BLOCK_BYTES = 1 << BLOCK_BITS;
/** Block addresses are 32 bits wide, and the last one means a hole. */
const MAX_DEVICE_BYTES = 0xffffffff * BLOCK_BYTES;
const MAX_SPARSE_COST_BYTES = 256 * 1024 * 1024;

export interface IndexPlacementOptions {
  readonly tarSizeBytes: number;
  /** Reads exactly `length` bytes of the tar. */
  readonly readTar: (offset: number, length: number) => Buffer;
}

/** @throws TsdError bad_parameter: the tar is too large for 32-bit block addresses (2 TiB). */
export function indexPlacement({ tarSizeBytes, readTar }: IndexPlacementOptions): FilePlacement {
  if (tarSizeBytes > MAX_DEVICE_BYTES) throw tarError('larger than 2 TiB uncompressed');
  /** The kernel does not read a block that the tar holds only in part: an archive may end with its last file's last byte. */
  const readableBytes = Math.floor(tarSizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  const pieced = new Map<LayerInode, FileChunks>();
  let sparseCostBytes = 0;
  return {
    blockBits: BLOCK_BITS,
    deviceSizesBytes: [tarSizeBytes],
    place(file) {
      if (file.sparseExtents === null && file.payloadOffset + file.sizeBytes <= readableBytes)
        return contiguousChunks(file);
      let chunks = pieced.get(file);
      if (chunks === undefined) {
        const content: Content = { sizeBytes: file.sizeBytes, extents: extentsOf(file), readableBytes };
        const { chunkBits, costBytes } = cheapestChunkSize(content);
        sparseCostBytes += costBytes;
        if (sparseCostBytes > MAX_SPARSE_COST_BYTES) throw tarError('sparse files are too large or too fragmented');
        chunks = piecedChunks(content, chunkBits);
        pieced.set(file, chunks);
      }
      return chunks;
    },
    readChunk: (file, offset, lengthBytes) => readContent(file, offset, lengthBytes, readTar),
  };
}

/** A file's content where one chunk does not do. */
interface Content {
  readonly sizeBytes: number;
  readonly extents: readonly SparseExtent[];
  /** What lies beyond in the tar must be copied. */
  readonly readableBytes: number;
}

function extentsOf(file: LayerInode): readonly SparseExtent[] {
  return file.sparseExtents ?? [{ offset: 0, length: file.sizeBytes, archiveOffset: file.payloadOffset }];
}

function contiguousChunks(file: LayerInode): FileChunks {
  const blocks = Math.ceil(file.sizeBytes / BLOCK_BYTES);
  const chunkBits = Math.min(MAX_CHUNK_BITS, log2Up(blocks));
  const first = file.payloadOffset / BLOCK_BYTES;
  const chunkBlocks = 2 ** chunkBits;
  if (blocks <= chunkBlocks) return { chunkBits, addresses: [first], copiedOffsets: NONE };
  const addresses = Array.from({ length: Math.ceil(blocks / chunkBlocks) }, (_, i) => first + i * chunkBlocks);
  return { chunkBits, addresses, copiedOffsets: NONE };
}

const NONE: readonly number[] = [];

/** Small chunks need many indexes, large ones more copying: take the size that adds least to the image. */
function cheapestChunkSize(content: Content): { chunkBits: number; costBytes: number } {
  let best = { chunkBits: 0, costBytes: Number.POSITIVE_INFINITY };
  const maxBits = Math.min(MAX_CHUNK_BITS, log2Up(Math.ceil(content.sizeBytes / BLOCK_BYTES)));
  for (let chunkBits = 0; chunkBits <= maxBits; chunkBits++) {
    const chunkBytes = BLOCK_BYTES * 2 ** chunkBits;
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

function piecedChunks(content: Content, chunkBits: number): FileChunks {
  const chunkBytes = BLOCK_BYTES * 2 ** chunkBits;
  const addresses = new Array<number>(Math.ceil(content.sizeBytes / chunkBytes)).fill(HOLE);
  const copiedOffsets: number[] = [];
  forEachDataChunk(content, chunkBytes, (chunk, address) => {
    if (address !== null) addresses[chunk] = address / BLOCK_BYTES;
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
 * copied: it is not all of one extent (up to the file's end) or not aligned in the tar. Stops when `visit` says false.
 */
function forEachDataChunk(
  { sizeBytes, extents, readableBytes }: Content,
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
      const readable = archiveOffset + Math.min(chunkBytes, end - start) <= readableBytes;
      if (!visit(chunk, whole && readable && archiveOffset % BLOCK_BYTES === 0 ? archiveOffset : null)) return;
    }
  }
}

function readContent(
  file: LayerInode,
  offset: number,
  lengthBytes: number,
  readTar: (offset: number, length: number) => Buffer,
): Buffer {
  const chunk = Buffer.alloc(lengthBytes);
  for (const extent of extentsOf(file)) {
    const start = Math.max(offset, extent.offset);
    const end = Math.min(offset + lengthBytes, extent.offset + extent.length);
    if (start < end) readTar(extent.archiveOffset + (start - extent.offset), end - start).copy(chunk, start - offset);
  }
  return chunk;
}

/** The smallest n with 2^n ≥ value; 0 for 0. */
function log2Up(value: number): number {
  let bits = 0;
  while (2 ** bits < value) bits++;
  return bits;
}
