import { parseReference } from '@tsd/shared/image-reference';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../output/progress-messages.ts';
import { withTransferProgress } from '../output/transfer-progress.ts';
import { openArchive } from '../session/archive-input.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] file|URL|- [REPOSITORY[:TAG]]',
  minArgs: 1,
  maxArgs: 2,
  flags: [
    { name: 'change', short: 'c', type: 'list', help: 'Apply Dockerfile instruction to the created image' },
    { name: 'message', short: 'm', type: 'string', help: 'Set commit message for imported image' },
    { name: 'platform', type: 'string', help: 'Set platform if server is multi-platform capable' },
  ],
  description: 'Makes an image of one layer from a root file system in a tar archive and prints its id.',
  examples: [
    ['A Debian root file system', 'import -c \'CMD ["bash"]\' debian.tar debian:local'],
    ['From a pipe', 'mmdebstrap bookworm - | tsdctl import - debian:bookworm'],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [source = '', name] = flags.args;
  if (name !== undefined) parseReference(name);
  const query = {
    changes: flags.list('change'),
    fromSrc: source,
    message: flags.string('message'),
    platform: flags.string('platform'),
    repo: name,
  };
  if (/^https?:\/\//.test(source)) {
    const response = await context.client.request({ method: 'POST', path: '/images/create', query });
    await showProgress(response, { output: context.stdout });
    return 0;
  }
  const archive = await openArchive(source);
  if (archive.isTerminal) throw new CliError('requested import from stdin, but stdin is a terminal');
  const progress = withTransferProgress(archive, { title: 'Importing', output: context.stderr, quiet: false });
  try {
    const response = await context.client.request({
      method: 'POST',
      path: '/images/create',
      query: { ...query, fromSrc: '-' },
      stream: progress.stream,
      contentType: 'text/plain',
    });
    progress.done();
    await showProgress(response, { output: context.stdout });
  } finally {
    progress.done();
  }
  return 0;
}
