/**
 * Deletes containers' directories in the background: a removed container's files can be many, and nobody has to wait for them. They
 * are first renamed into the trash, which is atomic; what a killed daemon leaves there the next one deletes.
 */
import { type Dirent, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Log } from './container-deps.ts';

export interface Trash {
  /** Moves the directory (or file) to the trash and starts to delete it. Does nothing where it is missing. */
  discard(path: string): void;
  /** Deletes what earlier daemons left. */
  empty(): void;
  /** Resolves when nothing is being deleted: for an orderly end and for tests. */
  idle(): Promise<void>;
}

const SMALL_TREE_ENTRIES = 32;

/** @param directory on the same file system as what is discarded; made where missing */
export function createTrash(directory: string, log: Log): Trash {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let tail: Promise<void> = Promise.resolve();
  let sequence = 0;

  // One at a time: deleting is work for the file system's journal, and containers that start come first.
  function deleteLater(path: string): void {
    tail = tail.then(async () => {
      // Whoever made room gets the answer first.
      await turn();
      try {
        // One call for a few files costs less than a turn of the thread pool for each of them.
        if (isSmall(path)) rmSync(path, { recursive: true, force: true });
        else await rm(path, { recursive: true, force: true });
      } catch (error) {
        log.error(
          { err: error, path },
          'a removed directory could not be deleted: it is tried again at the next start',
        );
      }
    });
  }

  return {
    discard(path) {
      sequence += 1;
      const target = `${directory}/${basename(path)}.${process.pid}.${sequence}`;
      try {
        renameSync(path, target);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
        throw error;
      }
      deleteLater(target);
    },
    empty() {
      for (const name of readdirSync(directory)) deleteLater(`${directory}/${name}`);
    },
    idle: () => tail,
  };
}

/** Whether the tree has few entries: what a container that wrote next to nothing leaves. */
function isSmall(path: string): boolean {
  let entries = 0;
  const pending = [path];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of readEntries(directory)) {
      entries += 1;
      if (entries > SMALL_TREE_ENTRIES) return false;
      if (entry.isDirectory()) pending.push(`${directory}/${entry.name}`);
    }
  }
  return true;
}

function readEntries(directory: string): readonly Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return [];
    throw error;
  }
}
