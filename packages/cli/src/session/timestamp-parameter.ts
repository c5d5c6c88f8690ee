/** --since and --until as the API takes them: seconds.nanoseconds of Unix time (moby api/types/time GetTimestamp). */
import { TsdError } from '@tsd/shared/errors';
import { parseDurationMs } from '@tsd/shared/units';
import { CliError } from '../cli-error.ts';

const DATE = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/**
 * Takes a duration before now (`42m`), Unix seconds (`1136073845.5`), or a date and time, in the local zone where it
 * names none. Throws CliError.
 */
export function timestampParameter(text: string, nowMs: number, name: string): string {
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const match = DATE.exec(text);
  if (match === null) return relative(text, nowMs, name);
  const [, fraction = '', zone] = match;
  const withoutFraction = text.replace(' ', 'T').replace(fraction === '' ? /$^/ : fraction, '');
  const complete = text.length === 10 ? `${text}T00:00:00` : withoutFraction;
  const timeMs = Date.parse(zone === undefined && text.length > 10 ? withoutFraction : complete);
  if (Number.isNaN(timeMs)) throw invalid(text, name);
  return `${Math.floor(timeMs / 1000)}.${fraction.slice(1).padEnd(9, '0')}`;
}

function relative(text: string, nowMs: number, name: string): string {
  try {
    const timeMs = nowMs - parseDurationMs(text);
    const seconds = Math.floor(timeMs / 1000);
    const nanoseconds = Math.floor((timeMs - seconds * 1000) * 1e6);
    return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
  } catch (error) {
    if (error instanceof TsdError) throw invalid(text, name);
    throw error;
  }
}

function invalid(text: string, name: string): CliError {
  return new CliError(
    `invalid value for "${name}": ${text} (write a time such as 2026-01-02T13:23:37Z, or how long ago: 42m)`,
  );
}
