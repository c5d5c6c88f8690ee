import type { ImageHistoryItem } from '@tsd/shared/api-images';
import { formatAgo, formatDecimalBytes } from '@tsd/shared/units';
import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FORMAT_FLAG, NO_TRUNC_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { ellipsis } from '../output/display-width.ts';
import { formatList, type ListFormat } from '../output/format-list.ts';
import { rfc3339 } from '../output/time-text.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] IMAGE',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    FORMAT_FLAG,
    {
      name: 'human',
      short: 'H',
      type: 'bool',
      default: true,
      help: 'Print sizes and dates in human readable format (default true)',
    },
    NO_TRUNC_FLAG,
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only show image IDs' },
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [image = ''] = flags.args;
  const items = await context.client.json<ImageHistoryItem[]>({
    method: 'GET',
    path: `/images/${segment(image)}/history`,
  });
  const truncate = !flags.bool('no-trunc');
  if (flags.bool('quiet')) {
    context.stdout.write(items.map((item) => `${layerId(item.Id, truncate)}\n`).join(''));
    return 0;
  }
  context.stdout.write(await formatList(historyList(truncate, flags.bool('human')), items, flags.string('format')));
  return 0;
}

function historyList(truncate: boolean, human: boolean): ListFormat<ImageHistoryItem> {
  const isDated = ({ Created }: ImageHistoryItem): boolean => Created > 0;
  return {
    table: human
      ? ['ID', 'CreatedSince', 'CreatedBy', 'Size', 'Comment']
      : ['ID', 'CreatedAt', 'CreatedBy', 'Size', 'Comment'],
    columns: {
      ID: { title: 'IMAGE', value: ({ Id }) => layerId(Id, truncate) },
      CreatedSince: {
        title: 'CREATED',
        value: (item) => (isDated(item) ? (human ? formatAgo(item.Created * 1000) : rfc3339(item.Created)) : 'N/A'),
      },
      CreatedAt: { title: 'CREATED AT', value: ({ Created }) => rfc3339(Created) },
      CreatedBy: {
        title: 'CREATED BY',
        value: ({ CreatedBy }) => {
          const text = CreatedBy.replaceAll('\t', ' ');
          return truncate ? ellipsis(text, 45) : text;
        },
      },
      Size: { title: 'SIZE', value: ({ Size }) => (human ? formatDecimalBytes(Size, 3) : String(Size)) },
      Comment: { title: 'COMMENT', value: ({ Comment }) => Comment },
    },
  };
}

function layerId(id: string, truncate: boolean): string {
  return truncate ? id.replace(/^sha256:/, '').slice(0, 12) : id;
}
