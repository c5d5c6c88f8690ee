import type { NetworkPruneResponse } from '@tsd/shared/api-networks';
import { encodeFilters } from '@tsd/shared/filters';
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

const WARNING = 'WARNING! This will remove all custom networks not used by at least one container.';

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const filters = filtersOf(flags);
  const { stdout } = context;
  if (!flags.bool('force') && !(await confirm(stdout, WARNING))) return 0;
  const { NetworksDeleted } = await context.client.json<NetworkPruneResponse>({
    method: 'POST',
    path: '/networks/prune',
    query: { filters: filters.size === 0 ? undefined : encodeFilters(filters) },
  });
  const deleted = NetworksDeleted ?? [];
  if (deleted.length > 0) stdout.write(`Deleted Networks:\n${deleted.join('\n')}\n\n`);
  return 0;
}
