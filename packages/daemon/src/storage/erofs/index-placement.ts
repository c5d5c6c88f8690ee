/**
 * Index mode: content stays in the layer's uncompressed tar, 512-aligned there by the tar format, and the image holds one
 * chunk index for a whole file. Sparse files take several chunks: data chunks, holes, and where the edge of an extent does
 * not fall on a chunk's edge (or the archive's data is not aligned, or cut off in its last block) a chunk that is copied into the image.
 */
import { tarError } from '../tar/tar-error.ts';
import { MAX_CHUNK_BITS } from './erofs-format.ts';
import type { FileChunks, FilePlacement } from './file-placement.ts';
import type { LayerInode } from './layer-inode.ts';
import { log2Up, PiecedFiles, readThroughTar, type TarReader } from './pieced-files.ts';

const BLOCK_BITS = 9;
const BLOCK_BYTES = 1 << BLOCK_BITS;
/** Block addresses are 32 bits wide, and the last one means a hole. */
const MAX_DEVICE_BYTES = 0xffffffff * BLOCK_BYTES;

export interface IndexPlacementOptions {
  readonly tarSizeBytes: number;
  readonly readTar: TarReader;
}

/** @throws TsdError bad_parameter: the tar is too large for 32-bit block addresses (2 TiB). */
export function indexPlacement({ tarSizeBytes, readTar }: IndexPlacementOptions): FilePlacement {
  if (tarSizeBytes > MAX_DEVICE_BYTES) throw tarError('larger than 2 TiB uncompressed');
  /** The kernel does not read a block that the tar holds only in part: an archive may end with its last file's last byte. */
  const readableBytes = Math.floor(tarSizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  const pieced = new PiecedFiles({
    blockBytes: BLOCK_BYTES,
    canPointAt: (tarOffset, lengthBytes) => tarOffset % BLOCK_BYTES === 0 && tarOffset + lengthBytes <= readableBytes,
  });
  return {
    blockBits: BLOCK_BITS,
    deviceSizesBytes: [tarSizeBytes],
    place: (file) =>
      file.sparseExtents === null && file.payloadOffset + file.sizeBytes <= readableBytes
        ? contiguousChunks(file)
        : pieced.place(file),
    readContent: (file, offset, lengthBytes) => readThroughTar(file, offset, lengthBytes, readTar),
  };
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
