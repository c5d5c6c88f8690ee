import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { eachTarget } from './each-target.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [{ name: 'force', short: 'f', type: 'bool', help: 'Do not error if the network does not exist' }],
};

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const force = flags.bool('force');
  return eachTarget(context, flags.args, async (name) => {
    try {
      await context.client.send({ method: 'DELETE', path: `/networks/${segment(name)}` });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404 && force)) throw error;
      return null;
    }
    return name;
  });
}
