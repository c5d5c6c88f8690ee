/**
 * Deletes containers' directories in the background: a removed container's files can be many, and nobody has to wait for them. They
 * are first renamed into the trash, which is atomic, and deleted late. What a killed daemon leaves there the next one deletes.
 */
import { type Dirent, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { readdir, rmdir, unlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { createLateWork } from './late-work.ts';
import type { Log } from './log.ts';

export interface Trash {
  /** Moves the directory (or file) to the trash and starts to delete it. Does nothing where it is missing. */
  discard(path: string): void;
  /** Deletes what earlier daemons left. */
  empty(): void;
  /** Deletes what waits at once; resolves when nothing is being deleted: for an orderly end and for tests. */
  idle(): Promise<void>;
}

/** @param directory on the same file system as what is discarded; made where missing */
export function createTrash(directory: string, log: Log): Trash {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let sequence = 0;
  const deletions = createLateWork((path) =>
    deleteTree(path).catch((error: unknown) =>
      log.error({ err: error, path }, 'a removed directory could not be deleted: it is tried again at the next start'),
    ),
  );
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
      deletions.add(target);
    },
    empty() {
      for (const name of readdirSync(directory)) deletions.add(`${directory}/${name}`);
    },
    idle: deletions.idle,
  };
}

/**
 * Deletes one entry after the other. Never in the calling thread: unlink(2) of a file that was just synced waits for the
 * journal, 10 ms and more. fs.rm asks lstat(2) about every entry first, which costs as much again.
 */
async function deleteTree(path: string): Promise<void> {
  const entries = await readEntries(path);
  for (const entry of entries ?? []) {
    const child = `${path}/${entry.name}`;
    if (entry.isDirectory()) await deleteTree(child);
    else await unlink(child);
  }
  await (entries === null ? unlink(path) : rmdir(path));
}

/** Null for what is no directory. */
async function readEntries(path: string): Promise<readonly Dirent[] | null> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return null;
    throw error;
  }
}
