/** The fixed 512-byte header block: POSIX.1-2017 ustar, GNU, star and v7 (pax(1), "ustar Interchange Format"). */
import type { ByteString } from './tar-entry.ts';
import { tarError } from './tar-error.ts';

export const TAR_BLOCK_BYTES = 512;

/** Field offsets. GNU's old sparse format reuses the prefix area. */
const NAME = 0;
const MODE = 100;
const UID = 108;
const GID = 116;
const SIZE = 124;
const MTIME = 136;
const CHECKSUM = 148;
const TYPE = 156;
const LINK_NAME = 157;
const MAGIC = 257;
const DEVICE_MAJOR = 329;
const DEVICE_MINOR = 337;
const PREFIX = 345;
const PREFIX_END = 500;
const STAR_PREFIX_END = 476;
const STAR_TRAILER = 508;

export interface TarHeader {
  /** The type flag's byte. */
  readonly typeFlag: number;
  readonly name: ByteString;
  readonly linkName: ByteString;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Whether the block at `offset` is all zero: half of an end-of-archive mark. */
export function isZeroBlock(block: Buffer, offset: number): boolean {
  for (let i = offset; i < offset + TAR_BLOCK_BYTES; i++) if (block[i] !== 0) return false;
  return true;
}

/**
 * Decodes the header block at `offset` of `block`.
 * @throws TsdError bad_parameter: wrong checksum or a number that is none.
 */
export function parseTarHeader(block: Buffer, offset: number): TarHeader {
  verifyChecksum(block, offset);
  const hasMagic = block.toString('latin1', offset + MAGIC, offset + MAGIC + 5) === 'ustar';
  // GNU's magic is "ustar  \0"; POSIX's is "ustar\0". Only the latter has a prefix. A v7 header has neither.
  const isPosix = hasMagic && block[offset + MAGIC + 5] === 0;
  const name = text(block, offset + NAME, offset + MODE);
  let fullName = name;
  if (isPosix && block[offset + PREFIX] !== 0) {
    const isStar = block.toString('latin1', offset + STAR_TRAILER, offset + STAR_TRAILER + 4) === 'tar\0';
    fullName = `${text(block, offset + PREFIX, offset + (isStar ? STAR_PREFIX_END : PREFIX_END))}/${name}`;
  }
  return {
    typeFlag: block[offset + TYPE] as number,
    name: fullName,
    linkName: block[offset + LINK_NAME] === 0 ? '' : text(block, offset + LINK_NAME, offset + MAGIC),
    mode: parseTarNumber(block, offset + MODE, 8, 'mode') & 0o7777,
    uid: parseTarNumber(block, offset + UID, 8, 'uid'),
    gid: parseTarNumber(block, offset + GID, 8, 'gid'),
    sizeBytes: parseTarNumber(block, offset + SIZE, 12, 'size'),
    mtimeSeconds: parseTarNumber(block, offset + MTIME, 12, 'mtime'),
    deviceMajor: hasMagic ? parseTarNumber(block, offset + DEVICE_MAJOR, 8, 'devmajor') : 0,
    deviceMinor: hasMagic ? parseTarNumber(block, offset + DEVICE_MINOR, 8, 'devminor') : 0,
  };
}

/**
 * A numeric field: octal, or base-256 (GNU, star) where its first bit is set. Empty is 0.
 * @throws TsdError bad_parameter: neither form, or beyond 2^53.
 */
export function parseTarNumber(block: Buffer, offset: number, length: number, field: string): number {
  const first = block[offset] as number;
  if (first >= 0x80) return parseBase256(block, offset, length, field);
  const end = offset + length;
  let i = offset;
  while (i < end && (block[i] === 0x20 || block[i] === 0)) i++;
  let value = 0;
  for (; i < end; i++) {
    const digit = (block[i] as number) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; i < end; i++) {
    if (block[i] !== 0x20 && block[i] !== 0) throw tarError(`the ${field} field of a header is not a number`);
  }
  return value;
}

/** Two's complement, big-endian; the first bit marks the form and the second is the sign. */
function parseBase256(block: Buffer, offset: number, length: number, field: string): number {
  const first = block[offset] as number;
  const negative = (first & 0x40) !== 0;
  let value = negative ? (first | 0x80) - 0x100 : first & 0x3f;
  for (let i = offset + 1; i < offset + length; i++) value = value * 256 + (block[i] as number);
  if (!Number.isSafeInteger(value)) throw tarError(`the ${field} field of a header is out of range`);
  return value;
}

/** POSIX sums unsigned bytes with the checksum field as spaces; some old programs summed signed ones. */
function verifyChecksum(block: Buffer, offset: number): void {
  const stored = parseTarNumber(block, offset + CHECKSUM, 8, 'checksum');
  const field = sumBytes(block, offset + CHECKSUM, offset + TYPE);
  const unsigned = sumBytes(block, offset, offset + TAR_BLOCK_BYTES) - field + 8 * 0x20;
  if (stored === unsigned) return;
  let highBytes = 0;
  for (let i = offset; i < offset + TAR_BLOCK_BYTES; i++) highBytes += (block[i] as number) >> 7;
  if (stored !== unsigned - 256 * highBytes) throw tarError('a header has a wrong checksum');
}

function sumBytes(block: Buffer, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += block[i] as number;
  return sum;
}

/** Bytes up to the first NUL or the end of the field. */
function text(block: Buffer, start: number, end: number): ByteString {
  let stop = start;
  while (stop < end && block[stop] !== 0) stop++;
  return block.toString('latin1', start, stop);
}
