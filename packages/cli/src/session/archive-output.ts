/** Where the archive that save and export get goes: a file, a pipe with a name, or stdout. */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readlink, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { withTransferProgress } from '../output/transfer-progress.ts';
import { reasonOf } from './client-source.ts';

export type ArchiveOutput =
  | { readonly kind: 'stdout' }
  /** `path` is a regular file or nothing: replaced by the whole archive, and by nothing less. */
  | { readonly kind: 'file'; readonly path: string }
  /** `path` is a pipe with a name: written to as it is. */
  | { readonly kind: 'pipe'; readonly path: string };

/**
 * Decides where the archive goes, before it is asked for. A symbolic link stays, and what it names is written.
 *
 * @param failure what did not work, for the message: `failed to save image`
 * @throws CliError where it would fill a terminal, and for what is no place for an archive: a device (which a rename would
 *   put a file in place of), a socket, a directory; in the words of docker's client (moby/sys atomicwriter)
 */
export async function archiveOutput(
  { stdout }: Pick<CommandContext, 'stdout'>,
  { path, failure }: { readonly path: string | undefined; readonly failure: string },
): Promise<ArchiveOutput> {
  if (path === undefined) {
    if (!stdout.isTerminal) return { kind: 'stdout' };
    throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
  try {
    const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (status === null || status.isFile()) {
      const file = await behindLinks(path);
      await stat(dirname(file));
      return { kind: 'file', path: file };
    }
    if (status.isFIFO()) return { kind: 'pipe', path };
    throw new CliError(`${failure}: cannot write to ${kindOf(status)}`);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${failure}: invalid output path: ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function kindOf(status: Stats): string {
  if (status.isCharacterDevice()) return 'a character device file';
  if (status.isBlockDevice()) return 'a block device file';
  return status.isDirectory() ? 'a directory' : 'a socket';
}

/** The kernel's own limit (MAXSYMLINKS). */
const LINK_LIMIT = 40;

/** What a path names in the end, whether it is there or not: realpath(3) knows no file that is yet to be made. */
async function behindLinks(path: string): Promise<string> {
  let current = path;
  for (let followed = 0; followed < LINK_LIMIT; followed += 1) {
    const target = await readlink(current).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EINVAL' || error.code === 'ENOENT') return null;
      throw error;
    });
    if (target === null) return current;
    // Not normalised: `..` behind a link to a directory leads elsewhere than the text says.
    current = isAbsolute(target) ? target : `${dirname(current)}/${target}`;
  }
  throw new Error('too many levels of symbolic links');
}

/** Writes the archive: to a file or pipe showing how far it is, to stdout quietly. @throws CliError */
export async function writeArchive(
  { stdout, stderr }: Pick<CommandContext, 'stdout' | 'stderr'>,
  stream: AsyncIterable<Uint8Array>,
  { output, title }: { readonly output: ArchiveOutput; readonly title: string },
): Promise<void> {
  const quiet = output.kind === 'stdout';
  const progress = withTransferProgress({ stream, sizeBytes: null }, { title, output: stderr, quiet });
  try {
    if (output.kind === 'stdout') {
      for await (const chunk of progress.stream) if (!stdout.push(chunk)) await stdout.drained();
      await stdout.drained();
    } else if (output.kind === 'pipe') await writePipe(output.path, progress.stream);
    else await writeFileWhole(output.path, progress.stream);
  } finally {
    progress.done();
  }
}

async function writePipe(path: string, stream: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    const file = await open(path, constants.O_WRONLY);
    try {
      await writeBatches(file, stream);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** Writes under a temporary name, so that an archive that broke off is never taken for a whole one. */
async function writeFileWhole(path: string, stream: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await writeBatches(file, stream);
      await file.chmod(0o666 & ~process.umask());
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw cannotWrite(path, error);
  }
}

function cannotWrite(path: string, error: unknown): CliError {
  if (error instanceof CliError) return error;
  return new CliError(`cannot write ${path}: ${reasonOf(error)}`, { cause: error });
}

/** Chunks that are written together. */
const BATCH_BYTES = 1024 * 1024;

async function writeBatches(file: FileHandle, stream: AsyncIterable<Uint8Array>): Promise<void> {
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  for await (const chunk of stream) {
    batch.push(chunk);
    batchBytes += chunk.length;
    if (batchBytes < BATCH_BYTES) continue;
    await writeAll(file, batch, batchBytes);
    batch = [];
    batchBytes = 0;
  }
  await writeAll(file, batch, batchBytes);
}

/** writev(2) may write less than it was given. */
async function writeAll(file: FileHandle, batch: readonly Uint8Array[], batchBytes: number): Promise<void> {
  if (batchBytes === 0) return;
  const { bytesWritten } = await file.writev([...batch]);
  if (bytesWritten < batchBytes) await file.writeFile(Buffer.concat(batch).subarray(bytesWritten));
}
