import { encodeFilters } from '@tsd/shared/filters';
import { formatDecimalBytes } from '@tsd/shared/units';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FORCE_FLAG } from '../flags/common-flags.ts';
import { filtersOf } from '../flags/filter-flag.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { confirm } from '../output/confirm.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [
    { name: 'filter', type: 'list', placeholder: 'filter', help: 'Provide filter values (e.g. "until=<timestamp>")' },
    FORCE_FLAG,
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const filters = filtersOf(flags);
  const { stdout } = context;
  if (!flags.bool('force') && !(await confirm(stdout, 'WARNING! This will remove all stopped containers.'))) return 0;
  const result = await context.client.json<{ ContainersDeleted: string[] | null; SpaceReclaimed: number }>({
    method: 'POST',
    path: '/containers/prune',
    query: { filters: filters.size === 0 ? undefined : encodeFilters(filters) },
  });
  const deleted = result.ContainersDeleted ?? [];
  if (deleted.length > 0) stdout.write(`Deleted Containers:\n${deleted.join('\n')}\n\n`);
  stdout.write(`Total reclaimed space: ${formatDecimalBytes(result.SpaceReclaimed, 4)}\n`);
  return 0;
}
