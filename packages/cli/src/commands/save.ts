import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { archiveOutput, writeArchive } from '../session/archive-output.ts';

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
  const output = await archiveOutput(context, { path: flags.string('output'), failure: 'failed to save image' });
  const response = await context.client.request({
    method: 'GET',
    path: '/images/get',
    query: { names: flags.args, platform: flags.string('platform') },
  });
  await writeArchive(context, response.chunks(), { output, title: 'Saving' });
  return 0;
}
