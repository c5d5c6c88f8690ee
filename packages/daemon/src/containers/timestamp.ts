/** Times as the database and Docker's API hold them: RFC 3339, UTC, nine decimals; such texts sort as the times do. */

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

/** The present time, to the millisecond. */
export function timestampNow(): string {
  return timestampOfNs(nowNs());
}

/** The present time, nanoseconds since the epoch, to the millisecond. */
export function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
