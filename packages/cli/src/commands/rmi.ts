import type { ImageDeleteItem } from '@tsd/shared/api-images';
import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    { name: 'force', short: 'f', type: 'bool', help: 'Force removal of the image' },
    { name: 'no-prune', type: 'bool', help: 'Do not delete untagged parents' },
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const force = flags.bool('force');
  let exitCode = 0;
  // One after the other: what an image's removal deletes depends on those before it.
  for (const name of flags.args) {
    try {
      const items = await context.client.json<ImageDeleteItem[]>({
        method: 'DELETE',
        path: `/images/${segment(name)}`,
        query: { force, noprune: flags.bool('no-prune') },
      });
      context.stdout.write(items.map(deleteLine).join(''));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      context.stderr.write(`tsdctl: ${error.message}\n`);
      if (!(force && error.status === 404)) exitCode = 1;
    }
  }
  return exitCode;
}

/** `Untagged: …` or `Deleted: …`. */
function deleteLine(item: ImageDeleteItem): string {
  return item.Deleted === undefined ? `Untagged: ${item.Untagged ?? ''}\n` : `Deleted: ${item.Deleted}\n`;
}
