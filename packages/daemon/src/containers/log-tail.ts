/** Finds where the last lines of a log begin, reading backwards. */
import { type LogFile, readLogFile } from './log-files.ts';
import { isRecord, lineEnd, NEWLINE } from './log-record.ts';

const BLOCK_BYTES = 256 * 1024;

export interface TailStart {
  /** Index into the files. */
  readonly file: number;
  readonly offset: number;
}

/**
 * Where the last `lines` lines begin. A line is what a record ends, or a run with it; one that is unfinished at the end counts too.
 *
 * @param files the oldest first
 * @param sizes how much of each counts: what is written meanwhile comes after the position anyway
 */
export async function findTail(files: readonly LogFile[], sizes: readonly number[], lines: number): Promise<TailStart> {
  let left = lines;
  // Whether a record is followed by one that ends its line: a line begins behind the end of the one before it.
  let inLine = false;
  for (let file = files.length - 1; file >= 0; file--) {
    const one = files[file];
    if (one === undefined) continue;
    let tail: Buffer = Buffer.alloc(0);
    let blockEnd = sizes[file] ?? 0;
    while (blockEnd > 0) {
      const blockStart = Math.max(0, blockEnd - BLOCK_BYTES);
      const bytes = Buffer.concat([await readLogFile(one, blockStart, blockEnd - blockStart), tail]);
      // Records that begin in these bytes, from the last to the first; the one that the block cuts is left for later.
      let end = bytes.lastIndexOf(NEWLINE);
      while (end !== -1) {
        const before = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1);
        if (before === -1 && blockStart > 0) break;
        const start = before + 1;
        if (end > start && isRecord(bytes, start, end)) {
          if (lineEnd(bytes, start) !== 'open' || !inLine) {
            if (left === 0) return { file, offset: blockStart + end + 1 };
            left -= 1;
            inLine = true;
          }
        }
        if (before === -1) break;
        end = before;
      }
      tail = end === -1 ? bytes : bytes.subarray(0, end + 1);
      blockEnd = blockStart;
    }
  }
  return { file: 0, offset: 0 };
}
