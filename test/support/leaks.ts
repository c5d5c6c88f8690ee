/**
 * What a test file must leave as it was: mounts, namespaces, interfaces, nft tables and rules, forwarding, cgroups, loop
 * devices, temporary directories and processes. The test runner is the subreaper of everything that its files start, so a process that
 * detached itself is still found, and another user's processes are not.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import koffi from 'koffi';

export type HostState = ReadonlyMap<Kind, ReadonlySet<string>>;
type Kind =
  | 'mount'
  | 'network namespace'
  | 'interface'
  | 'nft table'
  | 'rule in another’s table'
  | 'setting'
  | 'cgroup'
  | 'loop device'
  | 'temporary directory'
  | 'process';

/** A name for this run of the tests, which the runner's files inherit: several runs do not disturb each other. */
process.env['TSD_TEST_RUN'] ??= randomBytes(2).toString('hex');
/** Prefix of the temporary directories of this run's tests, and of their daemons' cgroups. */
export const TEMPORARY_PREFIX = `tsd-test-${process.env['TSD_TEST_RUN']}-`;
/** A tmpfs(5) as a rule. */
export const SHARED_MEMORY = '/dev/shm';
/** The kernel reaps network namespaces, cgroups and processes in its own time. */
const SETTLE_MS = 8000;
const SETTLE_STEP_MS = 100;
const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

const libc = koffi.load('libc.so.6');
const prctl = libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');
const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)');

/** Makes this process the one that orphans of its descendants fall to. prctl(2), PR_SET_CHILD_SUBREAPER. */
export function becomeSubreaper(): void {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) !== 0) throw new Error('prctl PR_SET_CHILD_SUBREAPER failed');
}

/**
 * Reaps orphans that have fallen to this process. `own` are the children that Node waits for itself.
 */
export function reapOrphans(own: ReadonlySet<number>): void {
  for (const entry of processes()) {
    if (entry.parent === process.pid && entry.state === 'Z' && !own.has(entry.pid)) {
      waitpid(entry.pid, [0], WNOHANG);
    }
  }
}

/**
 * With TSD_TEST_SHARED_HOST set, things of other users of the host that come and go are left out: only what carries a name
 * of the tests counts then.
 */
const isOurs = (name: string): boolean =>
  process.env['TSD_TEST_SHARED_HOST'] === undefined || name.includes(TEMPORARY_PREFIX);

export function readHostState(): HostState {
  return new Map<Kind, ReadonlySet<string>>([
    ['mount', new Set(mounts().filter(isOurs))],
    ['network namespace', new Set(networkNamespaces())],
    ['interface', new Set(readdirSync('/sys/class/net').filter(isOurs))],
    ['nft table', new Set(nftTables().filter(isOurs))],
    ['rule in another’s table', new Set(guestRules().filter(isOurs))],
    ['setting', new Set(settings().filter(isOurs))],
    ['cgroup', new Set(cgroups().filter(isOurs))],
    ['loop device', new Set(loopDevices().filter(isOurs))],
    ['temporary directory', new Set(temporaryDirectories())],
    ['process', new Set(descendants().map(({ pid, name }) => `${pid} ${name}`))],
  ]);
}

/**
 * Compares the host with `before`, waiting a bounded time for what the kernel removes late.
 *
 * @returns one line per thing that is there now and was not, or that was there and is not; empty when all is as before.
 */
export async function findLeaks(before: HostState, own: ReadonlySet<number>): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    reapOrphans(own);
    const differences = compare(before, readHostState());
    if (differences.length === 0 || performance.now() > deadline) return differences;
    await delay(SETTLE_STEP_MS);
  }
}

/**
 * Ends what a leaking file left running, so that the next file starts clean, and removes its mounts, directories and cgroups. Only
 * descendants of this process, and only what carries a name of the tests.
 */
export async function removeLeftovers(before: HostState, own: ReadonlySet<number>): Promise<void> {
  const known = before.get('process') ?? new Set();
  for (const { pid, name } of descendants()) {
    if (known.has(`${pid} ${name}`)) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
  await delay(SETTLE_STEP_MS);
  reapOrphans(own);
  const mountsLeft = mounts().filter((mount) => mount.includes(TEMPORARY_PREFIX) && !before.get('mount')?.has(mount));
  // The last one first: it may be on another.
  for (const mount of mountsLeft.reverse()) spawnSync('umount', [mount.slice(0, mount.indexOf(' '))]);
  for (const path of temporaryDirectories()) {
    if (before.get('temporary directory')?.has(path)) continue;
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // Still in use: it has been reported as a leak.
    }
  }
  const cgroupsLeft = cgroups().filter(
    (path) => path.includes(`/${TEMPORARY_PREFIX}`) && !before.get('cgroup')?.has(path),
  );
  // The deepest first.
  for (const path of cgroupsLeft.sort((a, b) => b.length - a.length)) {
    try {
      rmdirSync(path);
    } catch {
      // Still in use: it has been reported as a leak.
    }
  }
}

