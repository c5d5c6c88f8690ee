import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { registerWait } from '../session/exit-status.ts';
import { exitStatusOptions } from '../session/foreground.ts';
import { eachTarget } from './each-target.ts';

export const spec: CommandSpec = {
  usage: 'CONTAINER [CONTAINER...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [],
};

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  return eachTarget(context, flags.args, async (name) => {
    const exit = await registerWait(exitStatusOptions(context), name, 'not-running');
    return String(await exit.exitCode);
  });
}
