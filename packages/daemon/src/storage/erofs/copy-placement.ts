/**
 * Copy mode, for kernels before 6.12: blocks of 4 KiB, as those kernels want them, and all content in the image itself.
 * Sparse files keep their holes.
 */
import type { FilePlacement } from './file-placement.ts';
import { PiecedFiles, readThroughTar, type TarReader } from './pieced-files.ts';

const BLOCK_BITS = 12;

export function copyPlacement({ readTar }: { readonly readTar: TarReader }): FilePlacement {
  const pieced = new PiecedFiles({ blockBytes: 1 << BLOCK_BITS, canPointAt: null });
  return {
    blockBits: BLOCK_BITS,
    deviceSizesBytes: [],
    place: (file) => (file.sparseExtents === null ? null : pieced.place(file)),
    readContent: (file, offset, lengthBytes) => readThroughTar(file, offset, lengthBytes, readTar),
  };
}
