/** How the content of regular files gets into an EROFS image: the seam between index mode and copy mode. */
import type { LayerInode } from './layer-inode.ts';

/** A chunk that reads as zeros. */
export const HOLE = -1;

/**
 * Where a file's content lies: `chunkBits` is log2 of a chunk's size in blocks, and each chunk is either a block of the
 * first extra device, `HOLE`, or content that the image itself must carry: `-2 - n` for the n-th copied chunk.
 */
export interface FileChunks {
  readonly chunkBits: number;
  readonly addresses: readonly number[];
  /** Offsets in the file of the chunks that are copied into the image, in order. */
  readonly copiedOffsets: readonly number[];
}

/** n, of the address of the n-th copied chunk. */
export function copiedIndex(address: number): number {
  return -2 - address;
}

/**
 * A way to place content. *Index mode* (index-placement.ts) points into the layer's tar, which is the image's extra
 * device. *Copy mode* (copy-placement.ts), for kernels before 6.12, has blocks of 4 KiB and no device.
 */
export interface FilePlacement {
  /** log2 of the block size. */
  readonly blockBits: 9 | 12;
  /** Sizes of the extra devices. */
  readonly deviceSizesBytes: readonly number[];
  /**
   * For a file that is not empty; null: the image carries all of it, in one run of blocks, without chunks. Called twice for
   * each file (to lay out and to write): must answer the same.
   */
  place(file: LayerInode): FileChunks | null;
  /** Reads a piece of a file that is copied as its reader would see it: holes, and what lies beyond its end, as zeros. */
  readContent(file: LayerInode, offset: number, lengthBytes: number): Buffer;
}
