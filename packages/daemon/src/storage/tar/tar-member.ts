/** What a member is, from its header and the extension headers before it. */
import { type PaxRecords, parsePaxTime, paxInteger, paxValue, paxXattrs } from './pax-records.ts';
import type { ByteString, TarEntry, TarEntryType, TarLimits } from './tar-entry.ts';
import { shownName, tarError } from './tar-error.ts';
import type { TarHeader } from './tar-header.ts';

/** The largest id that is one, credentials(7): 2^32 - 1 means "none". */
const MAX_ID = 0xfffffffe;

/** What the extension headers before a member said. */
export interface MemberExtensions {
  readonly local: PaxRecords;
  readonly global: PaxRecords;
  readonly longName: ByteString | null;
  readonly longLink: ByteString | null;
}

export function memberPath(header: TarHeader, { local, global, longName }: MemberExtensions): ByteString {
  return local.get('GNU.sparse.name') ?? paxValue(local, global, 'path') ?? longName ?? header.name;
}

/** @throws TsdError bad_parameter: no name or target, one that is too long, an owner or time that is none. */
export function describeMember(
  header: TarHeader,
  type: TarEntryType,
  extensions: MemberExtensions,
  limits: TarLimits,
): Omit<TarEntry, 'type' | 'sizeBytes' | 'payloadOffset' | 'sparseExtents'> {
  const { local, global, longLink } = extensions;
  const path = memberPath(header, extensions);
  const hasLink = type === 'symlink' || type === 'hardlink';
  const linkPath = hasLink ? (paxValue(local, global, 'linkpath') ?? longLink ?? header.linkName) : '';
  if (path === '') throw tarError('an entry has no name');
  if (path.length > limits.maxPathBytes || linkPath.length > limits.maxPathBytes)
    throw tarError(`a path or link target is longer than ${limits.maxPathBytes} bytes: ${shownName(path)}`);
  if (hasLink && linkPath === '') throw tarError(`the link ${shownName(path)} has no target`);
  const extended = local.size > 0 || global.size > 0;
  const uid = (extended ? paxInteger(local, global, 'uid') : undefined) ?? header.uid;
  const gid = (extended ? paxInteger(local, global, 'gid') : undefined) ?? header.gid;
  if (uid < 0 || uid > MAX_ID || gid < 0 || gid > MAX_ID)
    throw tarError(`the owner of ${shownName(path)} is out of range`);
  const mtime = extended ? paxValue(local, global, 'mtime') : undefined;
  const time = mtime === undefined ? null : parsePaxTime(mtime);
  return {
    path,
    linkPath,
    mode: header.mode,
    uid,
    gid,
    mtimeSeconds: time === null ? header.mtimeSeconds : time.seconds,
    mtimeNanoseconds: time === null ? 0 : time.nanoseconds,
    deviceMajor: header.deviceMajor,
    deviceMinor: header.deviceMinor,
    xattrs: paxXattrs(local, global, limits),
  };
}

/** @throws TsdError bad_parameter: a type that is not known. */
export function memberType({ typeFlag }: TarHeader, path: ByteString): TarEntryType {
  switch (String.fromCharCode(typeFlag)) {
    case '\0':
      // v7 had no type for directories: a trailing slash tells.
      return path.endsWith('/') ? 'directory' : 'file';
    case '0':
    case '7':
      return 'file';
    case '1':
      return 'hardlink';
    case '2':
      return 'symlink';
    case '3':
      return 'char';
    case '4':
      return 'block';
    case '5':
      return 'directory';
    case '6':
      return 'fifo';
    default:
      throw tarError(`the entry ${shownName(path)} has an unknown type (${typeFlag})`);
  }
}
