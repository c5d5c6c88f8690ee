/**
 * Reads a container's log from its files, rotated ones included, and follows it through rotations. Changes are told by
 * inotify(7); nothing is polled. The reader's pace is the caller's: nothing is read ahead.
 */
import { type LogChain, openLogChain } from './log-chain.ts';
import { createLogEncoder, type LogSelection } from './log-encoder.ts';
import { sizeOf } from './log-files.ts';
import { createLogReader } from './log-reader.ts';
import { findTail } from './log-tail.ts';
import { nowNs, nsOfTimestamp } from './timestamp.ts';

export interface ReadLogOptions extends LogSelection {
  /** Number of lines from the end; null for all. */
  readonly tail: number | null;
  /** Resolves when nothing more will be written; null reads what is there and ends. */
  readonly followUntil: Promise<void> | null;
  /** Ends the following when the reader is gone. */
  readonly signal?: AbortSignal;
  /** Told how many files rotation deleted before they could be read. */
  readonly onGap: (files: number) => void;
}

/** @param file path of the newest file */
export async function* readLog(file: string, options: ReadLogOptions): AsyncGenerator<Buffer, void, undefined> {
  const encoder = createLogEncoder(options);
  const change = options.followUntil === null ? null : awaitChange(options.followUntil, options);
  let chain: LogChain | null = null;
  try {
    chain = openLogChain(file, change);
    const reader = createLogReader(chain, encoder, await skipToTail(chain, options.tail), options.onGap);
    for (;;) {
      // Whatever is written after this line wakes the wait below.
      change?.arm();
      const ended = change === null || change.ended;
      if (change !== null) chain.refresh();
      for (let piece = await reader.next(); piece !== null; piece = await reader.next()) yield piece;
      if (ended || encoder.finished) return;
      await change?.next();
    }
  } finally {
    change?.close();
    chain?.close();
  }
}

/** Drops the files before the last lines; returns where those begin in the first file that is left. */
async function skipToTail(chain: LogChain, tail: number | null): Promise<number> {
  if (tail === null) return 0;
  const { file, offset } = await findTail([...chain.files], chain.files.map(sizeOf), tail);
  for (let count = 0; count < file; count++) chain.advance();
  return offset;
}

interface Change {
  readonly onChange: () => void;
  readonly onError: () => void;
  /** From now on a change is remembered. */
  arm(): void;
  /** Nothing more will be written (or wanted). */
  readonly ended: boolean;
  /** Resolves when something changed, or ended, since arm(). */
  next(): Promise<void>;
  close(): void;
}

function awaitChange(followUntil: Promise<void>, { until, signal }: ReadLogOptions): Change {
  let changed = false;
  let ended = false;
  let wake: (() => void) | null = null;
  const tell = () => {
    changed = true;
    wake?.();
  };
  const end = () => {
    ended = true;
    tell();
  };
  followUntil.then(end, end);
  signal?.addEventListener('abort', end, { once: true });
  const remainingMs = until === null ? null : Number((nsOfTimestamp(until) - nowNs()) / 1_000_000n) + 1;
  const timer = remainingMs === null ? undefined : setTimeout(end, Math.min(Math.max(remainingMs, 0), 0x7fff_ffff));
  return {
    onChange: tell,
    onError: end,
    arm() {
      changed = false;
    },
    get ended() {
      return ended;
    },
    async next() {
      if (changed || ended) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = null;
    },
    close() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    },
  };
}
