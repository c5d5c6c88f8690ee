import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { withTransferProgress } from '../output/transfer-progress.ts';
import { reasonOf } from '../session/client-source.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    { name: 'output', short: 'o', type: 'string', help: 'Write to a file, instead of STDOUT' },
    { name: 'platform', type: 'string', help: 'Save only the given platform variant' },
  ],
  examples: [['Into a compressed file', 'save busybox | gzip > busybox.tar.gz']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const path = flags.string('output');
  if (path === undefined && context.stdout.isTerminal) {
    throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
  const response = await context.client.request({
    method: 'GET',
    path: '/images/get',
    query: { names: flags.args, platform: flags.string('platform') },
  });
  const input = { stream: response.chunks(), sizeBytes: null };
  const quiet = path === undefined;
  const progress = withTransferProgress(input, { title: 'Saving', output: context.stderr, quiet });
  try {
    if (path === undefined) {
      for await (const chunk of progress.stream) if (!context.stdout.push(chunk)) await context.stdout.drained();
      await context.stdout.drained();
    } else await writeFileWhole(path, progress.stream);
  } finally {
    progress.done();
  }
  return 0;
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
    throw new CliError(`save to ${path}: ${reasonOf(error)}`, { cause: error });
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
