import { canonicalName, parseReference, repositoryName, withDefaultTag } from '@tsd/shared/image-reference';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { DISABLE_CONTENT_TRUST_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { pullImage } from '../session/pull-image.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    { name: 'all-tags', short: 'a', type: 'bool', help: 'Download all tagged images in the repository' },
    DISABLE_CONTENT_TRUST_FLAG,
    { name: 'platform', type: 'string', help: 'Set platform if server is multi-platform capable' },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Suppress verbose output' },
  ],
  examples: [
    ['From Docker Hub', 'pull alpine'],
    ['From a registry of your own', 'pull registry.example.com:5000/team/app:1.2'],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = ''] = flags.args;
  const { stdout } = context;
  const quiet = flags.bool('quiet');
  const all = flags.bool('all-tags');
  const given = parseReference(name);
  const isBare = given.tag === undefined && given.digest === undefined;
  if (all && !isBare) throw new CliError("tag can't be used with --all-tags/-a");
  const reference = all ? given : withDefaultTag(given);
  if (!all && isBare && !quiet) stdout.write(`Using default tag: ${reference.tag}\n`);
  await pullImage(context, reference, { output: stdout, quiet, platform: flags.string('platform') });
  stdout.write(`${all ? repositoryName(reference) : canonicalName(reference)}\n`);
  return 0;
}
