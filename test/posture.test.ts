/**
 * What every kind of container really has: namespaces, ids, capabilities, seccomp, descriptors, mounts, devices, masks. Read
 * from the host's /proc and by probes inside, and compared with an exact expectation; a change here is a security decision.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { readLimits, sharedNamespaces } from './support/host-process.ts';
import { deviceRules, type Posture, readCgroups, readPosture } from './support/posture.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

const NO_CAPABILITIES = '0000000000000000';
/** CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT, SETFCAP. */
const DEFAULT_CAPABILITIES = '00000000800405fb';
const HOST_BOUNDING = /^CapBnd:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';

const DEVICES = [
  'c 666 0:0 1:3 null',
  'c 666 0:0 1:5 zero',
  'c 666 0:0 1:7 full',
  'c 666 0:0 1:8 random',
  'c 666 0:0 1:9 urandom',
  'c 666 0:0 5:0 tty',
  'directory 1777 mqueue',
  'directory 1777 shm',
  'directory 755 pts',
  'link core → /proc/kcore',
  'link fd → /proc/self/fd',
  'link ptmx → pts/ptmx',
  'link stderr → /proc/self/fd/2',
  'link stdin → /proc/self/fd/0',
  'link stdout → /proc/self/fd/1',
];

const DEVICE_RULES = [
  'b *:* m',
  'c *:* m',
  'c 136:* rwm',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
];

/** Paths that Docker's lists name and this kernel has. */
const present = (paths: readonly string[]): string[] => paths.filter((path) => existsSync(path));
const MASKED = present([
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/scsi',
  '/proc/sched_debug',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
]);
const READ_ONLY = present(['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']);

const SAFE = 'nosuid,nodev,noexec,relatime';
/** The host's hierarchies of version 1, by mount point; empty on version 2. */
const HIERARCHIES = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .filter((line) => line.includes(' - cgroup '))
  .map((line) => basename(line.split(' ')[4] ?? ''));

/** All mounts of a container, in the order of their mount points. `access` is that of cgroups and /sys. */
function mounts(options: { root: string; access: 'ro' | 'rw'; masks: boolean }): string[] {
  const { root, access, masks } = options;
  const cgroups =
    HIERARCHIES.length === 0
      ? [`/sys/fs/cgroup cgroup2 ${access},${SAFE} root=/ROOT/ID`]
      : [
          `/sys/fs/cgroup tmpfs ${access},${SAFE} [mode=755]`,
          ...HIERARCHIES.map((name) => `/sys/fs/cgroup/${name} cgroup ${access},${SAFE} root=/ROOT/ID`),
        ];
  const hidden = MASKED.map((path) =>
    statSync(path).isDirectory()
      ? `${path} tmpfs ro,${SAFE} [size=4k,mode=555]`
      : `${path} tmpfs rw,nosuid root=/null [size=65536k,mode=755]`,
  );
  const readOnly = READ_ONLY.map((path) => `${path} proc ro,${SAFE} root=${path.slice('/proc'.length)} []`);
  return [
    `/ overlay ${root}`,
    '/dev tmpfs rw,nosuid [size=65536k,mode=755]',
    `/dev/mqueue mqueue rw,${SAFE}`,
    '/dev/pts devpts rw,nosuid,noexec,relatime [mode=620,ptmxmode=666]',
    `/dev/shm tmpfs rw,${SAFE} [size=65536k]`,
    ...['hostname', 'hosts', 'resolv.conf'].map((name) => `/etc/${name} FILE root=ROOT/containers/ID/${name}`),
    `/proc proc rw,${SAFE} []`,
    `/sys sysfs ${access},${SAFE}`,
    ...cgroups,
    ...(masks ? [...hidden, ...readOnly] : []),
  ].sort();
}

