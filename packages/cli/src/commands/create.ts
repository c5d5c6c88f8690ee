import type { CommandContext, CommandSpec } from '../command.ts';
import { CONTAINER_FLAGS } from '../flags/container-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { createRequest } from '../request/create-request.ts';
import { clientSource } from '../session/client-source.ts';
import { createContainer } from '../session/create-container.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  interspersed: false,
  flags: CONTAINER_FLAGS,
  description: 'Creates a container and prints its id. "tsdctl start" starts it.',
  examples: [['Create, start attached, remove', 'create --name job -m 64m busybox sh -c "echo done"']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const request = createRequest(flags, clientSource(context.env));
  const id = await createContainer(context, request, flags);
  context.stdout.write(`${id}\n`);
  return 0;
}
