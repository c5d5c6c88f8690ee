/** The archive that load and import send: a file or stdin. */
import { type FileHandle, open } from 'node:fs/promises';
import { isatty } from 'node:tty';
import { CliError } from '../cli-error.ts';
import { reasonOf } from './client-source.ts';

export interface ArchiveInput {
  readonly stream: AsyncIterable<Uint8Array>;
  /** null where it is not known (a pipe). */
  readonly sizeBytes: number | null;
  readonly isTerminal: boolean;
}

const READ_BYTES = 256 * 1024;

/** Opens a file, or stdin for undefined and `-`. Throws CliError. */
export async function openArchive(path: string | undefined): Promise<ArchiveInput> {
  if (path === undefined || path === '-') {
    return { stream: process.stdin, sizeBytes: null, isTerminal: isatty(0) };
  }
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const stat = await file.stat();
    if (stat.isDirectory()) throw new CliError(`${path} is a directory, not an archive`);
    return { stream: readFile(file), sizeBytes: stat.isFile() ? stat.size : null, isTerminal: false };
  } catch (error) {
    await file?.close();
    if (error instanceof CliError) throw error;
    throw new CliError(`open ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Reads into two buffers in turn, one ahead: a chunk is valid until the next one is asked for. A stream of fs would
 * allocate every chunk anew, which takes longer than reading it.
 */
async function* readFile(file: FileHandle): AsyncGenerator<Uint8Array, void, undefined> {
  const buffers = [Buffer.allocUnsafeSlow(READ_BYTES), Buffer.allocUnsafeSlow(READ_BYTES)] as const;
  try {
    let reading = file.read(buffers[0], 0, READ_BYTES);
    for (let turn = 1; ; turn++) {
      const { bytesRead, buffer } = await reading;
      if (bytesRead === 0) return;
      reading = file.read(buffers[turn % 2 === 0 ? 0 : 1], 0, READ_BYTES);
      // Its failure is seen when its turn comes, if it comes.
      reading.catch(() => undefined);
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
