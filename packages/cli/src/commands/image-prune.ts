import type { ImageDeleteItem, ImagePruneResult } from '@tsd/shared/api-images';
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
    { name: 'all', short: 'a', type: 'bool', help: 'Remove all unused images, not just dangling ones' },
    {
      name: 'blobs',
      type: 'bool',
      help: 'Also remove the compressed layers that are kept for pushes; a later push compresses them again',
    },
    { name: 'filter', type: 'list', placeholder: 'filter', help: 'Provide filter values (e.g. "until=<timestamp>")' },
    FORCE_FLAG,
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const given = filtersOf(flags);
  const all = flags.bool('all');
  const { stdout } = context;
  const blobs = flags.bool('blobs');
  const what =
    (all ? 'all images without at least one container associated to them' : 'all dangling images') +
    (blobs ? ' and all compressed layers that are kept for pushes' : '');
  if (!flags.bool('force') && !(await confirm(stdout, `WARNING! This will remove ${what}.`))) return 0;
  const filters = new Map(given).set('dangling', [String(!all)]);
  if (blobs) filters.set('blobs', ['true']);
  const result = await context.client.json<ImagePruneResult>({
    method: 'POST',
    path: '/images/prune',
    query: { filters: encodeFilters(filters) },
  });
  const deleted = result.ImagesDeleted ?? [];
  if (deleted.length > 0) stdout.write(`Deleted Images:\n${deleted.map(pruneLine).join('')}\n`);
  stdout.write(`Total reclaimed space: ${formatDecimalBytes(result.SpaceReclaimed, 4)}\n`);
  return 0;
}

/** Docker writes these in lower case, other than those of rmi. */
function pruneLine({ Deleted, Untagged = '' }: ImageDeleteItem): string {
  return Deleted === undefined ? `untagged: ${Untagged}\n` : `deleted: ${Deleted}\n`;
}
