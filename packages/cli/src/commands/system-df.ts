import type { ContainerSummary } from '@tsd/shared/api-containers';
import type { ImageSummary } from '@tsd/shared/api-images';
import type { DiskUsage } from '@tsd/shared/api-system';
import { formatDecimalBytes } from '@tsd/shared/units';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FORMAT_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { formatList, type ListFormat, plainRow } from '../output/format-list.ts';
import { templateRenderer } from '../output/print-inspected.ts';
import { type ImageRow, imageList, NONE } from './images.ts';
import { containerList } from './ps.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [FORMAT_FLAG, { name: 'verbose', short: 'v', type: 'bool', help: 'Show detailed information on space usage' }],
  description:
    'The size of images includes the compressed layers that are kept so that a pulled image can be pushed unchanged; ' +
    '"tsdctl image prune --blobs" gives their space back.',
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const usage = await context.client.json<DiskUsage>({ method: 'GET', path: '/system/df' });
  const format = flags.string('format');
  const text = flags.bool('verbose')
    ? await verboseText(usage, format)
    : await formatList(SUMMARY_LIST, summaryRows(usage), format);
  context.stdout.write(text);
  return 0;
}

/** One kind of thing; docker/cli, formatter/disk_usage.go. */
interface SummaryRow {
  readonly type: string;
  readonly total: number;
  readonly active: number;
  readonly sizeBytes: number;
  readonly reclaimable: string;
}

const SUMMARY_LIST: ListFormat<SummaryRow> = {
  table: ['Type', 'TotalCount', 'Active', 'Size', 'Reclaimable'],
  columns: {
    Type: { title: 'TYPE', value: ({ type }) => type },
    TotalCount: { title: 'TOTAL', value: ({ total }) => String(total) },
    Active: { title: 'ACTIVE', value: ({ active }) => String(active) },
    Size: { title: 'SIZE', value: ({ sizeBytes }) => formatDecimalBytes(sizeBytes, 4) },
    Reclaimable: { title: 'RECLAIMABLE', value: ({ reclaimable }) => reclaimable },
  },
};

const ACTIVE_STATES: ReadonlySet<string> = new Set(['running', 'paused', 'restarting']);

function summaryRows({ LayersSize, Images, Containers }: DiskUsage): SummaryRow[] {
  const images = Images ?? [];
  const containers = Containers ?? [];
  const used = images.filter((image) => image.Containers > 0);
  const active = containers.filter(({ State }) => ACTIVE_STATES.has(State));
  const usedBytes = sum(used.map(({ Size, SharedSize }) => (Size < 0 || SharedSize < 0 ? 0 : Size - SharedSize)));
  const writtenBytes = sum(containers.map(({ SizeRw = 0 }) => SizeRw));
  const stoppedBytes = writtenBytes - sum(active.map(({ SizeRw = 0 }) => SizeRw));
  const nothing = { total: 0, active: 0, sizeBytes: 0, reclaimable: '0B' };
  return [
    {
      type: 'Images',
      total: images.length,
      active: used.length,
      sizeBytes: LayersSize,
      reclaimable: share(LayersSize - usedBytes, LayersSize),
    },
    {
      type: 'Containers',
      total: containers.length,
      active: active.length,
      sizeBytes: writtenBytes,
      reclaimable: share(stoppedBytes, writtenBytes),
    },
    { type: 'Local Volumes', ...nothing },
    { type: 'Build Cache', ...nothing },
  ];
}

/** `6B (50%)`; without the share where there is nothing. */
function share(bytes: number, totalBytes: number): string {
  const size = formatDecimalBytes(bytes, 4);
  return totalBytes > 0 ? `${size} (${Math.trunc((bytes * 100) / totalBytes)}%)` : size;
}

async function verboseText(usage: DiskUsage, format: string | undefined): Promise<string> {
  const images = { ...imageList(format === undefined), table: IMAGE_COLUMNS };
  const containers = { ...containerList(format === undefined), table: CONTAINER_COLUMNS };
  const imageRows = (usage.Images ?? []).map(imageRow);
  // The size of the image is not the container's.
  const containerRows = (usage.Containers ?? []).map((row): ContainerSummary => ({ ...row, SizeRootFs: 0 }));
  const render = await templateRenderer(format === 'table' ? undefined : format);
  if (render !== undefined) {
    return `${render({
      Images: imageRows.map((row) => plainRow(images, row)),
      Containers: containerRows.map((row) => plainRow(containers, row)),
      Volumes: [],
      BuildCache: [],
    })}\n`;
  }
  return [
    'Images space usage:\n\n',
    await formatList(images, imageRows, undefined),
    `\nCompressed layers kept for pushes: ${formatDecimalBytes(usage.BlobsSize ?? 0, 4)}\n`,
    '\nContainers space usage:\n\n',
    await formatList(containers, containerRows, undefined),
    '\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\n',
    '\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n',
  ].join('');
}

const IMAGE_COLUMNS = ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size', 'SharedSize', 'UniqueSize', 'Containers'];
const CONTAINER_COLUMNS = ['ID', 'Image', 'Command', 'LocalVolumes', 'Size', 'RunningFor', 'Status', 'Names'];

/** A row for every image, with its first tag. */
function imageRow(image: ImageSummary): ImageRow {
  const [name = `${NONE}:${NONE}`] = image.RepoTags ?? [];
  const colon = name.lastIndexOf(':');
  return { image, repository: name.slice(0, colon), tag: name.slice(colon + 1), digest: '' };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
