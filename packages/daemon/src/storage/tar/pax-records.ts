/** PAX extended headers: records of the form `LENGTH KEY=VALUE\n` (pax(1), "pax Extended Header"). */
import type { ByteString, ExtendedAttribute, TarLimits } from './tar-entry.ts';
import { shownName, tarError } from './tar-error.ts';

/** Last value of each key, as bytes. */
export type PaxRecords = ReadonlyMap<ByteString, ByteString>;

export const NO_PAX_RECORDS: PaxRecords = new Map();

/** Each member looks at all of them. */
const MAX_GLOBAL_RECORDS = 100;
const XATTR_PREFIX = 'SCHILY.xattr.';
const GLOBAL_KEYS: ReadonlySet<string> = new Set(['path', 'linkpath', 'size', 'uid', 'gid', 'mtime']);
const TEXT_KEYS: ReadonlySet<string> = new Set(['path', 'linkpath', 'GNU.sparse.name']);

/**
 * Decodes one extended header. Values are binary and length-prefixed, so they may hold anything, newlines included.
 * The repeated offset and numbytes records of GNU sparse 0.0 are joined into the `GNU.sparse.map` record of 0.1.
 * @throws TsdError bad_parameter: a record whose length, separator or end is not where it must be.
 */
export function parsePaxRecords(header: Buffer): PaxRecords {
  const records = new Map<ByteString, ByteString>();
  const sparseMap: ByteString[] = [];
  let position = 0;
  // Some writers pad the header with NULs.
  while (position < header.length && header[position] !== 0) {
    let digits = position;
    let length = 0;
    while (digits < header.length && digits - position < 10) {
      const digit = (header[digits] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
      digits++;
    }
    const end = position + length;
    if (
      digits === position ||
      header[digits] !== 0x20 ||
      end > header.length ||
      end <= digits + 1 ||
      header[end - 1] !== 0x0a
    )
      throw tarError('a PAX header has a malformed record');
    const equals = header.indexOf(0x3d, digits + 1);
    if (equals < 0 || equals >= end - 1) throw tarError('a PAX header has a record without a value');
    const key = header.toString('latin1', digits + 1, equals);
    const value = header.toString('latin1', equals + 1, end - 1);
    if (key === '') throw tarError('a PAX header has a record without a key');
    if (TEXT_KEYS.has(key) && value.includes('\0')) throw tarError(`the PAX record ${key} holds a NUL byte`);
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') sparseMap.push(value);
    else records.set(key, value);
    position = end;
  }
  if (sparseMap.length > 0) records.set('GNU.sparse.map', sparseMap.join(','));
  return records;
}

/**
 * Adds the records of a global header that mean something for members to those of the earlier ones.
 * @throws TsdError bad_parameter: more than a hundred.
 */
export function addGlobalRecords(global: Map<ByteString, ByteString>, added: PaxRecords): void {
  for (const [key, value] of added) if (GLOBAL_KEYS.has(key) || key.startsWith(XATTR_PREFIX)) global.set(key, value);
  if (global.size > MAX_GLOBAL_RECORDS) throw tarError(`more than ${MAX_GLOBAL_RECORDS} global PAX records`);
}

/** The value that applies to a member: its own header wins over the global one; an empty value means "not given". */
export function paxValue(local: PaxRecords, global: PaxRecords, key: string): ByteString | undefined {
  const value = local.get(key) ?? global.get(key);
  return value === '' ? undefined : value;
}

/**
 * A non-negative decimal integer record; undefined where it is not given.
 * @throws TsdError bad_parameter: not a number or beyond 2^53.
 */
export function paxInteger(local: PaxRecords, global: PaxRecords, key: string): number | undefined {
  const value = paxValue(local, global, key);
  if (value === undefined) return undefined;
  return parseDecimal(value, `PAX record ${key}`);
}

/** @throws TsdError bad_parameter: not decimal digits or beyond 2^53. */
export function parseDecimal(value: string, what: string): number {
  const number = /^[0-9]{1,19}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw tarError(`the ${what} is not a number: ${shownName(value)}`);
  return number;
}

/**
 * A time record: decimal seconds since 1970 with an optional fraction and sign, split so that nanoseconds are positive.
 * @throws TsdError bad_parameter: not a time.
 */
export function parsePaxTime(value: string): { seconds: number; nanoseconds: number } {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value);
  if (match === null) throw tarError(`the PAX record mtime is not a time: ${shownName(value)}`);
  const [, sign, whole, fraction = ''] = match;
  const seconds = Number(whole);
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, '0'));
  if (sign === '') return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/**
 * The SCHILY.xattr.* records of a member, its own header's over the global one's.
 * @throws TsdError bad_parameter: more than `maxXattrBytes`.
 */
export function paxXattrs(local: PaxRecords, global: PaxRecords, limits: TarLimits): readonly ExtendedAttribute[] {
  if (local.size === 0 && global.size === 0) return NO_XATTRS;
  let found: Map<ByteString, Buffer> | undefined;
  let totalBytes = 0;
  for (const records of [global, local]) {
    for (const [key, value] of records) {
      if (!key.startsWith(XATTR_PREFIX)) continue;
      totalBytes += key.length + value.length;
      if (totalBytes > limits.maxXattrBytes)
        throw tarError(`extended attributes of one entry exceed ${limits.maxXattrBytes} bytes`);
      found ??= new Map();
      found.set(key.slice(XATTR_PREFIX.length), Buffer.from(value, 'latin1'));
    }
  }
  return found === undefined ? NO_XATTRS : Array.from(found, ([name, value]) => ({ name, value }));
}

const NO_XATTRS: readonly ExtendedAttribute[] = [];
