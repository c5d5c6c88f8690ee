/** Where the archive that save and export get goes: a file or stdout. */
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { withTransferProgress } from '../output/transfer-progress.ts';
import { reasonOf } from './client-source.ts';

/** To be called before the archive is asked for. @throws CliError where it would fill a terminal */
export function checkArchiveOutput({ stdout }: Pick<CommandContext, 'stdout'>, path: string | undefined): void {
  if (path === undefined && stdout.isTerminal) {
    throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
}

/** Writes the archive to `path`, showing how far it is, or without one quietly to stdout. @throws CliError */
export async function writeArchive(
  { stdout, stderr }: Pick<CommandContext, 'stdout' | 'stderr'>,
  stream: AsyncIterable<Uint8Array>,
  { path, title }: { readonly path: string | undefined; readonly title: string },
): Promise<void> {
  const quiet = path === undefined;
  const progress = withTransferProgress({ stream, sizeBytes: null }, { title, output: stderr, quiet });
  try {
    if (path === undefined) {
      for await (const chunk of progress.stream) if (!stdout.push(chunk)) await stdout.drained();
      await stdout.drained();
    } else await writeFileWhole(path, progress.stream);
  } finally {
    progress.done();
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
    if (error instanceof CliError) throw error;
    throw new CliError(`cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
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
