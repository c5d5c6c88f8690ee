/** Turns the records of a log into what GET /containers/{id}/logs sends: selected, framed, with or without times. */
import { isRecord, lineEnd, NEWLINE, streamOf, TIMESTAMP_BYTES, textStart } from './log-record.ts';

export interface LogSelection {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Times as timestamp.ts writes them: the first and the last that are wanted; null for no bound. */
  readonly since: string | null;
  readonly until: string | null;
  /** Put the time before each line. */
  readonly timestamps: boolean;
  /** What stands before each line, behind the time; empty for nothing. */
  readonly details: string;
  /** Docker's 8-byte frames, one per record; otherwise bare text (a terminal's output). */
  readonly multiplexed: boolean;
}

export interface LogEncoder {
  /**
   * Encodes the complete records at the beginning of the bytes, up to `consumed`. What is behind must be given again: it is a
   * record's beginning, or more than fits in one answer.
   */
  encode(bytes: Buffer): { readonly encoded: Buffer; readonly consumed: number };
  /** A record later than `until` was seen: nothing that follows is wanted. */
  readonly finished: boolean;
}

const FRAME_HEADER_BYTES = 8;

export function createLogEncoder(selection: LogSelection): LogEncoder {
  const since = selection.since === null ? null : Buffer.from(selection.since, 'latin1');
  const until = selection.until === null ? null : Buffer.from(selection.until, 'latin1');
  const details = Buffer.from(selection.details);
  // Whether the next record of stdout (1) and stderr (2) begins a line.
  const atLineStart = [true, true, true];
  let finished = false;

  /** Writes one record to `out` and returns the position behind it. */
  function encodeRecord(input: Buffer, start: number, end: number, out: Buffer, at: number): number {
    const stream = streamOf(input, start);
    const ends = lineEnd(input, start);
    const lineStart = atLineStart[stream] ?? true;
    atLineStart[stream] = ends !== 'open';
    if (stream === 1 ? !selection.stdout : !selection.stderr) return at;
    let position = selection.multiplexed ? at + FRAME_HEADER_BYTES : at;
    const payloadStart = position;
    if (lineStart) {
      // With the blank behind it.
      if (selection.timestamps) position += input.copy(out, position, start, start + TIMESTAMP_BYTES + 1);
      position += details.copy(out, position);
    }
    position += input.copy(out, position, textStart(input, start), end);
    if (ends === 'newline') out[position++] = NEWLINE;
    if (selection.multiplexed) {
      out.writeUInt32BE((stream << 24) >>> 0, at);
      out.writeUInt32BE(position - payloadStart, at + 4);
    }
    return position;
  }

  return {
    encode(input) {
      // A record's head is longer than a frame's header and a newline, and with the time exactly as long.
      const out = Buffer.allocUnsafe(2 * details.length + input.length);
      let written = 0;
      let start = 0;
      while (!finished) {
        const end = input.indexOf(NEWLINE, start);
        if (end === -1 || written + details.length + (end + 1 - start) > out.length) break;
        if (isRecord(input, start, end) && !(since !== null && compareTime(input, start, since) < 0)) {
          if (until !== null && compareTime(input, start, until) > 0) finished = true;
          else written = encodeRecord(input, start, end, out, written);
        }
        start = end + 1;
      }
      return { encoded: out.subarray(0, written), consumed: start };
    },
    get finished() {
      return finished;
    },
  };
}

function compareTime(bytes: Buffer, start: number, time: Buffer): number {
  return bytes.compare(time, 0, time.length, start, start + TIMESTAMP_BYTES);
}
