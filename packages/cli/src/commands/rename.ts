import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = { usage: 'CONTAINER NEW_NAME', minArgs: 2, maxArgs: 2, flags: [] };

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [container = '', name = ''] = flags.args;
  await context.client.send({ method: 'POST', path: `/containers/${segment(container)}/rename`, query: { name } });
  return 0;
}
