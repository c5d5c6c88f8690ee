/**
 * The files of a log in the order in which they were written, held open, and what rotation adds to them. A reader that is
 * slower than the writer for a while loses nothing that way, whatever rotation deletes meanwhile.
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { closeLogFile, isDeleted, isNewest, type LogFile, openLogFiles, sizeOf } from './log-files.ts';

/** Of deleted files that a reader has not come to yet: what a reader that stands still may cost, in descriptors and on the disk. */
const MAX_DELETED_FILES = 64;
const MAX_DELETED_BYTES = 64 * 1024 * 1024;

export interface LogChain {
  /** The files that are still to be read, the oldest first. */
  readonly files: readonly LogFile[];
  /** Looks for files that were added. */
  refresh(): void;
  /** Closes the first file: it has been read. */
  advance(): void;
  close(): void;
}

export interface LogChange {
  readonly onChange: () => void;
  /** Nothing more can be told. */
  readonly onError: () => void;
}

/** @param change with it, the directory is watched, and added files are opened as soon as they are seen */
export function openLogChain(file: string, change: LogChange | null): LogChain {
  let files: LogFile[] = [];
  const watcher: FSWatcher | null = change === null ? null : watch(dirname(file));

  /** The oldest first: the newest go on with what the reader gets to next anyway. Its reader will find that it is missing. */
  const letGo = (): void => {
    const deleted = files.slice(1, -1).filter(isDeleted);
    let bytes = deleted.reduce((sum, one) => sum + sizeOf(one), 0);
    for (let count = deleted.length; count > MAX_DELETED_FILES || bytes > MAX_DELETED_BYTES; count--) {
      const oldest = deleted.shift();
      if (oldest === undefined) return;
      bytes -= sizeOf(oldest);
      files = files.filter((one) => one !== oldest);
      closeLogFile(oldest);
    }
  };

  const refresh = (): void => {
    const newest = files.at(-1);
    if (newest !== undefined && isNewest(file, newest)) return;
    files.push(...openLogFiles(file, newest?.inode ?? null));
    if (newest !== undefined) letGo();
  };

  watcher?.on('change', (kind, name) => {
    // A file that came or went; what is written to one is no news here.
    if (kind === 'rename' && name === basename(file)) refresh();
    change?.onChange();
  });
  watcher?.on('error', () => change?.onError());
  try {
    refresh();
  } catch (error) {
    watcher?.close();
    throw error;
  }
  return {
    get files() {
      return files;
    },
    refresh,
    advance() {
      const first = files.shift();
      if (first !== undefined) closeLogFile(first);
    },
    close() {
      watcher?.close();
      for (const one of files) closeLogFile(one);
      files = [];
    },
  };
}
