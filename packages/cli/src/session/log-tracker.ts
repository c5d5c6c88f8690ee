/**
 * Follows where in a log the client is, so that a followed log can be taken up again after the daemon was restarted,
 * without a line lost or shown twice. The log is asked for with times, which are removed here unless the user wants them.
 */

const NEWLINE = 0x0a;
const BLANK = 0x20;
/** Longer than any RFC 3339 time with nanoseconds: what has no blank by then has no time in front. */
const MAX_TIME_BYTES = 40;

export interface LogTracker {
  /** Takes text of one stream and gives back what is to be shown of it. */
  push(stream: number, text: Uint8Array): Uint8Array;
  /** The time to ask the log from, null when nothing was seen yet. What was shown already is left out from then on. */
  resume(): string | null;
}

interface StreamState {
  /** The bytes of a line's time as far as they came; null within a line's text. */
  time: number[] | null;
  /** The time of the line that is being read. */
  lineTime: string;
  /** Bytes of its text that were shown, or skipped because they had been. */
  textBytes: number;
  /** Bytes of its text that are still to be skipped. */
  skipBytes: number;
  /** Lines begun at the latest time. */
  linesAtLatest: number;
  /** After resuming: lines of the latest time that were shown as a whole, and what was shown of the one behind them. */
  skipLines: number;
  skipNextBytes: number;
}

export function createLogTracker(showTimes: boolean): LogTracker {
  const streams = new Map<number, StreamState>();
  let latest = '';
  let resumedAt = '';

  const stateOf = (stream: number): StreamState => {
    let state = streams.get(stream);
    if (state === undefined) {
      state = { time: [], lineTime: '', textBytes: 0, skipBytes: 0, linesAtLatest: 0, skipLines: 0, skipNextBytes: 0 };
      streams.set(stream, state);
    }
    return state;
  };

  /** The line's time is complete; true when the line is to be shown with it. */
  const beginLine = (state: StreamState, time: string): boolean => {
    state.lineTime = time;
    state.textBytes = 0;
    state.skipBytes = 0;
    if (time > latest) {
      latest = time;
      for (const other of streams.values()) other.linesAtLatest = 0;
    }
    if (time === resumedAt) {
      if (state.skipLines > 0) {
        state.skipLines--;
        state.skipBytes = Number.POSITIVE_INFINITY;
        return false;
      }
      if (state.skipNextBytes > 0) {
        state.skipBytes = state.skipNextBytes;
        state.skipNextBytes = 0;
        return false;
      }
    }
    return true;
  };

  return {
    push(stream, text) {
      const state = stateOf(stream);
      const shown = Buffer.allocUnsafe(text.length + MAX_TIME_BYTES);
      let written = 0;
      let position = 0;
      while (position < text.length) {
        if (state.time !== null) {
          const byte = text[position++] ?? 0;
          if (byte !== BLANK && state.time.length < MAX_TIME_BYTES) {
            state.time.push(byte);
            continue;
          }
          const time = Buffer.from([...state.time, byte]);
          state.time = null;
          const wanted = beginLine(state, time.toString('latin1', 0, time.length - 1));
          if (state.lineTime === latest) state.linesAtLatest++;
          if (wanted && showTimes) written += time.copy(shown, written);
          continue;
        }
        const newline = text.indexOf(NEWLINE, position);
        const end = newline === -1 ? text.length : newline + 1;
        const skipped = Math.min(state.skipBytes, end - position);
        state.skipBytes -= skipped;
        state.textBytes += end - position;
        shown.set(text.subarray(position + skipped, end), written);
        written += end - position - skipped;
        position = end;
        if (newline !== -1) state.time = [];
      }
      return shown.subarray(0, written);
    },
    resume() {
      if (latest === '') return null;
      resumedAt = latest;
      for (const state of streams.values()) {
        // A line without its end was shown in part; what was being skipped counts as shown.
        const open = state.time === null && state.lineTime === latest;
        const unfinished = state.skipBytes === Number.POSITIVE_INFINITY ? false : open;
        state.skipLines = state.linesAtLatest - (unfinished ? 1 : 0);
        state.skipNextBytes = unfinished ? state.textBytes + state.skipBytes : 0;
        state.linesAtLatest = 0;
        state.time = [];
      }
      return latest;
    },
  };
}
