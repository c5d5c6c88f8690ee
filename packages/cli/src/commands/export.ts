import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { archiveOutput, writeArchive } from '../session/archive-output.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER',
  minArgs: 1,
  maxArgs: 1,
  flags: [{ name: 'output', short: 'o', type: 'string', help: 'Write to a file, instead of STDOUT' }],
  examples: [['An image of one layer from a container', 'export web | tsdctl import - web:flat']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [container = ''] = flags.args;
  const output = await archiveOutput(context, { path: flags.string('output'), failure: 'failed to export container' });
  const response = await context.client.request({ method: 'GET', path: `/containers/${segment(container)}/export` });
  await writeArchive(context, response.chunks(), { output, title: 'Exporting' });
  return 0;
}
