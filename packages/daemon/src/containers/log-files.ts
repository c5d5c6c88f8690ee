/** The files of a container's log: `container.log` and its rotated predecessors `.1`, `.2`, … */
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

export interface LogFile {
  readonly handle: FileHandle;
  readonly inode: number;
}

/** Rotation renames one file after the other: a snapshot taken in the middle is taken again. */
const SNAPSHOT_TRIES = 20;

/** Opens all files, the oldest first. Rotation while they are being opened is noticed. Empty where there is no log yet. */
export async function openLogFiles(file: string): Promise<readonly LogFile[]> {
  for (let attempt = 1; ; attempt++) {
    const files = await tryOpenAll(file);
    if (files.complete || attempt === SNAPSHOT_TRIES) return files.opened;
    await closeLogFiles(files.opened);
  }
}

/**
 * The file that was written after the one with this inode: null when it is still the newest. Where rotation has deleted
 * it already (or there was none), the oldest that is left.
 */
export async function openSuccessor(file: string, inode: number | null): Promise<LogFile | null> {
  const files = await openLogFiles(file);
  const index = files.findIndex((candidate) => candidate.inode === inode);
  const successor = files[index + 1] ?? null;
  await closeLogFiles(files.filter((candidate) => candidate !== successor));
  return successor;
}

export async function closeLogFiles(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

async function tryOpenAll(file: string): Promise<{ opened: readonly LogFile[]; complete: boolean }> {
  const numbers = await rotatedNumbers(file);
  const opened: LogFile[] = [];
  const inodes = new Set<number>();
  let complete = numbers.every((number, index) => number === index);
  // The newest first: what a rotation moves meanwhile shows up again under the next name, and is known by its inode.
  for (const number of numbers) {
    const handle = await openIfThere(number === 0 ? file : `${file}.${number}`);
    if (handle === null) {
      complete = false;
      continue;
    }
    const { ino } = await handle.stat();
    if (inodes.has(ino)) {
      await handle.close();
      complete = false;
      continue;
    }
    inodes.add(ino);
    opened.unshift({ handle, inode: ino });
  }
  return { opened, complete };
}

/** 0 for the file itself, n for `.n`; ascending. */
async function rotatedNumbers(file: string): Promise<readonly number[]> {
  const name = basename(file);
  let entries: readonly string[];
  try {
    entries = await readdir(dirname(file));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const numbers: number[] = [];
  for (const entry of entries) {
    if (entry === name) numbers.push(0);
    else if (entry.startsWith(`${name}.`) && /^\d+$/.test(entry.slice(name.length + 1))) {
      numbers.push(Number(entry.slice(name.length + 1)));
    }
  }
  return numbers.sort((a, b) => a - b);
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