const DEFAULT: Posture = {
  sharedNamespaces: [],
  uidMap: '0 +0 65536',
  gidMap: '0 +0 65536',
  uids: '0 0 0 0',
  gids: '0 0 0 0',
  groups: '0',
  capabilities: {
    inheritable: NO_CAPABILITIES,
    permitted: DEFAULT_CAPABILITIES,
    effective: DEFAULT_CAPABILITIES,
    bounding: DEFAULT_CAPABILITIES,
    ambient: NO_CAPABILITIES,
  },
  noNewPrivileges: false,
  seccomp: 2,
  descriptors: ['0 /dev/null', '1 pipe:[N]', '2 pipe:[N]'],
  sessionLeader: true,
  umask: '0022',
  oomScoreAdj: '0',
  workingDirectory: '/',
  ignoredSignals: NO_CAPABILITIES,
  mounts: mounts({ root: 'rw,nodev,relatime', access: 'ro', masks: true }),
  devices: DEVICES,
};

const ON_HOST_IDS = { sharedNamespaces: ['user'], uidMap: 'host', gidMap: 'host' } as const;

/** Each kind of container: its flags, what differs from the default, and its device rules. */
const KINDS: readonly {
  name: string;
  flags: readonly string[];
  differs: Partial<Posture>;
  rules?: readonly string[];
}[] = [
  { name: 'default', flags: [], differs: {} },
  {
    name: '--privileged',
    flags: ['--privileged'],
    differs: {
      ...ON_HOST_IDS,
      capabilities: {
        ...DEFAULT.capabilities,
        permitted: HOST_BOUNDING,
        effective: HOST_BOUNDING,
        bounding: HOST_BOUNDING,
      },
      seccomp: 0,
      mounts: mounts({ root: 'rw,relatime', access: 'rw', masks: false }),
    },
    rules: ['a *:* rwm'],
  },
  { name: '--userns=host', flags: ['--userns=host'], differs: ON_HOST_IDS },
  {
    name: '--user 1000',
    flags: ['--user', '1000'],
    differs: {
      uids: '1000 1000 1000 1000',
      capabilities: { ...DEFAULT.capabilities, permitted: NO_CAPABILITIES, effective: NO_CAPABILITIES },
    },
  },
  {
    name: '--read-only',
    flags: ['--read-only'],
    differs: { mounts: mounts({ root: 'ro,nodev,relatime', access: 'ro', masks: true }) },
  },
  { name: 'seccomp=unconfined', flags: ['--security-opt', 'seccomp=unconfined'], differs: { seccomp: 0 } },
  {
    // A tmpfs has the mode of what it covers, unless told otherwise; 1777, which the kernel does not list, where nothing is there.
    name: '--tmpfs',
    flags: [
      ['--tmpfs', '/root', '--tmpfs', '/scratch', '--tmpfs', '/home:mode=711'],
      ['--mount', 'type=tmpfs,dst=/etc', '--mount', 'type=tmpfs,dst=/var,tmpfs-mode=0770'],
    ].flat(),
    differs: {
      mounts: [
        ...DEFAULT.mounts,
        `/etc tmpfs rw,${SAFE} [mode=755]`,
        `/home tmpfs rw,${SAFE} [mode=711]`,
        `/root tmpfs rw,${SAFE} [mode=700]`,
        `/scratch tmpfs rw,${SAFE} []`,
        `/var tmpfs rw,${SAFE} [mode=770]`,
      ].sort(),
    },
  },
  { name: 'no-new-privileges', flags: ['--security-opt', 'no-new-privileges'], differs: { noNewPrivileges: true } },
];

for (const { name, flags, differs, rules } of KINDS) {
  t.test(name, async (t) => {
    const id = await tsdctl.output('run', '-d', '--network', 'none', ...flags, 'busybox', 'sleep', '1000');
    const { Pid } = (await daemon.inspect(id)).State;
    const posture = readPosture(Pid, daemon.dataRoot);
    const expected = { ...DEFAULT, ...differs };
    if (name === '--privileged') {
      const hostNodes = readdirSync('/dev', { withFileTypes: true }).filter((entry) => entry.isBlockDevice());
      for (const { name } of hostNodes) {
        t.ok(
          posture.devices.some((device) => device.endsWith(` ${name}`)),
          `has the host's ${name}`,
        );
      }
      t.same({ ...posture, devices: [] }, { ...expected, devices: [] });
    } else {
      t.same(posture, expected);
    }
    const found = deviceRules(Pid);
    if (found !== undefined) t.same(found, rules ?? DEVICE_RULES, 'device rules');
    for (const [controller, path] of Object.entries(readCgroups(Pid))) {
      t.equal(path, `${daemon.cgroupParent}/${id}`, `${controller} cgroup`);
    }
    t.same(readLimits(Pid), readLimits(daemon.pid), 'limits are the daemon’s unless asked for');
    t.equal((await tsdctl('rm', '-f', id)).code, 0);
  });
}

