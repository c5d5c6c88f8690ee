/** What a blob is, by its first bytes: archives name their blobs by digest, so names do not say. */
import { isZeroBlock, parseTarHeader, TAR_BLOCK_BYTES } from '../storage/tar/tar-header.ts';

/** Bytes that {@link sniffContent} wants to see, where there are that many. */
export const SNIFF_BYTES = TAR_BLOCK_BYTES;

export type ContentKind = 'tar' | 'gzip' | 'zstd' | 'bzip2' | 'xz' | 'other';

const MAGICS: readonly (readonly [ContentKind, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/** RFC 1952, RFC 8878 (a skippable frame may come first) and pax(1); an empty tar is two blocks of zeros. */
export function sniffContent(head: Buffer): ContentKind {
  if (head.length >= TAR_BLOCK_BYTES && isTarBlock(head)) return 'tar';
  for (const [kind, magic] of MAGICS) {
    if (head.length >= magic.length && magic.every((byte, index) => head[index] === byte)) return kind;
  }
  const isSkippableFrame =
    head.length >= 4 && ((head[0] ?? 0) & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
  return isSkippableFrame ? 'zstd' : 'other';
}

function isTarBlock(head: Buffer): boolean {
  if (isZeroBlock(head, 0)) return true;
  try {
    parseTarHeader(head, 0);
    return true;
  } catch {
    // A wrong checksum: not a tar header.
    return false;
  }
}
