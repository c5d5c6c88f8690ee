/** Environment and label arguments and files, as Docker's client reads them (cli, opts/file.go and opts/env.go). */
import { TsdError } from './errors.ts';

/**
 * Entries of an environment file: one NAME=value a line, `#` starts a comment line, leading white space is dropped, no
 * quoting. A name without `=` takes its value from `lookup` and is left out where that has none.
 * Throws bad_parameter naming the line. `source` names the file in errors.
 */
export function parseEnvironmentFile(
  text: string,
  lookup: (name: string) => string | undefined,
  source = 'env file',
): string[] {
  const entries: string[] = [];
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (const [index, rawLine] of lines.entries()) {
    const line = rawLine.replace(/^\s+/, '');
    if (line === '' || line.startsWith('#')) continue;
    const equals = line.indexOf('=');
    const name = equals === -1 ? line.trimEnd() : line.slice(0, equals);
    if (/\s/.test(name)) {
      throw new TsdError(
        'bad_parameter',
        `invalid env file (${source}): variable '${name}' contains whitespaces (line ${index + 1})`,
      );
    }
    if (name === '')
      throw new TsdError('bad_parameter', `invalid env file (${source}): no variable name on line '${line}'`);
    if (equals !== -1) {
      entries.push(line);
      continue;
    }
    const value = lookup(name);
    if (value !== undefined) entries.push(`${name}=${value}`);
  }
  return entries;
}

/** One `-e` value: NAME=value as it is; NAME alone takes its value from `lookup`, null where there is none. */
export function parseEnvironmentArgument(text: string, lookup: (name: string) => string | undefined): string | null {
  const equals = text.indexOf('=');
  if (equals === 0 || text === '') throw new TsdError('bad_parameter', `invalid environment variable: ${text}`);
  if (equals > 0) return text;
  const value = lookup(text);
  return value === undefined ? null : `${text}=${value}`;
}

/** Merges NAME=value lists; a later entry replaces an earlier one of the same name in its place. */
export function mergeEnvironment(...lists: readonly (readonly string[])[]): string[] {
  const positions = new Map<string, number>();
  const merged: string[] = [];
  for (const entry of lists.flat()) {
    const equals = entry.indexOf('=');
    const name = equals === -1 ? entry : entry.slice(0, equals);
    const position = positions.get(name);
    if (position === undefined) {
      positions.set(name, merged.length);
      merged.push(entry);
    } else {
      merged[position] = entry;
    }
  }
  // Docker's API: an entry without `=` in Env removes the variable.
  return merged.filter((entry) => entry.includes('='));
}

/** `--label` and `--annotation` values: key=value or a key alone (empty value). */
export function parseLabels(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((text) => {
      const equals = text.indexOf('=');
      const key = equals === -1 ? text : text.slice(0, equals);
      if (key === '') throw new TsdError('bad_parameter', `invalid label '${text}': empty name`);
      return [key, equals === -1 ? '' : text.slice(equals + 1)];
    }),
  );
}
