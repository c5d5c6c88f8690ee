/**
 * Records of a container's log as the supervisor writes them (packages/launcher/PROTOCOL.md, "Log"): CRI's format, with
 * everything before the text at fixed places. `2026-11-23T20:31:24.123456789Z stdout F text\n`
 */

export const TIMESTAMP_BYTES = 30;
/** `o` of stdout, `e` of stderr. */
const STREAM_LETTER_OFFSET = 34;
const TAG_OFFSET = 38;
export const TEXT_OFFSET = 40;

const SPACE = 0x20;
const LETTER_E = 0x65;
const LETTER_F = 0x46;
const LETTER_P = 0x50;
const LETTER_T = 0x54;
export const NEWLINE = 0x0a;

/** Whether the bytes from `start` up to `end` (the newline) are a record: what was half written or overwritten is not. */
export function isRecord(bytes: Buffer, start: number, end: number): boolean {
  return (
    end - start >= TEXT_OFFSET &&
    bytes[start + 10] === LETTER_T &&
    bytes[start + TIMESTAMP_BYTES] === SPACE &&
    bytes[start + TAG_OFFSET - 1] === SPACE &&
    (bytes[start + TAG_OFFSET] === LETTER_F || bytes[start + TAG_OFFSET] === LETTER_P) &&
    bytes[start + TAG_OFFSET + 1] === SPACE
  );
}

/** Docker's stream number: 1 stdout, 2 stderr. */
export function streamOf(bytes: Buffer, start: number): 1 | 2 {
  return bytes[start + STREAM_LETTER_OFFSET] === LETTER_E ? 2 : 1;
}

/** Whether the record ends a line; otherwise the next record of its stream goes on with it. */
export function endsLine(bytes: Buffer, start: number): boolean {
  return bytes[start + TAG_OFFSET] === LETTER_F;
}
