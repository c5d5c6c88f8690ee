/** Values of flags through the shared parsers, with the flag named in errors as pflag does. */
import { TsdError } from '@tsd/shared/errors';
import { UsageError } from '../cli-error.ts';
import { CONTAINER_FLAGS } from '../flags/container-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { invalidArgument } from '../flags/parse-flags.ts';

/** The parsed value of a flag; undefined where it was not given. Throws UsageError. */
export function flagValue<T>(flags: ParsedFlags, name: string, parse: (text: string) => T): T | undefined {
  const text = flags.string(name);
  return text === undefined ? undefined : parseValue(name, text, parse);
}

/** Every parsed value of a repeated flag. Throws UsageError. */
export function flagValues<T>(flags: ParsedFlags, name: string, parse: (text: string) => T): T[] {
  return flags.list(name).map((text) => parseValue(name, text, parse));
}

function parseValue<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TsdError)) throw error;
    throw invalidArgument(CONTAINER_FLAGS.find((flag) => flag.name === name) ?? { name }, text, error.message);
  }
}

/** `key=value` entries as an object; a key alone gets an empty value. Throws UsageError for an empty key. */
export function keyValues(flag: string, values: readonly string[]): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const text of values) {
    const equals = text.indexOf('=');
    const key = equals === -1 ? text : text.slice(0, equals);
    if (key === '') throw new UsageError(`invalid argument "${text}" for "--${flag}" flag: the name is empty`);
    pairs[key] = equals === -1 ? '' : text.slice(equals + 1);
  }
  return pairs;
}

/** The values of a flag that takes several at once, as pflag's string slices do. */
export function commaSeparated(values: readonly string[]): string[] {
  return values.flatMap((text) => text.split(','));
}
