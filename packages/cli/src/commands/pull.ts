import { parseReference, repositoryName, withDefaultTag } from '@tsd/shared/image-reference';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../output/progress-messages.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    { name: 'platform', type: 'string', help: 'Set platform if server is multi-platform capable' },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Suppress verbose output' },
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = ''] = flags.args;
  const reference = withDefaultTag(parseReference(name));
  const response = await context.client.request({
    method: 'POST',
    path: '/images/create',
    query: {
      fromImage: repositoryName(reference),
      tag: reference.digest ?? reference.tag,
      platform: flags.string('platform'),
    },
  });
  await showProgress(response, { output: context.stdout, quiet: flags.bool('quiet') });
  return 0;
}
