/** Env and Labels from --env, --env-file, --label and --label-file. */
import { parseEnvironmentArgument, parseEnvironmentFile, parseLabels } from '@tsd/shared/environment';
import { TsdError } from '@tsd/shared/errors';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { flagValues } from './flag-value.ts';
import type { RequestSource } from './request-source.ts';

/** Entries of the files first, then --env; a NAME without a value here is sent alone: it removes the image's. */
export function environmentOf(flags: ParsedFlags, source: RequestSource): string[] | null {
  const lookup = (name: string): string | undefined => source.env[name];
  const fromFiles = flags.list('env-file').flatMap((path) => readEntries(path, source, lookup));
  const fromFlags = flagValues(flags, 'env', (text) => parseEnvironmentArgument(text, lookup) ?? text);
  const entries = [...fromFiles, ...fromFlags];
  return entries.length === 0 ? null : entries;
}

/** Labels of the files first, then --label. A name alone in a file is left out, as by Docker. */
export function labelsOf(flags: ParsedFlags, source: RequestSource): Record<string, string> {
  const fromFiles = flags.list('label-file').flatMap((path) => readEntries(path, source, () => undefined));
  const fromFlags = flagValues(flags, 'label', (text) => parseLabels([text]));
  return Object.assign(parseLabels(fromFiles), ...fromFlags);
}

function readEntries(path: string, source: RequestSource, lookup: (name: string) => string | undefined): string[] {
  const text = source.readFile(path);
  try {
    return parseEnvironmentFile(text, lookup, path);
  } catch (error) {
    if (error instanceof TsdError) throw new UsageError(error.message);
    throw error;
  }
}
