import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { stopEach, spec as stopSpec } from './stop.ts';

export const spec: CommandSpec = stopSpec;

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  return stopEach(context, flags, 'restart');
}