function compare(before: HostState, after: HostState): string[] {
  const lines: string[] = [];
  for (const [kind, then] of before) {
    const now = after.get(kind) ?? new Set<string>();
    for (const item of now) if (!then.has(item)) lines.push(`leaked ${kind}: ${item}`);
    // A process that ended is no loss; a mount, interface or cgroup of the host that is gone is.
    if (kind === 'process' || kind === 'network namespace' || kind === 'temporary directory') continue;
    for (const item of then) if (!now.has(item)) lines.push(`${kind} of the host is gone: ${item}`);
  }
  return lines;
}

function temporaryDirectories(): string[] {
  return [tmpdir(), SHARED_MEMORY].flatMap((place) =>
    readdirSync(place)
      .filter((name) => name.startsWith(TEMPORARY_PREFIX))
      .map((name) => join(place, name)),
  );
}

/** The mounts of this mount namespace without their ids, which change when something else is mounted. */
function mounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [left = '', right = ''] = line.split(' - ');
      const fields = left.split(' ');
      return `${fields[4]} ${right.split(' ')[0]} root=${fields[3]} source=${right.split(' ')[1]}`;
    });
}

/** Network namespaces that a descendant lives in or that a mount in this mount namespace keeps. */
function networkNamespaces(): string[] {
  const found = readFileSync('/proc/self/mountinfo', 'utf8').match(/net:\[\d+\]/g) ?? [];
  const held = descendants().flatMap(({ pid }) => {
    try {
      return [readlinkSync(`/proc/${pid}/ns/net`)];
    } catch {
      return [];
    }
  });
  const own = readlinkSync('/proc/self/ns/net');
  return [...found, ...held].filter((namespace) => namespace !== own);
}

function nftTables(): string[] {
  return nftLines('tables').filter(Boolean);
}

/** What daemons have put into chains of other programs (DOCKER-USER, INPUT): the comment begins with their table's name. */
export function guestRules(): string[] {
  return nftLines('ruleset')
    .filter((line) => /comment "tsd\w*: /.test(line))
    .map((line) => line.trim().replace(/ packets \d+ bytes \d+/, ''));
}

function nftLines(what: 'tables' | 'ruleset'): string[] {
  try {
    const listed = execFileSync('nft', ['list', what], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 28,
    });
    return listed.trimEnd().split('\n');
  } catch {
    return []; // No nft on this host, so nothing of ours either.
  }
}

/** Settings of the host that daemons change and take back. */
function settings(): string[] {
  return ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].flatMap((name) => {
    const path = `/proc/sys/net/${name}`;
    return existsSync(path) ? [`${name}=${readFileSync(path, 'utf8').trim()}`] : [];
  });
}

/** Control groups named for tsd, in every hierarchy. Others' come and go without us. */
function cgroups(): string[] {
  const roots = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
  return roots.flatMap((root) => {
    try {
      return readdirSync(root, { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => `${entry.parentPath}/${entry.name}`)
        .filter((path) => /\/tsd/.test(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // Vanished while being read; read again later.
      throw error;
    }
  });
}

function loopDevices(): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name) => {
      try {
        return [`${name} ${readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim()}`];
      } catch {
        return []; // Not attached.
      }
    });
}

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  readonly name: string;
}

/** Living processes below this one in the process tree. */
function descendants(): ProcessEntry[] {
  const all = processes();
  const tree = new Set([process.pid]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const { pid, parent } of all) {
      if (tree.has(parent) && !tree.has(pid)) {
        tree.add(pid);
        grew = true;
      }
    }
  }
  return all.filter(({ pid, state }) => pid !== process.pid && tree.has(pid) && state !== 'Z');
}

function processes(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const close = stat.lastIndexOf(')');
        const [state = '', parent = '0'] = stat.slice(close + 2).split(' ');
        return [{ pid: Number(name), parent: Number(parent), state, name: stat.slice(stat.indexOf('(') + 1, close) }];
      } catch {
        return []; // Ended while being read.
      }
    });
}
