/** The files of a container's log: `container.log` and its rotated predecessors `.1`, `.2`, … */
import { closeSync, fstatSync, openSync, read, readdirSync, readSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { FILE_RECORD_BYTES, sequenceOf } from './log-record.ts';

/** An open file. It can be read to its end even when rotation has deleted it. */
export interface LogFile {
  readonly descriptor: number;
  readonly inode: number;
}

const readBytes = promisify(read);

/**
 * Opens the files that are newer than the one with this inode, which must still be open, the oldest first. All of them where it is
 * null or not there any more. Synchronous: where a log is rotated many times in a second, the time until a file is open counts.
 */
export function openLogFiles(file: string, newerThan: number | null): LogFile[] {
  const opened: LogFile[] = [];
  // Rotation moves files on while this loop goes after them: none is passed over, and whatever comes twice is known by its inode.
  let highest = highestNumber(file);
  for (let number = 0; number <= highest + 1; number++) {
    if (number > highest) highest = Math.max(highest, highestNumber(file));
    const descriptor = openIfThere(number === 0 ? file : `${file}.${number}`);
    if (descriptor === null) continue;
    const inode = fstatSync(descriptor).ino;
    const known = opened.some((other) => other.inode === inode);
    if (known || inode === newerThan) closeSync(descriptor);
    else opened.unshift({ descriptor, inode });
    if (inode === newerThan) break;
  }
  return opened;
}

/** Whether this is the file that is written now. */
export function isNewest(file: string, { inode }: LogFile): boolean {
  return statSync(file, { throwIfNoEntry: false })?.ino === inode;
}

/** At most `bytes` bytes at the position; none at the end. */
export async function readLogFile({ descriptor }: LogFile, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  const { bytesRead } = await readBytes(descriptor, buffer, 0, bytes, position);
  return buffer.subarray(0, bytesRead);
}

/** How many files of the log were made before this one; 0 as well while nothing is in it. */
export function readSequence({ descriptor }: LogFile): number {
  const beginning = Buffer.alloc(FILE_RECORD_BYTES);
  return sequenceOf(beginning.subarray(0, readSync(descriptor, beginning, 0, beginning.length, 0)));
}

export function sizeOf({ descriptor }: LogFile): number {
  return fstatSync(descriptor).size;
}

/** Whether rotation has deleted it: its bytes take disk space only because it is open. */
export function isDeleted({ descriptor }: LogFile): boolean {
  return fstatSync(descriptor).nlink === 0;
}

export function closeLogFile({ descriptor }: LogFile): void {
  closeSync(descriptor);
}

/** 0 for the file itself, n for `.n`; -1 where there is none. */
function highestNumber(file: string): number {
  const name = basename(file);
  let highest = -1;
  for (const entry of listDirectory(dirname(file))) {
    if (entry === name) highest = Math.max(highest, 0);
    else if (entry.startsWith(`${name}.`) && /^\d+$/.test(entry.slice(name.length + 1))) {
      highest = Math.max(highest, Number(entry.slice(name.length + 1)));
    }
  }
  return highest;
}

function listDirectory(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function openIfThere(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
