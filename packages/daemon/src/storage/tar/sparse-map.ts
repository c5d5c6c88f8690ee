/** Where the pieces of a sparse file lie (GNU tar manual, "Storing Sparse Files"). */

import { parseDecimal } from './pax-records.ts';
import type { SparseExtent } from './tar-entry.ts';
import { tarError } from './tar-error.ts';
import { parseTarNumber, TAR_BLOCK_BYTES } from './tar-header.ts';

/** Offset and length pairs, as the archive lists them. */
export type SparsePairs = number[];

const OLD_GNU_FIRST = 386;
const OLD_GNU_IN_HEADER = 4;
const OLD_GNU_EXTENDED_FLAG = 482;
const OLD_GNU_REAL_SIZE = 483;
const OLD_GNU_IN_BLOCK = 21;
const OLD_GNU_BLOCK_FLAG = 504;

/** Map and apparent size in a GNU `S` header; `extended` says that another map block follows. */
export function parseOldGnuSparseHeader(
  block: Buffer,
  offset: number,
): { pairs: SparsePairs; sizeBytes: number; extended: boolean } {
  const pairs: SparsePairs = [];
  appendOldGnuPairs(block, offset + OLD_GNU_FIRST, OLD_GNU_IN_HEADER, pairs);
  return {
    pairs,
    sizeBytes: parseTarNumber(block, offset + OLD_GNU_REAL_SIZE, 12, 'sparse size'),
    extended: block[offset + OLD_GNU_EXTENDED_FLAG] !== 0,
  };
}

/** Appends the pairs of one further map block; returns whether yet another follows. */
export function parseOldGnuSparseBlock(block: Buffer, pairs: SparsePairs): boolean {
  appendOldGnuPairs(block, 0, OLD_GNU_IN_BLOCK, pairs);
  return block[OLD_GNU_BLOCK_FLAG] !== 0;
}

function appendOldGnuPairs(block: Buffer, start: number, count: number, pairs: SparsePairs): void {
  for (let i = 0; i < count; i++) {
    const at = start + i * 24;
    if (block[at] === 0 && block[at + 12] === 0) return;
    pairs.push(parseTarNumber(block, at, 12, 'sparse offset'), parseTarNumber(block, at + 12, 12, 'sparse length'));
  }
}

/** The comma-separated map of format 0.1 (and of 0.0, joined). */
export function parseSparseMapRecord(map: string): SparsePairs {
  return map === '' ? [] : map.split(',').map((number) => parseDecimal(number, 'sparse map'));
}

/**
 * The map of format 1.0: decimal numbers, one a line, at the start of the member's data, padded to whole blocks.
 * Returns null while `data` (whole blocks) does not hold all of it yet.
 * @throws TsdError bad_parameter: malformed.
 */
export function parseSparseMapPrefix(data: Buffer): { pairs: SparsePairs; mapBytes: number } | null {
  let position = 0;
  const next = (): number | null => {
    const end = data.indexOf(0x0a, position);
    if (end < 0) {
      if (data.length - position > 32) throw tarError('a sparse map is malformed');
      return null;
    }
    const value = parseDecimal(data.toString('latin1', position, end), 'sparse map');
    position = end + 1;
    return value;
  };
  const count = next();
  if (count === null) return null;
  // Each number takes at least two bytes: do not parse again and again what cannot be complete.
  if (position + count * 4 > data.length) return null;
  const pairs: SparsePairs = [];
  for (let i = 0; i < count * 2; i++) {
    const value = next();
    if (value === null) return null;
    pairs.push(value);
  }
  return { pairs, mapBytes: Math.ceil(position / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES };
}

/**
 * Turns listed pairs into extents: their data lies in the archive one after the other, without padding.
 * @throws TsdError bad_parameter: overlapping, unsorted, beyond the file's size, or not as long as the stored data.
 */
export function sparseExtents(
  pairs: SparsePairs,
  sizeBytes: number,
  dataOffset: number,
  storedBytes: number,
): SparseExtent[] {
  if (pairs.length % 2 !== 0) throw tarError('a sparse map is malformed');
  const extents: SparseExtent[] = [];
  let end = 0;
  let archiveOffset = dataOffset;
  for (let i = 0; i < pairs.length; i += 2) {
    const offset = pairs[i] as number;
    const length = pairs[i + 1] as number;
    if (offset < end || length < 0 || offset + length > sizeBytes)
      throw tarError('a sparse map overlaps itself or reaches beyond its file');
    end = offset + length;
    if (length > 0) {
      const previous = extents.at(-1);
      if (previous !== undefined && previous.offset + previous.length === offset)
        extents[extents.length - 1] = { ...previous, length: previous.length + length };
      else extents.push({ offset, length, archiveOffset });
    }
    archiveOffset += length;
  }
  if (archiveOffset - dataOffset !== storedBytes) throw tarError('a sparse map does not match the data stored');
  return extents;
}
