import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { eachTarget } from './each-target.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [{ name: 'signal', short: 's', type: 'string', help: 'Signal to send to the container (default "KILL")' }],
};

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const query = { signal: flags.string('signal') };
  return eachTarget(context, flags.args, (name) =>
    context.client.send({ method: 'POST', path: `/containers/${segment(name)}/kill`, query }),
  );
}
