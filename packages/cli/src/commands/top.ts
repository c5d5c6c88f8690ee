import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { alignRows } from '../output/table.ts';

export const spec: CommandSpec = {
  usage: 'CONTAINER [ps OPTIONS]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  interspersed: false,
  flags: [],
  examples: [['Process ids and commands only', 'top web -eo pid,comm']],
};

const MINIMUM_WIDTH = 20;

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = '', ...psArgs] = flags.args;
  const table = await context.client.json<{ Titles: string[]; Processes: string[][] | null }>({
    method: 'GET',
    path: `/containers/${segment(name)}/top`,
    query: { ps_args: psArgs.length === 0 ? undefined : psArgs.join(' ') },
  });
  context.stdout.write(alignRows([table.Titles, ...(table.Processes ?? [])], MINIMUM_WIDTH));
  return 0;
}
