import type { ImageSummary } from '@tsd/shared/api-images';
import { encodeFilters } from '@tsd/shared/filters';
import { formatAgo, formatDecimalBytes } from '@tsd/shared/units';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FILTER_FLAG, FORMAT_FLAG, NO_TRUNC_FLAG } from '../flags/common-flags.ts';
import { filtersOf } from '../flags/filter-flag.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { formatList, type ListFormat } from '../output/format-list.ts';
import { goTimeText } from '../output/time-text.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  minArgs: 0,
  maxArgs: 1,
  flags: [
    { name: 'all', short: 'a', type: 'bool', help: 'Show all images (default hides intermediate images)' },
    { name: 'digests', type: 'bool', help: 'Show digests' },
    FILTER_FLAG,
    FORMAT_FLAG,
    NO_TRUNC_FLAG,
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only show image IDs' },
  ],
  examples: [['Images without a tag', 'images --filter dangling=true']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const filters = new Map(filtersOf(flags));
  const [name] = flags.args;
  if (name !== undefined) filters.set('reference', [...(filters.get('reference') ?? []), name]);
  const images = await context.client.json<ImageSummary[]>({
    method: 'GET',
    path: '/images/json',
    query: { all: flags.bool('all'), filters: filters.size === 0 ? undefined : encodeFilters(filters) },
  });
  const truncate = !flags.bool('no-trunc');
  const format = flags.string('format');
  const digests = flags.bool('digests') || /\.Digest\b/.test(format ?? '');
  const rows = images.flatMap((image) => imageRows(image, digests));
  if (flags.bool('quiet') && (format === undefined || format === 'table')) {
    context.stdout.write(rows.map((row) => `${imageId(row.image.Id, truncate)}\n`).join(''));
    return 0;
  }
  context.stdout.write(await formatList(imageList(truncate, flags.bool('digests')), rows, format));
  return 0;
}

export interface ImageRow {
  readonly image: ImageSummary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

export const NONE = '<none>';

/** A row for every tag; repositories that are known by digest only get one too (docker/cli formatter/image.go). */
function imageRows(image: ImageSummary, withDigests: boolean): ImageRow[] {
  const digests = new Map<string, string[]>();
  // Docker before 23 sends null for none.
  for (const text of image.RepoDigests ?? []) {
    const at = text.lastIndexOf('@');
    const repository = text.slice(0, at);
    digests.set(repository, [...(digests.get(repository) ?? []), text.slice(at + 1)]);
  }
  const rows: ImageRow[] = [];
  const tagged = new Set<string>();
  for (const text of image.RepoTags ?? []) {
    const colon = text.lastIndexOf(':');
    const repository = text.slice(0, colon);
    const tag = text.slice(colon + 1);
    if (repository === NONE) continue;
    tagged.add(repository);
    const known = withDigests ? (digests.get(repository) ?? []) : [];
    for (const digest of known.length === 0 ? [NONE] : known) rows.push({ image, repository, tag, digest });
  }
  for (const [repository, known] of digests) {
    if (tagged.has(repository)) continue;
    for (const digest of withDigests ? known : known.slice(0, 1)) {
      rows.push({ image, repository, tag: NONE, digest: withDigests ? digest : NONE });
    }
  }
  return rows.length === 0 ? [{ image, repository: NONE, tag: NONE, digest: NONE }] : rows;
}

/** Docker's fields of an image (docker/cli formatter/image.go). */
export function imageList(truncate: boolean, withDigests = false): ListFormat<ImageRow> {
  const size = (bytes: number | undefined, precision = 4): string =>
    bytes === undefined || bytes < 0 ? 'N/A' : formatDecimalBytes(bytes, precision);
  return {
    table: ['Repository', 'Tag', ...(withDigests ? ['Digest'] : []), 'ID', 'CreatedSince', 'Size'],
    columns: {
      ID: { title: 'IMAGE ID', value: ({ image }) => imageId(image.Id, truncate) },
      Repository: { title: 'REPOSITORY', value: ({ repository }) => repository },
      Tag: { title: 'TAG', value: ({ tag }) => tag },
      Digest: { title: 'DIGEST', value: ({ digest }) => digest },
      CreatedSince: { title: 'CREATED', value: ({ image }) => formatAgo(image.Created * 1000) },
      CreatedAt: { title: 'CREATED AT', value: ({ image }) => goTimeText(image.Created) },
      Size: { title: 'SIZE', value: ({ image }) => size(image.Size, 3) },
      VirtualSize: { title: 'SIZE', value: ({ image }) => formatDecimalBytes(image.VirtualSize ?? image.Size, 4) },
      SharedSize: { title: 'SHARED SIZE', value: ({ image }) => size(image.SharedSize) },
      UniqueSize: {
        title: 'UNIQUE SIZE',
        value: ({ image }) => size(image.SharedSize < 0 ? undefined : image.Size - image.SharedSize),
      },
      Containers: {
        title: 'CONTAINERS',
        value: ({ image }) => (image.Containers < 0 ? 'N/A' : String(image.Containers)),
      },
    },
  };
}

function imageId(id: string, truncate: boolean): string {
  return truncate ? id.replace(/^sha256:/, '').slice(0, 12) : id;
}
