import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: 'CONTAINER',
  minArgs: 1,
  maxArgs: 1,
  flags: [],
  description: 'Each line is a path after A (added), C (changed) or D (deleted).',
};

/** By Docker's numbers. */
const KINDS: readonly string[] = ['C', 'A', 'D'];

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [container = ''] = flags.args;
  const changes = await context.client.json<{ Path: string; Kind: number }[] | null>({
    method: 'GET',
    path: `/containers/${segment(container)}/changes`,
  });
  // The names are the container's: they must not steer the user's terminal.
  const shown = (path: string): string => (context.stdout.isTerminal ? path.replace(/\p{Cc}/gu, '?') : path);
  context.stdout.write((changes ?? []).map(({ Path, Kind }) => `${KINDS[Kind] ?? '?'} ${shown(Path)}\n`).join(''));
  return 0;
}
