/** The plans and frames behind test/golden: every op, every field, both of its shapes, and the limits. */
import type { LaunchPlan, Step } from '../../daemon/src/runtime/launch-plan.ts';

const supervisor = {
  controlSocket: '/run/tsd/containers/abc/control.sock',
  exitFile: '/var/lib/tsd/containers/abc/exit',
  log: { file: '/var/lib/tsd/containers/abc/log/container.log', maxBytes: 50_000_000, maxFiles: 5 },
  tty: false,
  openStdin: true,
  stdinOnce: true,
  oomCounterFile: '/sys/fs/cgroup/memory/tsd/abc/memory.oom_control',
} as const;

const clone: Step = { op: 'clone', side: 'host', namespaces: [] };
const exec: Step = { op: 'exec', side: 'container', argv: ['true'], env: [] };

const everyStep: Step[] = [
  { op: 'mkdir', side: 'host', at: { path: '/a' }, mode: 0o755 },
  { op: 'mkdir', side: 'host', at: { base: 1, path: 'a/b' }, mode: 0o1777, parents: true, uid: 0x4000_0000, gid: 5 },
  { op: 'symlink', side: 'host', at: { base: 1023, path: '' }, target: '../x y"\\é' },
  { op: 'mknod', side: 'host', at: { base: 0, path: 'null' }, type: 'char', mode: 0o666, major: 1, minor: 3 },
  {
    op: 'mknod',
    side: 'host',
    at: { path: '/b' },
    type: 'block',
    mode: 0,
    major: 259,
    minor: 1_048_575,
    uid: 1,
    gid: 2,
  },
  { op: 'mknod', side: 'host', at: { path: '/f' }, type: 'fifo', mode: 0o600, major: 0, minor: 0 },
  { op: 'mknod', side: 'host', at: { path: '/e' }, type: 'file', mode: 0o755, major: 0, minor: 0 },
  { op: 'write-file', side: 'host', optional: true, at: { path: '/sys/x' }, data: '104857600' },
  { op: 'write-file', side: 'host', at: { path: '/etc/x' }, data: 'a\nb\0c', create: true },
  { op: 'open-path', side: 'host', at: { path: '/x' }, slot: 2 },
  { op: 'open-path', side: 'host', at: { path: '/x' }, slot: 3, directory: true },
  {
    op: 'attach-device-program',
    side: 'host',
    at: { base: 3, path: '' },
    program: Uint8Array.from([0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]),
  },
  { op: 'open-pidfd', side: 'host', pid: 4_194_303, slot: 4 },
  { op: 'join-namespaces', side: 'host', slot: 4, namespaces: ['pid'] },
  { op: 'join-namespaces', side: 'host', namespaces: ['mount'] },
  { op: 'unshare', side: 'host', namespaces: ['net', 'ipc'] },
  {
    op: 'clone',
    side: 'host',
    namespaces: ['cgroup', 'ipc', 'mount', 'net', 'pid', 'user', 'uts'],
    cgroup: 3,
  },
  { op: 'enter-cgroup', side: 'container', at: { path: '/sys/fs/cgroup/memory/tsd/abc' } },
  { op: 'enter-cgroup', side: 'host', at: { base: 3, path: '' } },
  { op: 'id-map', side: 'host', kind: 'uid', mappings: [{ containerId: 0, hostId: 0x4000_0000, size: 65_536 }] },
  {
    op: 'id-map',
    side: 'host',
    kind: 'gid',
    mappings: [
      { containerId: 0, hostId: 1000, size: 1 },
      { containerId: 1, hostId: 4_294_901_760, size: 65_535 },
    ],
  },
  { op: 'open-child-namespace', side: 'host', namespace: 'user', slot: 5 },
  { op: 'open-child-namespace', side: 'host', namespace: 'cgroup', slot: 6 },
  { op: 'set-oom-score-adj', side: 'host', score: -500 },
  { op: 'set-oom-score-adj', side: 'host', score: 1000 },
  { op: 'clone-tree', side: 'host', at: { base: 2, path: '' }, slot: 7 },
  { op: 'clone-tree', side: 'container', at: { path: '/data' }, slot: 8, recursive: true },
  { op: 'set-mount-attributes', side: 'host', slot: 7 },
  {
    op: 'set-mount-attributes',
    side: 'container',
    slot: 7,
    set: ['rdonly', 'nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'nosymfollow'],
    clear: ['relatime'],
    propagation: 'slave',
    idmap: 5,
    recursive: true,
  },
  {
    op: 'new-mount',
    side: 'host',
    fsType: 'overlay',
    options: [
      { kind: 'slot', key: 'lowerdir+', slot: 7 },
      { kind: 'string', key: 'index', value: 'off' },
      { kind: 'flag', key: 'userxattr' },
    ],
    attributes: ['nodev'],
    slot: 9,
  },
  {
    op: 'new-overlay-by-path',
    side: 'host',
    layers: [8, 7],
    upper: '/data/upper',
    work: '/data/work',
    attributes: ['nodev'],
    slot: 9,
  },
  { op: 'new-mount', side: 'container', fsType: 'proc', options: [], attributes: ['strictatime'], slot: 10 },
  {
    op: 'new-mount',
    side: 'container',
    fsType: 'tmpfs',
    options: [
      { kind: 'mode', key: 'mode', of: { base: 9, path: 'root' } },
      { kind: 'mode', key: 'mode', of: { path: '/tmp' } },
    ],
    attributes: [],
    slot: 10,
  },
  { op: 'attach-mount', side: 'container', slot: 9, at: { path: '/' } },
  { op: 'attach-mount', side: 'container', slot: 9, at: { base: 9, path: 'a' }, create: 'directory' },
  { op: 'attach-mount', side: 'container', slot: 9, at: { base: 9, path: 'b' }, create: 'file' },
  { op: 'set-root-propagation', side: 'container', propagation: 'private' },
  { op: 'set-root-propagation', side: 'container', propagation: 'unbindable' },
  { op: 'mask-path', side: 'container', at: { path: '/proc/kcore' } },
  { op: 'read-only-path', side: 'container', at: { path: '/proc/sys' } },
  { op: 'pivot-root', side: 'container', slot: 9 },
  { op: 'change-root', side: 'container', slot: 9 },
  { op: 'set-hostname', side: 'container', name: 'h'.repeat(64) },
  { op: 'set-domainname', side: 'container', name: '' },
  { op: 'netlink', side: 'host', protocol: 0, messages: [Uint8Array.from({ length: 16 }, (_, i) => i * 17)] },
  { op: 'netlink', side: 'container', protocol: 31, messages: [new Uint8Array(17), new Uint8Array(20).fill(255)] },
  { op: 'set-rlimit', side: 'host', resource: 7, soft: 1024n, hard: 0xffff_ffff_ffff_ffffn },
  { op: 'set-rlimit', side: 'container', resource: 0, soft: 0n, hard: 0x1_0000_0000n },
  { op: 'set-umask', side: 'container', mask: 0o27 },
  { op: 'new-session-keyring', side: 'container', optional: true },
  { op: 'set-exec-label', side: 'container', module: 'apparmor', label: 'tsd-default' },
  { op: 'set-exec-label', side: 'container', module: 'selinux', label: 'system_u:system_r:container_t:s0' },
  {
    op: 'set-credentials',
    side: 'container',
    uid: 1000,
    gid: 65_534,
    groups: [1, 2, 4_294_967_294],
    capabilities: { bounding: [0, 31, 32, 63], effective: [0], permitted: [40], inheritable: [], ambient: [63] },
  },
  { op: 'set-no-new-privileges', side: 'container' },
  { op: 'set-seccomp', side: 'container', program: Uint8Array.from([6, 0, 0, 0, 0, 0, 255, 127]), log: true },
  { op: 'set-seccomp', side: 'container', program: new Uint8Array(4096 * 8) },
  { op: 'change-directory', side: 'container', path: '/work dir' },
  { op: 'exec', side: 'container', argv: ['sh', '-c', '', 'é"\n'], env: ['PATH=/bin', 'EMPTY='], init: true },
];

export const GOLDEN_PLANS: Readonly<Record<string, LaunchPlan>> = {
  least: {
    supervisor: { ...supervisor, log: null, openStdin: false, stdinOnce: false, oomCounterFile: null },
    steps: [clone, exec],
  },
  'every-step': { supervisor, steps: everyStep },
  ahead: {
    supervisor: { ...supervisor, log: null, openStdin: false, stdinOnce: false, oomCounterFile: null },
    steps: [
      clone,
      { op: 'unshare', side: 'container', ahead: true, namespaces: ['mount'] },
      { op: 'pivot-root', side: 'container', ahead: true, optional: true, slot: 9 },
      { op: 'open-path', side: 'host', at: { path: '/x' }, slot: 2 },
      exec,
    ],
  },
  terminal: {
    supervisor: { ...supervisor, tty: true, stdinOnce: false, log: { file: '/log', maxBytes: 0, maxFiles: 1000 } },
    steps: [clone, { op: 'open-pty', side: 'container', root: 9, rows: 24, columns: 65_535 }, exec],
  },
  'many-steps': {
    supervisor,
    steps: [
      clone,
      ...Array.from({ length: 4094 }, (_, mask): Step => ({ op: 'set-umask', side: 'container', mask: mask % 512 })),
      exec,
    ],
  },
};

/** Changes to the bytes of a good plan that make it a bad one, and what the decoder must say of it. */
export const BAD_PLANS: Readonly<
  Record<string, { readonly of: string; readonly change: (b: Buffer) => Uint8Array; readonly error: string }>
> = {
  empty: { of: 'least', change: () => Buffer.alloc(0), error: 'plan: no plan' },
  'wrong-magic': { of: 'least', change: (b) => edit(b, 0, 0x58), error: 'plan: no plan' },
  'wrong-version': { of: 'least', change: (b) => edit(b, 4, 2), error: 'plan: a plan of another version' },
  'wrong-length': {
    of: 'least',
    change: (b) => b.subarray(0, b.length - 1),
    error: 'plan: a plan of the wrong length',
  },
  'no-steps': { of: 'least', change: (b) => edit(b, 12, 0), error: 'plan: not 1 to 4096 steps' },
  'more-steps-announced': {
    of: 'least',
    change: (b) => edit(b, 12, 3),
    error: 'step 1: exec is not the last step, once',
  },
  'fewer-steps-announced': {
    of: 'least',
    change: (b) => edit(b, 12, 1),
    error: 'step 0: exec is not the last step, once',
  },
  'unknown-op': { of: 'least', change: (b) => edit(b, stepAt(b, 0), 99), error: 'step 0: an unknown op' },
  'wrong-side': {
    of: 'least',
    change: (b) => edit(b, stepAt(b, 0) + 2, 1),
    error: "step 0: clone is the host's, once",
  },
  'host-step-ahead': {
    of: 'least',
    change: (b) => edit(b, stepAt(b, 0) + 3, 2),
    error: 'step 0: a step that cannot be done ahead',
  },
  'ahead-beside-others': {
    of: 'ahead',
    change: (b) => edit(b, stepAt(b, 2) + 3, 1),
    error: 'step 2: steps ahead beside others of the container side',
  },
  'exec-ahead': {
    of: 'least',
    change: (b) => edit(b, stepAt(b, 1) + 3, 2),
    error: 'step 1: a step that cannot be done ahead',
  },
  'payload-too-long': {
    of: 'least',
    change: (b) => edit(b, stepAt(b, 0) + 4, 9),
    error: 'step 0: bytes are left over',
  },
  'payload-too-short': { of: 'least', change: (b) => edit(b, stepAt(b, 0) + 4, 7), error: 'step 0: ends too early' },
  'huge-argv': {
    of: 'least',
    change: (b) => edit(b, stepAt(b, 1) + 11, 0xff),
    error: 'step 1: a list is longer than its step',
  },
  'nul-in-argv': { of: 'least', change: (b) => edit(b, stepAt(b, 1) + 17, 0), error: 'step 1: a string holds a NUL' },
  'terminal-without-pty': {
    of: 'least',
    change: (b) => edit(b, 20 + b.readUInt32LE(16) - 5, 1),
    error: 'plan: a terminal without one open-pty, or the other way round',
  },
};

function edit(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at] = value;
  return changed;
}

/** Where the step begins. */
function stepAt(bytes: Buffer, index: number): number {
  let at = 20 + bytes.readUInt32LE(16);
  for (let i = 0; i < index; i++) at += 8 + bytes.readUInt32LE(at + 4);
  return at;
}
