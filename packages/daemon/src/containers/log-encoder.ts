/** Turns the records of a log into what GET /containers/{id}/logs sends: selected, framed, with or without times. */
import { endsLine, isRecord, NEWLINE, streamOf, TEXT_OFFSET, TIMESTAMP_BYTES } from './log-record.ts';

export interface LogSelection {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Times as timestamp.ts writes them: the first and the last that are wanted; null for no bound. */
  readonly since: string | null;
  readonly until: string | null;
  /** Put the time before each line. */
  readonly timestamps: boolean;
  /** Docker's 8-byte frames, one per record; otherwise bare text (a terminal's output). */
  readonly multiplexed: boolean;
}

export interface LogEncoder {
  /** Encodes the complete records in the bytes; what is behind the last newline is kept for the next call. */
  encode(bytes: Buffer): Buffer;
  /** A record later than `until` was seen: nothing that follows is wanted. */
  readonly finished: boolean;
  /** Forgets a half record: the next bytes come from another place. */
  reset(): void;
}

const FRAME_HEADER_BYTES = 8;

export function createLogEncoder(selection: LogSelection): LogEncoder {
  const since = selection.since === null ? null : Buffer.from(selection.since, 'latin1');
  const until = selection.until === null ? null : Buffer.from(selection.until, 'latin1');
  // Whether the next record of stdout (1) and stderr (2) begins a line.
  const atLineStart = [true, true, true];
  let rest: Buffer = Buffer.alloc(0);
  let finished = false;

  /** Writes one record to `out` and returns the position behind it. */
  function encodeRecord(input: Buffer, start: number, end: number, out: Buffer, at: number): number {
    const stream = streamOf(input, start);
    const complete = endsLine(input, start);
    const lineStart = atLineStart[stream] ?? true;
    atLineStart[stream] = complete;
    if (stream === 1 ? !selection.stdout : !selection.stderr) return at;
    let position = selection.multiplexed ? at + FRAME_HEADER_BYTES : at;
    const textStart = position;
    if (selection.timestamps && lineStart) {
      // With the blank behind it.
      position += input.copy(out, position, start, start + TIMESTAMP_BYTES + 1);
    }
    position += input.copy(out, position, start + TEXT_OFFSET, end);
    if (complete) out[position++] = NEWLINE;
    if (selection.multiplexed) {
      out.writeUInt32BE((stream << 24) >>> 0, at);
      out.writeUInt32BE(position - textStart, at + 4);
    }
    return position;
  }

  return {
    encode(bytes) {
      const input = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      // A record's head is longer than a frame's header and a newline, and with the time exactly as long.
      const out = Buffer.allocUnsafe(input.length);
      let written = 0;
      let start = 0;
      while (!finished) {
        const end = input.indexOf(NEWLINE, start);
        if (end === -1) break;
        if (isRecord(input, start, end) && !(since !== null && compareTime(input, start, since) < 0)) {
          if (until !== null && compareTime(input, start, until) > 0) finished = true;
          else written = encodeRecord(input, start, end, out, written);
        }
        start = end + 1;
      }
      rest = input.subarray(start);
      return out.subarray(0, written);
    },
    get finished() {
      return finished;
    },
    reset() {
      rest = Buffer.alloc(0);
    },
  };
}

function compareTime(bytes: Buffer, start: number, time: Buffer): number {
  return bytes.compare(time, 0, time.length, start, start + TIMESTAMP_BYTES);
}
