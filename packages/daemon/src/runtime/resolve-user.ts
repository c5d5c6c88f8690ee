/** Turns `--user` and `--group-add` into numbers by the container's own passwd(5) and group(5), as Docker does. */
import { TsdError } from '@tsd/shared/errors';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the primary one included (CVE-2022-36109). */
  readonly groups: readonly number[];
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const MAX_ID = 0x7fffffff;

/** Go's strconv.Atoi, which Docker uses to tell a number from a name. */
function parseNumber(text: string): number | null {
  return /^[+-]?[0-9]+$/.test(text) ? Number.parseInt(text, 10) : null;
}

function lines(text: string | null): string[][] {
  if (text === null) return [];
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function parsePasswd(text: string | null): PasswdEntry[] {
  return lines(text).map(([name = '', , uid = '', gid = '', , home = '']) => ({
    name,
    uid: parseNumber(uid) ?? 0,
    gid: parseNumber(gid) ?? 0,
    home,
  }));
}

function parseGroup(text: string | null): GroupEntry[] {
  return lines(text).map(([name = '', , gid = '', members = '']) => ({
    name,
    gid: parseNumber(gid) ?? 0,
    members: members.split(',').filter(Boolean),
  }));
}

function checkRange(id: number): number {
  if (id < 0 || id > MAX_ID) {
    throw new TsdError('bad_parameter', `uids and gids must be in range 0-${MAX_ID}`);
  }
  return id;
}

/**
 * Resolves a `user[:group]` specification (moby/sys/user, GetExecUser) and additional groups (GetAdditionalGroups).
 * Numbers need no entry; names do. An entry's number is used as it is, however hostile the file: what it may be is decided
 * by the container's id range afterwards.
 * @throws TsdError with Docker's texts where a name has no entry or a number is out of range.
 */
export function resolveUser(options: {
  readonly specification: string;
  readonly passwd: string | null;
  readonly group: string | null;
  readonly additionalGroups: readonly string[];
}): ResolvedUser {
  const [userPart = '', groupPart = ''] = options.specification.split(':');
  const uidNumber = parseNumber(userPart);
  const gidNumber = parseNumber(groupPart);
  const groups = parseGroup(options.group);
  // The first matching entry wins. A numeric user is always a uid, never a name.
  const entry = parsePasswd(options.passwd).find((candidate) => {
    if (userPart === '') return candidate.uid === 0;
    return uidNumber === null ? candidate.name === userPart : candidate.uid === uidNumber;
  });
  if (entry === undefined && userPart !== '' && uidNumber === null) {
    throw new TsdError('bad_parameter', `unable to find user ${userPart}: no matching entries in passwd file`);
  }
  const uid = checkRange(entry?.uid ?? uidNumber ?? 0);
  let gid = checkRange(entry?.gid ?? 0);
  let supplementary: number[] = [];
  if (groupPart !== '') {
    const match = groups.find((candidate) =>
      gidNumber === null ? candidate.name === groupPart : candidate.gid === gidNumber,
    );
    if (match === undefined && gidNumber === null) {
      throw new TsdError('bad_parameter', `unable to find group ${groupPart}: no matching entries in group file`);
    }
    gid = checkRange(match?.gid ?? gidNumber ?? 0);
  } else if (entry !== undefined) {
    // Supplementary groups are looked up only where the group was left to the passwd file.
    supplementary = groups.filter((group) => group.members.includes(entry.name)).map((group) => checkRange(group.gid));
  }
  const additional = options.additionalGroups.map((name) => {
    const number = parseNumber(name);
    const match = groups.find((group) => group.name === name || group.gid === number);
    if (match === undefined && number === null) {
      throw new TsdError('bad_parameter', `Unable to find group ${name}: no matching entries in group file`);
    }
    return checkRange(match?.gid ?? number ?? 0);
  });
  return {
    uid,
    gid,
    groups: [...new Set([gid, ...supplementary, ...additional])],
    home: entry?.home || '/',
  };
}
