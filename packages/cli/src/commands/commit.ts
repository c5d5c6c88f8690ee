import { parseReference } from '@tsd/shared/image-reference';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  minArgs: 1,
  maxArgs: 2,
  flags: [
    { name: 'author', short: 'a', type: 'string', help: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' },
    { name: 'change', short: 'c', type: 'list', help: 'Apply Dockerfile instruction to the created image' },
    { name: 'message', short: 'm', type: 'string', help: 'Commit message' },
    { name: 'pause', short: 'p', type: 'bool', default: true, help: 'Pause container during commit (default true)' },
    { name: 'no-pause', type: 'bool', help: 'Disable pausing container during commit' },
  ],
  description: 'Makes an image of what a container has written, on top of its own image, and prints its id.',
  examples: [['With another command', 'commit -c \'CMD ["nginx"]\' -m "with nginx" web web:configured']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [container = '', name] = flags.args;
  if (name !== undefined) parseReference(name);
  const { Id } = await context.client.json<{ Id: string }>({
    method: 'POST',
    path: '/commit',
    query: {
      author: flags.string('author'),
      changes: flags.list('change'),
      comment: flags.string('message'),
      container,
      pause: flags.bool('pause') && !flags.bool('no-pause') ? undefined : '0',
      repo: name,
    },
  });
  context.stdout.write(`${Id}\n`);
  return 0;
}
