import type { NetworkResource } from '@tsd/shared/api-networks';
import { encodeFilters } from '@tsd/shared/filters';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FILTER_FLAG, FORMAT_FLAG, NO_TRUNC_FLAG } from '../flags/common-flags.ts';
import { filtersOf } from '../flags/filter-flag.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { formatList, type ListFormat } from '../output/format-list.ts';
import { naturalOrder } from '../output/natural-order.ts';
import { goTimeTextOf } from '../output/time-text.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [
    FILTER_FLAG,
    FORMAT_FLAG,
    NO_TRUNC_FLAG,
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only display network IDs' },
  ],
  examples: [['Networks that are not used by any container', 'network ls --filter dangling=true']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const filters = filtersOf(flags);
  const networks = await context.client.json<NetworkResource[]>({
    method: 'GET',
    path: '/networks',
    query: { filters: filters.size === 0 ? undefined : encodeFilters(filters) },
  });
  networks.sort((left, right) => naturalOrder(left.Name, right.Name));
  const truncate = !flags.bool('no-trunc');
  const format = flags.string('format');
  if (flags.bool('quiet') && (format === undefined || format === 'table')) {
    context.stdout.write(networks.map(({ Id }) => `${shownId(Id, truncate)}\n`).join(''));
    return 0;
  }
  context.stdout.write(await formatList(networkList(truncate), networks, format));
  return 0;
}

/** Docker's fields of a network (docker/cli cli/command/network/formatter.go). */
function networkList(truncate: boolean): ListFormat<NetworkResource> {
  return {
    table: ['ID', 'Name', 'Driver', 'Scope'],
    columns: {
      ID: { title: 'NETWORK ID', value: ({ Id }) => shownId(Id, truncate) },
      Name: { title: 'NAME', value: ({ Name }) => Name },
      Driver: { title: 'DRIVER', value: ({ Driver }) => Driver },
      Scope: { title: 'SCOPE', value: ({ Scope }) => Scope },
      IPv4: { title: 'IPV4', value: ({ EnableIPv4 }) => String(EnableIPv4) },
      IPv6: { title: 'IPV6', value: ({ EnableIPv6 }) => String(EnableIPv6) },
      Internal: { title: 'INTERNAL', value: ({ Internal }) => String(Internal) },
      Labels: {
        title: 'LABELS',
        value: ({ Labels }) =>
          Object.entries(Labels)
            .map(([key, value]) => `${key}=${value}`)
            .sort()
            .join(','),
      },
      CreatedAt: { title: 'CREATED AT', value: ({ Created }) => goTimeTextOf(Created) },
    },
    methods: { Label: ({ Labels }, name) => Labels[name] ?? '' },
  };
}

function shownId(id: string, truncate: boolean): string {
  return truncate ? id.slice(0, 12) : id;
}
