/** A plan as text, one line per step: what test/dump-plan.c must print of the same plan's bytes. */
import type {
  FsOption,
  LaunchPlan,
  MountAttribute,
  Namespace,
  PlanPath,
  Step,
  SupervisorPlan,
} from '../../daemon/src/runtime/launch-plan.ts';

const NAMESPACES: readonly Namespace[] = ['cgroup', 'ipc', 'mount', 'net', 'pid', 'user', 'uts'];
const ATTRIBUTES: readonly MountAttribute[] = [
  'rdonly',
  'nosuid',
  'nodev',
  'noexec',
  'noatime',
  'relatime',
  'strictatime',
  'nodiratime',
  'nosymfollow',
];

export function describePlan(plan: LaunchPlan): string {
  const steps = plan.steps.map((step, index) => {
    const flags = `${step.optional ? '?' : ''}${step.ahead ? '&' : ''}`;
    return `${[index, `${step.side}${flags}`, step.op, ...describe(step)].join(' ')}\n`;
  });
  return describeSupervisor(plan.supervisor) + steps.join('');
}

function describeSupervisor(supervisor: SupervisorPlan): string {
  const flags = [supervisor.tty && 'tty', supervisor.openStdin && 'open-stdin', supervisor.stdinOnce && 'stdin-once'];
  return `${[
    'supervisor',
    `control=${quote(supervisor.controlSocket)}`,
    `exit=${quote(supervisor.exitFile)}`,
    `log=${quote(supervisor.log?.file ?? '')}*${supervisor.log?.maxFiles ?? 1}@${supervisor.log?.maxBytes ?? 0}`,
    `oom=${quote(supervisor.oomCounterFile ?? '')}`,
    ...flags.filter((flag) => flag !== false),
  ].join(' ')}\n`;
}

function describe(step: Step): readonly (string | number)[] {
  switch (step.op) {
    case 'mkdir':
      return [path(step.at), octal(step.mode), ...flag(step.parents, 'parents'), id(step.uid), id(step.gid)];
    case 'symlink':
      return [path(step.at), quote(step.target)];
    case 'mknod':
      return [path(step.at), step.type, octal(step.mode), step.major, step.minor, id(step.uid), id(step.gid)];
    case 'write-file':
      return [path(step.at), quote(step.data), ...flag(step.create, 'create')];
    case 'enter-cgroup':
    case 'mask-path':
    case 'read-only-path':
      return [path(step.at)];
    case 'open-path':
      return [path(step.at), step.slot, ...flag(step.directory, 'directory')];
    case 'open-pidfd':
      return [step.pid, step.slot];
    case 'open-child-namespace':
      return [namespaces([step.namespace]), step.slot];
    case 'join-namespaces':
      return [slot(step.slot), namespaces(step.namespaces)];
    case 'unshare':
      return [namespaces(step.namespaces)];
    case 'clone':
      return [namespaces(step.namespaces), slot(step.cgroup)];
    case 'id-map':
      return [step.kind, ...step.mappings.map((map) => `${map.containerId}:${map.hostId}:${map.size}`)];
    case 'clone-tree':
      return [path(step.at), step.slot, ...flag(step.recursive, 'recursive')];
    case 'set-mount-attributes':
      return [
        step.slot,
        `+${attributes(step.set ?? [])}`,
        `-${attributes(step.clear ?? [])}`,
        step.propagation ?? 'none',
        slot(step.idmap),
        ...flag(step.recursive, 'recursive'),
      ];
    case 'new-mount':
      return [quote(step.fsType), ...step.options.map(option), attributes(step.attributes), step.slot];
    case 'attach-mount':
      return [step.slot, path(step.at), step.create ?? 'nothing'];
    case 'set-root-propagation':
      return [step.propagation];
    case 'pivot-root':
    case 'change-root':
      return [step.slot];
    case 'set-hostname':
    case 'set-domainname':
      return [quote(step.name)];
    case 'netlink':
      return [step.protocol, ...step.messages.map(hex)];
    case 'set-rlimit':
      return [step.resource, String(step.soft), String(step.hard)];
    case 'set-umask':
      return [octal(step.mask)];
    case 'set-oom-score-adj':
      return [step.score];
    case 'open-pty':
      return [step.root, step.rows, step.columns];
    case 'new-session-keyring':
    case 'set-no-new-privileges':
      return [];
    case 'set-exec-label':
      return [step.module, quote(step.label)];
    case 'set-credentials': {
      const { bounding, effective, permitted, inheritable, ambient } = step.capabilities;
      const sets = [bounding, effective, permitted, inheritable, ambient].map(capabilities);
      return [step.uid, step.gid, `groups=${step.groups.join(',')}`, ...sets];
    }
    case 'new-overlay-by-path':
      return [step.layers.join(','), quote(step.upper), quote(step.work), attributes(step.attributes), step.slot];
    case 'attach-device-program':
      return [path(step.at), hex(step.program)];
    case 'set-seccomp':
      return [hex(step.program), ...flag(step.log, 'log')];
    case 'change-directory':
      return [quote(step.path)];
    case 'exec':
      return [...step.argv.map(quote), '--', ...step.env.map(quote), ...flag(step.init, 'init')];
  }
}

function path({ base, path: name }: PlanPath): string {
  return `${base === undefined ? '' : `[${base}]`}${quote(name)}`;
}

function quote(text: string): string {
  let quoted = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    quoted += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `"${quoted}"`;
}

function flag(value: boolean | undefined, name: string): readonly string[] {
  return value ? [name] : [];
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const octal = (mode: number): string => `0${mode.toString(8)}`;
const id = (value: number | undefined): string => (value === undefined ? '*' : String(value));
const slot = (value: number | undefined): string => (value === undefined ? 'none' : String(value));

function namespaces(names: readonly Namespace[]): string {
  return NAMESPACES.filter((name) => names.includes(name)).join(',') || 'none';
}

function attributes(names: readonly MountAttribute[]): string {
  return ATTRIBUTES.filter((name) => names.includes(name)).join(',') || 'none';
}

function option(value: FsOption): string {
  if (value.kind === 'flag') return quote(value.key);
  if (value.kind === 'mode') return `${quote(value.key)}=mode-of ${path(value.of)}`;
  return `${quote(value.key)}=${value.kind === 'string' ? quote(value.value) : value.slot}`;
}

function capabilities(set: readonly number[]): string {
  return set.reduce((bits, number) => bits | (1n << BigInt(number)), 0n).toString(16);
}
