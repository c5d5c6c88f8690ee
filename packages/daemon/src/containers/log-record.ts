/**
 * Records of a container's log as the supervisor writes them (packages/launcher/PROTOCOL.md, "Log"): CRI's format, with
 * everything before the tag at fixed places. `2026-11-23T20:31:24.123456789Z stdout F text\n`
 */

export const TIMESTAMP_BYTES = 30;
/** `o` of stdout, `e` of stderr. */
const STREAM_LETTER_OFFSET = 34;
const TAG_OFFSET = 38;
/** The shortest head of a record: with a tag of one letter. */
export const HEAD_BYTES = 40;

const SPACE = 0x20;
const COLON = 0x3a;
const LETTER_E = 0x65;
const LETTER_F = 0x46;
const LETTER_P = 0x50;
const LETTER_T = 0x54;
export const NEWLINE = 0x0a;

const END_TAG = Buffer.from('P:end ', 'latin1');
/** Tag of the record at the beginning of every file but the log's first, which has no text. */
const FILE_TAG = Buffer.from('P:file-', 'latin1');
/** The longest record that names a file, bytes. */
export const FILE_RECORD_BYTES = TAG_OFFSET + FILE_TAG.length + 20 + 2;

/** Whether the bytes from `start` up to `end` (the newline) are a record with text: what was half written or overwritten is not. */
export function isRecord(bytes: Buffer, start: number, end: number): boolean {
  if (
    end - start < HEAD_BYTES ||
    bytes[start + 10] !== LETTER_T ||
    bytes[start + TIMESTAMP_BYTES] !== SPACE ||
    bytes[start + TAG_OFFSET - 1] !== SPACE
  ) {
    return false;
  }
  const tag = bytes[start + TAG_OFFSET];
  if (bytes[start + TAG_OFFSET + 1] === SPACE) return tag === LETTER_F || tag === LETTER_P;
  return hasTag(bytes, start, end, END_TAG);
}

/** Docker's stream number: 1 stdout, 2 stderr. */
export function streamOf(bytes: Buffer, start: number): 1 | 2 {
  return bytes[start + STREAM_LETTER_OFFSET] === LETTER_E ? 2 : 1;
}

/**
 * What a record does with its line: `newline` ends it (`F`); `unfinished` is the last of a run that ended without a newline
 * (`P:end`); after `open` (`P`) the stream's next record goes on with it.
 */
export function lineEnd(bytes: Buffer, start: number): 'newline' | 'unfinished' | 'open' {
  if (bytes[start + TAG_OFFSET] === LETTER_F) return 'newline';
  return bytes[start + TAG_OFFSET + 1] === COLON ? 'unfinished' : 'open';
}

/** Where a record's text begins. */
export function textStart(bytes: Buffer, start: number): number {
  return start + (bytes[start + TAG_OFFSET + 1] === COLON ? TAG_OFFSET + END_TAG.length : HEAD_BYTES);
}

/** How many files of the log were made before the one that begins with these bytes. */
export function sequenceOf(beginning: Buffer): number {
  const end = beginning.indexOf(NEWLINE);
  if (end === -1 || !hasTag(beginning, 0, end, FILE_TAG)) return 0;
  return Number(beginning.toString('latin1', TAG_OFFSET + FILE_TAG.length, end));
}

function hasTag(bytes: Buffer, start: number, end: number, tag: Buffer): boolean {
  const at = start + TAG_OFFSET;
  return end - at >= tag.length && bytes.compare(tag, 0, tag.length, at, at + tag.length) === 0;
}
