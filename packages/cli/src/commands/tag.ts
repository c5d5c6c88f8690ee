import { isDigest, parseReference, repositoryName, withDefaultTag } from '@tsd/shared/image-reference';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  minArgs: 2,
  maxArgs: 2,
  flags: [],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [source = '', target = ''] = flags.args;
  if (isDigest(target)) throw new CliError('refusing to create a tag with a digest reference');
  const reference = withDefaultTag(parseReference(target));
  if (reference.digest !== undefined) throw new CliError('refusing to create a tag with a digest reference');
  await context.client.send({
    method: 'POST',
    path: `/images/${segment(source)}/tag`,
    query: { repo: repositoryName(reference), tag: reference.tag },
  });
  return 0;
}
