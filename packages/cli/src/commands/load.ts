import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../output/progress-messages.ts';
import { withTransferProgress } from '../output/transfer-progress.ts';
import { openArchive } from '../session/archive-input.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [
    { name: 'input', short: 'i', type: 'string', help: 'Read from tar archive file, instead of STDIN' },
    { name: 'platform', type: 'string', help: 'Load only the given platform variant' },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Suppress the load output' },
  ],
  description: 'Loads images from an archive of "docker save" or an OCI layout; gzip and zstd are understood.',
  examples: [
    ['From a file', 'load -i alpine.tar'],
    ['From another engine', 'docker save alpine | tsdctl load'],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const quiet = flags.bool('quiet');
  const path = flags.string('input');
  const archive = await openArchive(path);
  if (archive.isTerminal) throw new CliError('requested load from stdin, but stdin is empty');
  const progress = withTransferProgress(archive, { title: 'Loading', output: context.stderr, quiet });
  try {
    const response = await context.client.request({
      method: 'POST',
      path: '/images/load',
      query: { platform: flags.string('platform'), quiet: true },
      stream: progress.stream,
      contentType: 'application/x-tar',
    });
    progress.done();
    await showProgress(response, { output: context.stdout });
  } finally {
    progress.done();
  }
  return 0;
}