t.test('--network host and --pid host share just that', async (t) => {
  for (const [flags, shared] of [
    [['--network', 'host'], ['net']],
    [['--network', 'none', '--pid', 'host'], ['pid']],
    [['--network', 'none', '--ipc', 'host'], ['ipc']],
    [['--network', 'none', '--uts', 'host'], ['uts']],
    [['--network', 'none', '--cgroupns', 'host'], ['cgroup']],
  ] as const) {
    const id = await tsdctl.output('run', '-d', ...flags, 'busybox', 'sleep', '1000');
    t.same(sharedNamespaces((await daemon.inspect(id)).State.Pid), shared, flags.join(' '));
    await tsdctl('rm', '-f', id);
  }
});

/** Runs a script in a container and returns what it printed, line by line. */
async function probe(flags: readonly string[], ...lines: string[]): Promise<string[]> {
  const script = lines.join('\n');
  const out = await tsdctl.output(
    'run',
    '--rm',
    '--network',
    'none',
    ...flags,
    'busybox',
    'sh',
    '-c',
    `exec 2>&1\n${script}`,
  );
  return out.split('\n');
}

t.test('what a container must not do is refused', async (t) => {
  const attempts = [
    ['mount a file system', 'mount -t tmpfs tmpfs /tmp'],
    ['make a device', 'mknod /tmp/disk b 8 0'],
    ['rename the host', 'hostname other'],
    ['write to /proc/sys', 'echo 1 > /proc/sys/kernel/panic'],
    ['read the kernel log', 'dmesg'],
    ['make a user namespace', 'unshare -U true'],
    ['make a mount namespace', 'unshare -m true'],
    ['write to its cgroup', 'mkdir /sys/fs/cgroup/memory/more /sys/fs/cgroup/more'],
    ['trace the init of the host', 'cat /proc/1/root/../etc/shadow'],
    [
      'raise its hard limit of processes',
      'ulimit -Hu unlimited && ulimit -Su unlimited && test $(ulimit -u) != unlimited',
    ],
  ] as const;
  const lines = await probe(
    [],
    ...attempts.map(([, command]) => `if (${command}) >/dev/null; then echo DONE; else echo refused; fi`),
  );
  const verdicts = lines.filter((line) => line === 'DONE' || line === 'refused');
  attempts.forEach(([what], index) => {
    t.equal(verdicts[index], 'refused', what);
  });
});

t.test('without seccomp a user namespace can be made, with it not', async (t) => {
  t.same(await probe(['--security-opt', 'seccomp=unconfined'], 'unshare -U true && echo made'), ['made']);
});

t.test('--read-only: nothing of the image can be written, tmpfs can', async (t) => {
  const flags = ['--read-only', '--tmpfs', '/scratch'];
  const lines = await probe(
    flags,
    'touch /new || echo refused',
    'touch /etc/passwd || echo refused',
    'touch /scratch/new && echo written',
  );
  t.same(
    lines.filter((line) => !line.startsWith('touch:')),
    ['refused', 'refused', 'written'],
  );
});

t.test('a container sees its cgroups as roots and no process but its own', async (t) => {
  const lines = await probe([], 'cut -d: -f3 /proc/self/cgroup | sort -u', 'ls -d /proc/[0-9]* | wc -l');
  t.equal(lines[0], '/');
  t.ok(Number(lines[1]) <= 4, `${lines[1]} processes`);
});

t.test('the image’s files belong to the container’s ids', async (t) => {
  const lines = await probe([], 'stat -c %u:%g / /bin/busybox /etc/passwd', 'touch /mine; stat -c %u:%g /mine');
  t.same(lines, ['0:0', '0:0', '0:0', '0:0']);
});
