import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { eachTarget } from './each-target.ts';

/** The flags of `stop` and `restart`, which stops first. */
export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    { name: 'signal', short: 's', type: 'string', help: 'Signal to send to the container' },
    {
      name: 'timeout',
      short: 't',
      type: 'int',
      aliases: ['time'],
      help: 'Seconds to wait before killing the container (-1: as long as it takes)',
    },
  ],
};

/** Sends the verb with those flags for each container. */
export function stopEach(context: CommandContext, flags: ParsedFlags, verb: 'stop' | 'restart'): Promise<number> {
  const query = { signal: flags.string('signal'), t: flags.int('timeout') };
  return eachTarget(context, flags.args, (name) =>
    context.client.send({ method: 'POST', path: `/containers/${segment(name)}/${verb}`, query }),
  );
}

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  return stopEach(context, flags, 'stop');
}
