import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: 'TERM',
  minArgs: 1,
  maxArgs: 1,
  flags: [],
  description: 'Not supported: registries have no common way to search. Use the website of the registry.',
};

export async function run({ client, stdout }: CommandContext, flags: ParsedFlags): Promise<number> {
  const [term = ''] = flags.args;
  const response = await client.request({ method: 'GET', path: '/images/search', query: { term } });
  stdout.write(`${await response.text()}\n`);
  return 0;
}
