/** Query parameters as moby reads them (api/server/httputils/form.go). */
import { TsdError } from '@tsd/shared/errors';

/** A parameter that Fastify parsed: repeated ones come as a list, of which moby takes the first. */
export type QueryValue = string | readonly string[] | undefined;

/** The first value; '' where the parameter is missing. */
export function queryText(value: QueryValue): string {
  return (typeof value === 'object' ? value[0] : value) ?? '';
}

/** Docker's BoolValue: '', 0, no, false and none are false, everything else (`1`, `true`) is true. */
export function queryFlag(value: QueryValue, missing = false): boolean {
  if (value === undefined) return missing;
  return !['', '0', 'no', 'false', 'none'].includes(queryText(value).trim().toLowerCase());
}

/** An integer; null where the parameter is missing or empty. Throws bad_parameter naming the parameter. */
export function queryInteger(value: QueryValue, name: string): number | null {
  const text = queryText(value);
  if (text === '') return null;
  const number = Number(text);
  if (/^[+-]?[0-9]+$/.test(text) && Number.isSafeInteger(number)) return number;
  throw new TsdError('bad_parameter', `invalid value for query parameter ${name}: "${text}" is not an integer`);
}
