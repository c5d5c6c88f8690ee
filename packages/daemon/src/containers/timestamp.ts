/** Times as the database and Docker's API hold them: RFC 3339, UTC, nine decimals; such texts sort as the times do. */
import { TsdError } from '@tsd/shared/errors';

/** Docker's text for "never". */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** @param ns nanoseconds since the epoch */
export function timestampOfNs(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const text = new Date(Number(seconds) * 1000).toISOString();
  return `${text.slice(0, 19)}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}

/** Nanoseconds since the epoch of a text made by timestampOfNs. */
export function nsOfTimestamp(timestamp: string): bigint {
  return BigInt(Date.parse(`${timestamp.slice(0, 19)}Z`)) * 1_000_000n + BigInt(timestamp.slice(20, 29));
}

/**
 * Nanoseconds since the epoch of a Unix time with up to nine decimals, as Docker's clients send it; null for none: '' and 0.
 * @throws TsdError `bad_parameter` naming the parameter
 */
export function parseUnixTime(name: string, text: string): bigint | null {
  if (text === '' || Number(text) === 0) return null;
  const match = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) throw new TsdError('bad_parameter', `invalid value for "${name}": ${text} is not a Unix time`);
  return BigInt(match[1] ?? 0) * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
}

/** The present time, to the millisecond. */
export function timestampNow(): string {
  return timestampOfNs(nowNs());
}

/** The present time, nanoseconds since the epoch, to the millisecond. */
export function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
