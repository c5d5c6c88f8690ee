import type { ContainerSummary } from '@tsd/shared/api-containers';
import { encodeFilters } from '@tsd/shared/filters';
import { formatAgo, formatDecimalBytes } from '@tsd/shared/units';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FILTER_FLAG, FORMAT_FLAG, NO_TRUNC_FLAG } from '../flags/common-flags.ts';
import { filtersOf } from '../flags/filter-flag.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { ellipsis } from '../output/display-width.ts';
import { formatList, type ListFormat } from '../output/format-list.ts';
import { portsText } from '../output/ports-text.ts';
import { goTimeText } from '../output/time-text.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [
    { name: 'all', short: 'a', type: 'bool', help: 'Show all containers (default shows just running)' },
    FILTER_FLAG,
    FORMAT_FLAG,
    { name: 'last', short: 'n', type: 'int', help: 'Show n last created containers (includes all states)' },
    { name: 'latest', short: 'l', type: 'bool', help: 'Show the latest created container (includes all states)' },
    NO_TRUNC_FLAG,
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only display container IDs' },
    { name: 'size', short: 's', type: 'bool', help: 'Display total file sizes' },
  ],
  examples: [
    ['Names and states of all containers', "ps -a --format 'table {{.Names}}\\t{{.State}}\\t{{.Status}}'"],
    ['Remove the containers that ended with an error', 'ps -aq --filter exited=1'],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const filters = filtersOf(flags);
  const limit = flags.bool('latest') ? 1 : flags.int('last');
  const format = flags.string('format');
  const wantsSize = flags.bool('size') || /\.Size\b|\bjson \.\s*[}|]/.test(format ?? '');
  const rows = await context.client.json<ContainerSummary[]>({
    method: 'GET',
    path: '/containers/json',
    query: {
      all: flags.bool('all'),
      limit: limit !== undefined && limit > 0 ? limit : undefined,
      size: wantsSize,
      filters: filters.size === 0 ? undefined : encodeFilters(filters),
    },
  });
  const truncate = !flags.bool('no-trunc');
  if (flags.bool('quiet') && (format === undefined || format === 'table')) {
    context.stdout.write(rows.map((row) => `${truncate ? row.Id.slice(0, 12) : row.Id}\n`).join(''));
    return 0;
  }
  context.stdout.write(await formatList(containerList(truncate, flags.bool('size')), rows, format));
  return 0;
}

/** Docker's fields of a container (docker/cli formatter/container.go). */
export function containerList(truncate: boolean, withSize = false): ListFormat<ContainerSummary> {
  const table = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'];
  return {
    table: withSize ? [...table, 'Size'] : table,
    columns: {
      ID: { title: 'CONTAINER ID', value: ({ Id }) => (truncate ? Id.slice(0, 12) : Id) },
      Names: { title: 'NAMES', value: ({ Names }) => namesText(Names, truncate) },
      Image: { title: 'IMAGE', value: (row) => imageText(row, truncate) },
      Command: { title: 'COMMAND', value: ({ Command }) => JSON.stringify(truncate ? ellipsis(Command, 20) : Command) },
      CreatedAt: { title: 'CREATED AT', value: ({ Created }) => goTimeText(Created) },
      RunningFor: { title: 'CREATED', value: ({ Created }) => formatAgo(Created * 1000) },
      Ports: { title: 'PORTS', value: ({ Ports }) => portsText(Ports) },
      State: { title: 'STATE', value: ({ State }) => State },
      Status: { title: 'STATUS', value: ({ Status }) => Status },
      Size: { title: 'SIZE', value: sizeText },
      Labels: { title: 'LABELS', value: ({ Labels }) => labelsText(Labels) },
      Mounts: { title: 'MOUNTS', value: (row) => mountsText(row, truncate) },
      LocalVolumes: {
        title: 'LOCAL VOLUMES',
        value: ({ Mounts }) => String(Mounts.filter((mount) => mount.Driver === 'local').length),
      },
      Networks: { title: 'NETWORKS', value: ({ NetworkSettings }) => Object.keys(NetworkSettings.Networks).join(',') },
    },
    methods: { Label: ({ Labels }, name) => Labels[name] ?? '' },
  };
}

/** Without the slash; links (`/a/b`) only with --no-trunc. */
function namesText(names: readonly string[], truncate: boolean): string {
  const plain = names.map((name) => name.replace(/^\//, ''));
  return (truncate ? plain.filter((name) => !name.includes('/')) : plain).join(',');
}

function imageText(row: ContainerSummary, truncate: boolean): string {
  if (row.Image === '') return '<no image>';
  if (!truncate) return row.Image;
  const id = shortId(row.ImageID);
  if (shortId(row.Image) === id) return id;
  const digest = row.Image.indexOf('@');
  return digest === -1 ? row.Image : row.Image.slice(0, digest);
}

function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

function sizeText(row: ContainerSummary): string {
  const written = formatDecimalBytes(row.SizeRw ?? 0, 3);
  const all = row.SizeRootFs ?? 0;
  return all > 0 ? `${written} (virtual ${formatDecimalBytes(all, 3)})` : written;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',');
}

function mountsText(row: ContainerSummary, truncate: boolean): string {
  const names = row.Mounts.map((mount) => (mount.Name === undefined || mount.Name === '' ? mount.Source : mount.Name));
  return names.map((name) => (truncate ? ellipsis(name, 15) : name)).join(',');
}
