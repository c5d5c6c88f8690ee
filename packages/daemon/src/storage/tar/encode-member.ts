/**
 * Headers of archive members: ustar (pax(1)) with a PAX extended header before it where ustar cannot say it all, and GNU's
 * PAX format 1.0 for sparse files (GNU tar manual, "Storing Sparse Files"). GNU tar, libarchive, Go and busybox read it.
 */
import type { ByteString, ExtendedAttribute, TarEntryType } from './tar-entry.ts';
import { TAR_BLOCK_BYTES } from './tar-header.ts';

const MAX_NAME_BYTES = 100;
const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

export interface TarMember {
  readonly type: TarEntryType;
  /** Without a slash in front; a directory's gets one at its end here. */
  readonly path: ByteString;
  /** Target of a symlink or hard link. */
  readonly linkPath: ByteString;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Of a file, holes included; 0 for everything else. */
  readonly sizeBytes: number;
  readonly xattrs: readonly ExtendedAttribute[];
  /**
   * What a sparse file holds, in order and within `sizeBytes`, all but the last whole blocks (GNU tar reads no others); null
   * for a file that is written as a whole.
   */
  readonly extents: readonly { readonly offset: number; readonly length: number }[] | null;
}

/**
 * What precedes the member's content. The content is what the caller says it is: `sizeBytes` of bytes, or those of the
 * extents one after the other; then zeros up to {@link paddingBytes}.
 */
export function encodeMember(member: TarMember): Buffer {
  const path = member.type === 'directory' ? `${member.path}/` : member.path;
  const records: [key: string, value: ByteString][] = [];
  const sparse = member.extents === null ? null : sparseMap(member.extents, member.sizeBytes);
  let name = path;
  if (sparse !== null) {
    name = sparseName(path);
    records.push(
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', path],
      ['GNU.sparse.realsize', String(member.sizeBytes)],
    );
  }
  if (name.length > MAX_NAME_BYTES) records.push(['path', name]);
  if (member.linkPath.length > MAX_NAME_BYTES) records.push(['linkpath', member.linkPath]);
  const { mtimeSeconds, mtimeNanoseconds } = member;
  if (mtimeNanoseconds > 0 || mtimeSeconds < 0) records.push(['mtime', paxTime(mtimeSeconds, mtimeNanoseconds)]);
  for (const xattr of member.xattrs) records.push([`SCHILY.xattr.${xattr.name}`, xattr.value.toString('latin1')]);
  const header = encodeHeader({
    ...member,
    name,
    mtimeSeconds: Math.max(0, mtimeSeconds),
    typeFlag: TYPE_FLAGS[member.type],
    sizeBytes: sparse === null ? member.sizeBytes : sparse.length + extentBytes(member.extents ?? []),
  });
  return Buffer.concat([paxHeader(path, records), header, ...(sparse === null ? [] : [sparse])]);
}

/** Zeros needed after `contentBytes` to fill the last block. */
export function paddingBytes(contentBytes: number): number {
  return (TAR_BLOCK_BYTES - (contentBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

export function extentBytes(extents: NonNullable<TarMember['extents']>): number {
  return extents.reduce((sum, { length }) => sum + length, 0);
}

interface HeaderFields extends Omit<TarMember, 'type' | 'path' | 'xattrs' | 'extents'> {
  readonly name: ByteString;
  readonly typeFlag: string;
}

function encodeHeader(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  header.write(fields.name.slice(0, MAX_NAME_BYTES), 0, 'latin1');
  writeNumber(header, 100, 8, fields.mode);
  writeNumber(header, 108, 8, fields.uid);
  writeNumber(header, 116, 8, fields.gid);
  writeNumber(header, 124, 12, fields.sizeBytes);
  writeNumber(header, 136, 12, fields.mtimeSeconds);
  header.fill(' ', 148, 156);
  header.write(fields.typeFlag, 156);
  header.write(fields.linkPath.slice(0, MAX_NAME_BYTES), 157, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  writeNumber(header, 329, 8, fields.deviceMajor);
  writeNumber(header, 337, 8, fields.deviceMinor);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** Octal with a NUL at its end, or base 256 where that is too short (GNU, Go and libarchive read it). */
function writeNumber(header: Buffer, offset: number, length: number, value: number): void {
  const digits = value.toString(8);
  if (digits.length < length) {
    header.write(digits.padStart(length - 1, '0'), offset);
    return;
  }
  header.writeBigUInt64BE(BigInt(value), offset + length - 8);
  header[offset] = 0x80;
}

function paxHeader(path: ByteString, records: readonly [string, ByteString][]): Buffer {
  if (records.length === 0) return Buffer.alloc(0);
  const data = Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join(''), 'latin1');
  const header = encodeHeader({
    name: `PaxHeaders.0/${path.replace(/\/$/, '').replace(/^.*\//s, '')}`.slice(0, MAX_NAME_BYTES - 1),
    typeFlag: 'x',
    linkPath: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    mtimeNanoseconds: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    sizeBytes: data.length,
  });
  return Buffer.concat([header, data, Buffer.alloc(paddingBytes(data.length))]);
}

/** `LENGTH KEY=VALUE\n`: the length counts its own digits. */
function paxRecord(key: string, value: ByteString): ByteString {
  const bytes = key.length + value.length + 3;
  let length = bytes + String(bytes).length;
  if (String(length).length > String(bytes).length) length = bytes + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** Decimal seconds; nanoseconds count upwards, also before 1970. */
function paxTime(seconds: number, nanoseconds: number): string {
  if (seconds >= 0) return fraction(seconds, nanoseconds);
  return nanoseconds === 0 ? String(seconds) : `-${fraction(-seconds - 1, 1_000_000_000 - nanoseconds)}`;
}

function fraction(seconds: number, nanoseconds: number): string {
  return nanoseconds === 0 ? String(seconds) : `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

/** What extractors without sparse files see: GNU tar's own naming. */
function sparseName(path: ByteString): ByteString {
  const slash = path.lastIndexOf('/') + 1;
  return `${path.slice(0, slash)}GNUSparseFile.0/${path.slice(slash)}`;
}

/** The map that precedes the data; as GNU tar's it ends with an empty piece at the file's end. */
function sparseMap(extents: NonNullable<TarMember['extents']>, sizeBytes: number): Buffer {
  const numbers = [...extents.flatMap(({ offset, length }) => [offset, length]), sizeBytes, 0];
  const text = `${numbers.length / 2}\n${numbers.map((number) => `${number}\n`).join('')}`;
  return Buffer.concat([Buffer.from(text), Buffer.alloc(paddingBytes(text.length))]);
}
