/** The `filters` query parameter of list and prune endpoints (moby api/types/filters), and `--filter` of the client. */
import { TsdError } from './errors.ts';

/** Filter values by key. */
export type Filters = ReadonlyMap<string, readonly string[]>;

export const NO_FILTERS: Filters = new Map();

/**
 * Decodes both wire forms, `{"label":{"a=b":true}}` and the older `{"label":["a=b"]}`. Empty text means no filter.
 * With `allowedKeys` another key is refused as Docker does ("invalid filter 'x'"). Throws bad_parameter.
 */
export function parseFilters(text: string | undefined, allowedKeys?: ReadonlySet<string>): Filters {
  if (text === undefined || text === '') return NO_FILTERS;
  const filters = new Map<string, readonly string[]>();
  let decoded: unknown;
  try {
    decoded = JSON.parse(text);
  } catch {
    throw invalidFormat();
  }
  if (decoded === null) return NO_FILTERS;
  if (typeof decoded !== 'object' || Array.isArray(decoded)) throw invalidFormat();
  for (const [key, value] of Object.entries(decoded)) {
    if (allowedKeys !== undefined && !allowedKeys.has(key))
      throw new TsdError('bad_parameter', `invalid filter '${key}'`);
    filters.set(key, decodeValues(value));
  }
  return filters;
}

/** Encodes filters in the form that every API version from 1.22 on reads. */
export function encodeFilters(filters: Filters): string {
  const encoded: Record<string, Record<string, true>> = {};
  for (const [key, values] of filters) encoded[key] = Object.fromEntries(values.map((value) => [value, true as const]));
  return JSON.stringify(encoded);
}

/** Collects the client's `--filter key=value` arguments. Throws bad_parameter with Docker's text. */
export function parseFilterArguments(values: readonly string[]): Filters {
  const filters = new Map<string, string[]>();
  for (const text of values) {
    const equals = text.indexOf('=');
    if (equals === -1)
      throw new TsdError(
        'bad_parameter',
        `invalid argument "${text}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
      );
    const key = text.slice(0, equals).trim().toLowerCase();
    const list = filters.get(key) ?? [];
    list.push(text.slice(equals + 1).trim());
    filters.set(key, list);
  }
  return filters;
}

/** The value of a true/false filter; undefined where it is not set. Throws bad_parameter for anything else. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (values === undefined || values.length === 0) return undefined;
  const [value = ''] = values;
  if (values.length === 1 && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (values.length === 1 && ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new TsdError('bad_parameter', `invalid filter '${key}=[${values.join(' ')}]'`);
}

/** Whether labels satisfy every `label` filter (`key` or `key=value`) and none of `label!`. */
export function matchesLabels(filters: Filters, labels: Readonly<Record<string, string>>): boolean {
  const has = (wanted: string): boolean => {
    const equals = wanted.indexOf('=');
    const key = equals === -1 ? wanted : wanted.slice(0, equals);
    if (!Object.hasOwn(labels, key)) return false;
    return equals === -1 || labels[key] === wanted.slice(equals + 1);
  };
  return (filters.get('label') ?? []).every(has) && !(filters.get('label!') ?? []).some(has);
}

function decodeValues(value: unknown): string[] {
  if (Array.isArray(value)) {
    if (value.every((item): item is string => typeof item === 'string')) return value;
  } else if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, chosen]) => (chosen === true ? [key] : []));
  }
  throw invalidFormat();
}

function invalidFormat(): TsdError {
  return new TsdError(
    'bad_parameter',
    'invalid filter: the filters parameter must be JSON such as {"label":{"a=b":true}}',
  );
}
