/** Reads the files of a log one after the other, as what a client gets, and notices what rotation has taken away. */
import type { LogPosition } from '../runtime/launcher-protocol.ts';
import type { LogChain } from './log-chain.ts';
import type { LogEncoder } from './log-encoder.ts';
import { type LogFile, readLogFile, readSequence, sizeOf } from './log-files.ts';

const CHUNK_BYTES = 256 * 1024;

export interface LogReader {
  /** The next encoded piece; null at the end of what there is now, or at the limit. */
  next(limit?: LogPosition): Promise<Buffer | null>;
  /** Where the log ends now. */
  end(): LogPosition;
}

/**
 * @param offset where to begin in the chain's first file
 * @param onGap told how many files were deleted before they could be read
 */
export function createLogReader(
  chain: LogChain,
  encoder: LogEncoder,
  offset: number,
  onGap: (files: number) => void,
): LogReader {
  // Always between two records: what is cut off behind it, because it was half written, is read again.
  let position = offset;
  /** Of the file that is read; null until something is in it. */
  let sequence: number | null = null;
  let lastSequence: number | null = null;

  const begin = (current: LogFile): number => {
    sequence = readSequence(current);
    if (lastSequence !== null && sequence > lastSequence + 1) onGap(sequence - lastSequence - 1);
    return sequence;
  };

  /** How many bytes may be read of the current file: less than a chunk where the limit is near. */
  const roomBefore = (limit: LogPosition | undefined, current: number): number => {
    if (limit === undefined || current < limit.sequence) return CHUNK_BYTES;
    return current > limit.sequence ? 0 : Math.min(CHUNK_BYTES, limit.offset - position);
  };

  return {
    async next(limit) {
      for (;;) {
        const current = chain.files[0];
        if (current === undefined || encoder.finished) return null;
        // Looked at before the last bytes are read: a file that has a successor is complete.
        const complete = chain.files.length > 1;
        const size = sizeOf(current);
        // Somebody has emptied it.
        if (size < position) position = 0;
        if (size > position) {
          const room = roomBefore(limit, sequence ?? begin(current));
          if (room <= 0) return null;
          const bytes = await readLogFile(current, position, room);
          const { encoded, consumed } = encoder.encode(bytes);
          // No record is as long as that.
          const skipped = consumed === 0 && bytes.length === CHUNK_BYTES ? bytes.length : consumed;
          position += skipped;
          if (encoded.length > 0) return encoded;
          if (skipped > 0) continue;
        }
        if (!complete) {
          if (limit !== undefined && sequence !== null && sequence < limit.sequence) onGap(limit.sequence - sequence);
          return null;
        }
        chain.advance();
        position = 0;
        lastSequence = sequence ?? lastSequence;
        sequence = null;
      }
    },
    end() {
      const [before, newest] = [chain.files.at(-2), chain.files.at(-1)];
      if (newest === undefined) return { sequence: 0, offset: 0 };
      const offset = sizeOf(newest);
      // One that is empty does not say yet which one it is.
      if (offset === 0 && before !== undefined) return { sequence: readSequence(before) + 1, offset };
      return { sequence: readSequence(newest), offset };
    },
  };
}
