import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NETWORK CONTAINER',
  minArgs: 2,
  maxArgs: 2,
  flags: [{ name: 'force', short: 'f', type: 'bool', help: 'Force the container to disconnect from a network' }],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [network = '', container = ''] = flags.args;
  await context.client.send({
    method: 'POST',
    path: `/networks/${segment(network)}/disconnect`,
    json: { Container: container, Force: flags.bool('force') },
  });
  return 0;
}
