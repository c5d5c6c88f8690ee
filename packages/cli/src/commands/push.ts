import {
  canonicalName,
  familiarName,
  parseReference,
  repositoryName,
  withDefaultTag,
} from '@tsd/shared/image-reference';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { registryAuthHeaders } from '../credentials/registry-auth.ts';
import { DISABLE_CONTENT_TRUST_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../output/progress-messages.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NAME[:TAG]',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    { name: 'all-tags', short: 'a', type: 'bool', help: 'Push all tags of an image to the repository' },
    DISABLE_CONTENT_TRUST_FLAG,
    { name: 'quiet', short: 'q', type: 'bool', help: 'Suppress verbose output' },
  ],
  examples: [
    [
      'Under a name of the registry',
      'tsdctl tag app localhost:5000/team/app:1 && tsdctl push localhost:5000/team/app:1',
    ],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = ''] = flags.args;
  const { client, stdout } = context;
  const quiet = flags.bool('quiet');
  const all = flags.bool('all-tags');
  const given = parseReference(name);
  if (all && (given.tag !== undefined || given.digest !== undefined)) {
    throw new CliError("tag can't be used with --all-tags/-a");
  }
  if (given.digest !== undefined) throw new CliError('cannot push a digest reference');
  const reference = all ? given : withDefaultTag(given);
  if (!all && given.tag === undefined && !quiet) stdout.write(`Using default tag: ${reference.tag}\n`);
  const response = await client.request({
    method: 'POST',
    path: `/images/${segment(familiarName(reference))}/push`,
    query: { tag: reference.tag },
    headers: await registryAuthHeaders(context, reference),
  });
  await showProgress(response, { output: stdout, quiet });
  if (quiet) stdout.write(`${all ? repositoryName(reference) : canonicalName(reference)}\n`);
  return 0;
}
