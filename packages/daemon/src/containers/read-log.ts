/**
 * Reads a container's log from its files, rotated ones included, and follows it through rotations. Changes are told by
 * inotify(7); nothing is polled. The reader's pace is the caller's: nothing is read ahead.
 */
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createLogEncoder, type LogSelection } from './log-encoder.ts';
import { closeLogFiles, type LogFile, openLogFiles, openSuccessor } from './log-files.ts';
import { findTail } from './log-tail.ts';
import { nowNs, nsOfTimestamp } from './timestamp.ts';

export interface ReadLogOptions extends LogSelection {
  /** Number of lines from the end; null for all. */
  readonly tail: number | null;
  /** Resolves when nothing more will be written; null reads what is there and ends. */
  readonly followUntil: Promise<void> | null;
  /** Ends the following when the reader is gone. */
  readonly signal?: AbortSignal;
}

const CHUNK_BYTES = 256 * 1024;

/** @param file path of the newest file */
export async function* readLog(file: string, options: ReadLogOptions): AsyncGenerator<Buffer, void, undefined> {
  const encoder = createLogEncoder(options);
  const change = options.followUntil === null ? null : watchLog(file, options.followUntil, options);
  let files: readonly LogFile[] = [];
  let open = new Set<LogFile>();
  try {
    files = await openLogFiles(file);
    open = new Set(files);
    const start = await startPosition(files, options.tail);
    let newest: LogFile | null = null;
    let position = 0;
    for (const [index, current] of files.entries()) {
      if (index < start.file) continue;
      newest = current;
      position = index === start.file ? start.offset : 0;
      for (;;) {
        const { bytes, next } = await readAt(current, position);
        if (bytes.length === 0) break;
        position = next;
        const encoded = encoder.encode(bytes);
        if (encoded.length > 0) yield encoded;
        if (encoder.finished) return;
      }
    }
    if (change === null) return;

    for (;;) {
      // Whatever is written after this line wakes the wait below.
      change.arm();
      const ended = change.ended;
      for (;;) {
        // Looked at before the last bytes are read: a file that has a successor is complete.
        const replaced = newest === null || (await inodeOf(file)) !== newest.inode;
        while (newest !== null) {
          const { bytes, next }: LogBytes = await readAt(newest, position);
          if (next < position) encoder.reset();
          else if (bytes.length === 0) break;
          position = next;
          const encoded = encoder.encode(bytes);
          if (encoded.length > 0) yield encoded;
          if (encoder.finished) return;
        }
        if (!replaced) break;
        const successor = await openSuccessor(file, newest?.inode ?? null);
        if (successor === null) break;
        if (newest !== null) {
          open.delete(newest);
          await newest.handle.close();
        }
        open.add(successor);
        newest = successor;
        position = 0;
      }
      if (ended) return;
      await change.next();
    }
  } finally {
    change?.close();
    await closeLogFiles([...open]);
  }
}

async function startPosition(
  files: readonly LogFile[],
  tail: number | null,
): Promise<{ file: number; offset: number }> {
  if (tail === null) return { file: 0, offset: 0 };
  const sizes = await Promise.all(files.map(async ({ handle }) => (await handle.stat()).size));
  return await findTail(files, sizes, tail);
}

/** Null in the middle of a rotation. */
async function inodeOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).ino;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

interface LogBytes {
  readonly bytes: Buffer;
  /** Where to read next. */
  readonly next: number;
}

/** The bytes at the position; from the beginning where the file has been emptied since (a log that keeps one file). */
async function readAt({ handle }: LogFile, position: number): Promise<LogBytes> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
  if (bytesRead > 0) return { bytes: buffer.subarray(0, bytesRead), next: position + bytesRead };
  const { size } = await handle.stat();
  return { bytes: buffer.subarray(0, 0), next: size < position ? 0 : position };
}

interface LogChange {
  /** From now on a change is remembered. */
  arm(): void;
  /** Nothing more will be written (or wanted). */
  readonly ended: boolean;
  /** Resolves when something changed, or ended, since arm(). */
  next(): Promise<void>;
  close(): void;
}

function watchLog(file: string, followUntil: Promise<void>, { until, signal }: ReadLogOptions): LogChange {
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
  const watcher: FSWatcher = watch(dirname(file), tell);
  watcher.on('error', end);
  followUntil.then(end, end);
  signal?.addEventListener('abort', end, { once: true });
  const remainingMs = until === null ? null : Number((nsOfTimestamp(until) - nowNs()) / 1_000_000n) + 1;
  const timer = remainingMs === null ? undefined : setTimeout(end, Math.min(Math.max(remainingMs, 0), 0x7fff_ffff));
  return {
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
      watcher.close();
    },
  };
}
