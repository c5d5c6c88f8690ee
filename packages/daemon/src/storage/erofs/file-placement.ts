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

/**
 * A way to place content. *Index mode* points into the layer's tar, which is the image's extra device. *Copy mode*, for
 * kernels before 6.12, would have 4 KiB blocks, no device and every chunk copied.
 */
export interface FilePlacement {
  /** log2 of the block size. */
  readonly blockBits: 9 | 12;
  /** Sizes of the extra devices. */
  readonly deviceSizesBytes: readonly number[];
  /** Called twice for each file (to lay out and to write): must answer the same. */
  place(file: LayerInode): FileChunks;
  /** Reads one chunk of a file as its reader would see it, holes as zeros, for a chunk that is copied. */
  readChunk(file: LayerInode, offset: number, lengthBytes: number): Buffer;
}
