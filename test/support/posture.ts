/** What a container's process really has, read from the host's /proc: nothing here asks tsd. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import {
  cgroupPath,
  isUnified,
  type NamespaceName,
  readCgroupFile,
  readStatus,
  sharedNamespaces,
} from './host-process.ts';

export interface Posture {
  /** Namespaces that are the host's own. */
  readonly sharedNamespaces: readonly NamespaceName[];
  /** `inside outside size`, outside as an offset into the container's range, or `host` for the host's own map. */
  readonly uidMap: string;
  readonly gidMap: string;
  /** Real, effective, saved and file system ids, as the container numbers them. */
  readonly uids: string;
  readonly gids: string;
  readonly groups: string;
  readonly capabilities: {
    readonly inheritable: string;
    readonly permitted: string;
    readonly effective: string;
    readonly bounding: string;
    readonly ambient: string;
  };
  readonly noNewPrivileges: boolean;
  /** 0 none, 2 filter. */
  readonly seccomp: number;
  readonly descriptors: readonly string[];
  /** True when it leads a session. */
  readonly sessionLeader: boolean;
  readonly umask: string;
  readonly oomScoreAdj: string;
  readonly workingDirectory: string;
  /** Ignored and caught signals that exec left. */
  readonly ignoredSignals: string;
  /** Mount points with type and options, in mount order. */
  readonly mounts: readonly string[];
  /** Nodes and links in /dev: `c 666 1:3 null`. */
  readonly devices: readonly string[];
}

/** Reads the posture of `pid`, a container's first process; `dataRoot` is the daemon's. */
export function readPosture(pid: number, dataRoot: string): Posture {
  const status = readStatus(pid);
  const field = (name: string): string => status.get(name)?.replaceAll('\t', ' ') ?? '';
  const uidMap = readMap(pid, 'uid_map');
  return {
    sharedNamespaces: sharedNamespaces(pid),
    uidMap: uidMap.text,
    gidMap: readMap(pid, 'gid_map').text,
    uids: relative(field('Uid'), uidMap.first),
    gids: relative(field('Gid'), uidMap.first),
    groups: relative(field('Groups'), uidMap.first),
    capabilities: {
      inheritable: field('CapInh'),
      permitted: field('CapPrm'),
      effective: field('CapEff'),
      bounding: field('CapBnd'),
      ambient: field('CapAmb'),
    },
    noNewPrivileges: field('NoNewPrivs') === '1',
    seccomp: Number(field('Seccomp')),
    descriptors: readdirSync(`/proc/${pid}/fd`)
      .sort()
      .map((name) => `${name} ${readlinkSync(`/proc/${pid}/fd/${name}`).replace(/\d{2,}/, 'N')}`),
    sessionLeader: field('NSsid').split(' ').at(-1) === field('NSpid').split(' ').at(-1),
    umask: field('Umask'),
    oomScoreAdj: readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8').trim(),
    workingDirectory: readlinkSync(`/proc/${pid}/cwd`),
    ignoredSignals: field('SigIgn'),
    mounts: readMounts(pid, dataRoot),
    devices: readDevices(pid, uidMap.first),
  };
}

/** The process' cgroup in every hierarchy that tsd uses, by controller. */
export function readCgroups(pid: number): Readonly<Record<string, string>> {
  return Object.fromEntries(
    ['memory', 'pids', 'cpu', 'cpuset', 'devices'].flatMap((controller) => {
      if (controller === 'devices' && deviceRules(pid) === undefined) return [];
      return [[controller, cgroupPath(pid, controller)]];
    }),
  );
}

/** Lines of the v1 devices controller, sorted; undefined on v2, where a program decides and nothing can be read. */
export function deviceRules(pid: number): readonly string[] | undefined {
  try {
    if (isUnified('devices')) return undefined;
  } catch {
    return undefined;
  }
  return readCgroupFile(pid, 'devices', 'devices.list', '').split('\n').sort();
}

function readMap(pid: number, file: string): { text: string; first: number } {
  const own = readFileSync(`/proc/self/${file}`, 'utf8');
  const map = readFileSync(`/proc/${pid}/${file}`, 'utf8');
  if (map === own) return { text: 'host', first: 0 };
  const lines = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const first = lines[0]?.[1] ?? 0;
  return {
    text: lines.map(([inside, outside = 0, size]) => `${inside} +${outside - first} ${size}`).join('\n'),
    first,
  };
}

function relative(ids: string, first: number): string {
  return ids
    .trim()
    .split(/\s+/)
    .filter(Boolean)
    .map((id) => Number(id) - first)
    .join(' ');
}

/** Sorted. Host paths and ids of the run are named ROOT and ID; the type of files that live on the host's disk is FILE. */
function readMounts(pid: number, dataRoot: string): string[] {
  return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [left = '', right = ''] = line.split(' - ');
      const [, , , root = '', point, options, ...tags] = left.split(' ');
      const [type = '', , superOptions = ''] = right.split(' ');
      if (root.includes(basename(dirname(dataRoot))) && type !== 'cgroup' && type !== 'cgroup2')
        return `${point} FILE root=${maskIds(root)}`;
      const from = type === 'overlay' || root === '/' ? '' : ` root=${maskIds(root)}`;
      return [`${point} ${type} ${options}`, ...tags].join(' ') + from + describeSuper(type, superOptions);
    })
    .sort();
}

/** Options of the file system that matter for what the container can do. */
function describeSuper(type: string | undefined, options: string): string {
  const kept = options.split(',').filter((option) => /^(size|mode|ptmxmode|hidepid|newinstance|ro$)/.test(option));
  return type === 'tmpfs' || type === 'devpts' || type === 'proc' ? ` [${kept.join(',')}]` : '';
}

function maskIds(path: string): string {
  return path
    .replace(/[0-9a-f]{64}/g, 'ID')
    .replace(/^.*tsd-test-[^/]+\/data/, 'ROOT')
    .replace(/tsd-test-[^/]+/, 'ROOT');
}

function readDevices(pid: number, first: number): string[] {
  const directory = `/proc/${pid}/root/dev`;
  return readdirSync(directory, { withFileTypes: true })
    .map((entry) => {
      const path = `${directory}/${entry.name}`;
      if (entry.isSymbolicLink()) return `link ${entry.name} → ${readlinkSync(path)}`;
      const { mode, rdev, uid, gid } = statSync(path);
      const bits = (mode & 0o7777).toString(8);
      if (entry.isDirectory()) return `directory ${bits} ${entry.name}`;
      const kind = entry.isCharacterDevice() ? 'c' : entry.isBlockDevice() ? 'b' : 'file';
      return `${kind} ${bits} ${uid - first}:${gid - first} ${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)} ${entry.name}`;
    })
    .sort();
}
