/** The archive that load and import send: a file or stdin. */
import { open } from 'node:fs/promises';
import { isatty } from 'node:tty';
import { CliError } from '../cli-error.ts';
import { reasonOf } from './client-source.ts';

export interface ArchiveInput {
  readonly stream: AsyncIterable<Uint8Array>;
  /** null where it is not known (a pipe). */
  readonly sizeBytes: number | null;
  readonly isTerminal: boolean;
}

const READ_BYTES = 1024 * 1024;

/** Opens a file, or stdin for undefined and `-`. Throws CliError. */
export async function openArchive(path: string | undefined): Promise<ArchiveInput> {
  if (path === undefined || path === '-') {
    return { stream: process.stdin, sizeBytes: null, isTerminal: isatty(0) };
  }
  try {
    const file = await open(path, 'r');
    const stat = await file.stat();
    if (stat.isDirectory()) throw new CliError(`${path} is a directory, not an archive`);
    const stream = file.createReadStream({ highWaterMark: READ_BYTES });
    return { stream, sizeBytes: stat.isFile() ? stat.size : null, isTerminal: false };
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`open ${path}: ${reasonOf(error)}`, { cause: error });
  }
}
