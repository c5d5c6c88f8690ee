import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { eachTarget } from './each-target.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    { name: 'force', short: 'f', type: 'bool', help: 'Force the removal of a running container (uses SIGKILL)' },
    { name: 'link', short: 'l', type: 'bool', help: 'Remove the specified link' },
    { name: 'volumes', short: 'v', type: 'bool', help: 'Remove anonymous volumes associated with the container' },
  ],
  examples: [['Remove every stopped container', 'container prune']],
};

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const force = flags.bool('force');
  const query = { force, link: flags.bool('link'), v: flags.bool('volumes') };
  return eachTarget(context, flags.args, async (name) => {
    try {
      await context.client.send({ method: 'DELETE', path: `/containers/${segment(name)}`, query });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404 && force)) throw error;
      // Docker: with --force a container that is not there is told, but is no failure.
      context.stderr.write(`tsdctl: ${error.message}\n`);
      return null;
    }
    return name;
  });
}
