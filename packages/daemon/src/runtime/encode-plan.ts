/** The binary form of a launch plan: packages/launcher/PROTOCOL.md, section 2. */
import type {
  CapabilitySets,
  FsOption,
  LaunchPlan,
  MountAttribute,
  MountPropagation,
  Namespace,
  PlanPath,
  Side,
  Step,
  SupervisorPlan,
} from './launch-plan.ts';
import { WireWriter } from './wire-writer.ts';

const MAGIC = Buffer.from('TSDP');
const VERSION = 1;
const NONE = 0xffff_ffff;
const PLAN_LIMIT_BYTES = 4 * 1024 * 1024;
const STEP_LIMIT = 4096;
const SLOT_LIMIT = 1024;
const PATH_LIMIT_BYTES = 4095;
const ORDINARY_PLAN_BYTES = 16 * 1024;

/** Number on the wire and the sides that may execute it. */
const OPS: Readonly<Record<Step['op'], { readonly number: number; readonly side: Side | 'both' }>> = {
  mkdir: { number: 1, side: 'both' },
  symlink: { number: 2, side: 'both' },
  mknod: { number: 3, side: 'both' },
  'write-file': { number: 4, side: 'both' },
  'enter-cgroup': { number: 5, side: 'both' },
  'open-path': { number: 6, side: 'both' },
  'open-pidfd': { number: 7, side: 'host' },
  'open-child-namespace': { number: 8, side: 'host' },
  'join-namespaces': { number: 9, side: 'both' },
  unshare: { number: 10, side: 'both' },
  clone: { number: 11, side: 'host' },
  'id-map': { number: 12, side: 'host' },
  'clone-tree': { number: 13, side: 'both' },
  'set-mount-attributes': { number: 14, side: 'both' },
  'new-mount': { number: 15, side: 'both' },
  'attach-mount': { number: 16, side: 'both' },
  'set-root-propagation': { number: 17, side: 'container' },
  'mask-path': { number: 18, side: 'container' },
  'read-only-path': { number: 19, side: 'container' },
  'pivot-root': { number: 20, side: 'container' },
  'set-hostname': { number: 21, side: 'container' },
  'set-domainname': { number: 22, side: 'container' },
  netlink: { number: 23, side: 'both' },
  'set-rlimit': { number: 24, side: 'both' },
  'set-umask': { number: 25, side: 'container' },
  'set-oom-score-adj': { number: 26, side: 'host' },
  'open-pty': { number: 27, side: 'container' },
  'new-session-keyring': { number: 28, side: 'container' },
  'set-exec-label': { number: 29, side: 'container' },
  'set-no-new-privileges': { number: 30, side: 'container' },
  'set-credentials': { number: 31, side: 'container' },
  'set-seccomp': { number: 32, side: 'container' },
  'change-directory': { number: 33, side: 'container' },
  exec: { number: 34, side: 'container' },
  'attach-device-program': { number: 35, side: 'host' },
  'new-overlay-by-path': { number: 36, side: 'host' },
  'change-root': { number: 37, side: 'container' },
};

const SIDES: Readonly<Record<Side, number>> = { host: 0, container: 1 };

const NAMESPACES: Readonly<Record<Namespace, number>> = {
  cgroup: 1,
  ipc: 2,
  mount: 4,
  net: 8,
  pid: 16,
  user: 32,
  uts: 64,
};

const ATTRIBUTES: Readonly<Record<MountAttribute, number>> = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  noatime: 16,
  relatime: 32,
  strictatime: 64,
  nodiratime: 128,
  nosymfollow: 256,
};

const PROPAGATIONS: Readonly<Record<MountPropagation, number>> = { private: 1, slave: 2, shared: 3, unbindable: 4 };

/** A plan that the wire format cannot carry: a fault of whoever made the plan. `step` is its index, if it is a step's. */
export class PlanEncodingError extends Error {
  override readonly name = 'PlanEncodingError';
  readonly step: number | null;

  constructor(step: number | null, message: string) {
    super(step === null ? `launch plan: ${message}` : `launch plan, step ${step}: ${message}`);
    this.step = step;
  }
}

/** The plan as `tsd-launch` reads it. Throws PlanEncodingError where it breaks a rule of PROTOCOL.md. */
export function encodePlan(plan: LaunchPlan): Buffer {
  if (plan.steps.length > STEP_LIMIT) throw new PlanEncodingError(null, `more than ${STEP_LIMIT} steps`);
  const writer = new WireWriter(ORDINARY_PLAN_BYTES).raw(MAGIC).u16(VERSION).u16(0).u32(0).u32(plan.steps.length);
  const totalLengthOffset = MAGIC.length + 4;
  withLength(writer, () => writeSupervisor(writer, plan.supervisor));
  for (const [index, step] of plan.steps.entries()) {
    try {
      writeStep(writer, step);
    } catch (error) {
      throw new PlanEncodingError(index, `${step.op}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (writer.length > PLAN_LIMIT_BYTES) throw new PlanEncodingError(null, `larger than ${PLAN_LIMIT_BYTES} bytes`);
  return writer.patchU32(totalLengthOffset, writer.length).finish();
}

function writeSupervisor(writer: WireWriter, supervisor: SupervisorPlan): void {
  const { log } = supervisor;
  writeString(writer, supervisor.controlSocket);
  writeString(writer, supervisor.exitFile);
  writeString(writer, log?.file ?? '');
  writer.u64(BigInt(log?.maxBytes ?? 0)).u32(log?.maxFiles ?? 1);
  writer.u8(Number(supervisor.tty) | (Number(supervisor.openStdin) << 1) | (Number(supervisor.stdinOnce) << 2));
  writeString(writer, supervisor.oomCounterFile ?? '');
}

function writeStep(writer: WireWriter, step: Step): void {
  const op = OPS[step.op];
  if (op.side !== 'both' && op.side !== step.side) throw new Error(`belongs to the ${op.side} side`);
  writer
    .u16(op.number)
    .u8(SIDES[step.side])
    .u8(Number(step.optional ?? false) | (Number(step.ahead ?? false) << 1));
  withLength(writer, () => writePayload(writer, step));
}

function writePayload(writer: WireWriter, step: Step): void {
  switch (step.op) {
    case 'mkdir':
      writePath(writer, step.at);
      writer.u32(step.mode).u8(Number(step.parents ?? false));
      writer.u32(step.uid ?? NONE).u32(step.gid ?? NONE);
      return;
    case 'symlink':
      writePath(writer, step.at);
      writeString(writer, step.target);
      return;
    case 'mknod':
      writePath(writer, step.at);
      writer.u8({ char: 1, block: 2, fifo: 3, file: 4 }[step.type]);
      writer.u32(step.mode).u32(step.major).u32(step.minor);
      writer.u32(step.uid ?? NONE).u32(step.gid ?? NONE);
      return;
    case 'write-file':
      writePath(writer, step.at);
      writer.bytes(Buffer.from(step.data)).u8(Number(step.create ?? false));
      return;
    case 'enter-cgroup':
    case 'mask-path':
    case 'read-only-path':
      writePath(writer, step.at);
      return;
    case 'open-path':
      writePath(writer, step.at);
      writeSlot(writer, step.slot);
      writer.u8(Number(step.directory ?? false));
      return;
    case 'open-pidfd':
      writer.u32(step.pid);
      writeSlot(writer, step.slot);
      return;
    case 'open-child-namespace':
      writeNamespaces(writer, [step.namespace]);
      writeSlot(writer, step.slot);
      return;
    case 'join-namespaces':
      writeOptionalSlot(writer, step.slot);
      writeNamespaces(writer, step.namespaces);
      return;
    case 'unshare':
      writeNamespaces(writer, step.namespaces);
      return;
    case 'clone':
      writeNamespaces(writer, step.namespaces);
      writeOptionalSlot(writer, step.cgroup);
      return;
    case 'id-map':
      writer.u8({ uid: 1, gid: 2 }[step.kind]).u32(step.mappings.length);
      for (const { containerId, hostId, size } of step.mappings) writer.u32(containerId).u32(hostId).u32(size);
      return;
    case 'clone-tree':
      writePath(writer, step.at);
      writeSlot(writer, step.slot);
      writer.u8(Number(step.recursive ?? false));
      return;
    case 'set-mount-attributes':
      writeSlot(writer, step.slot);
      writeAttributes(writer, step.set ?? []);
      writeAttributes(writer, step.clear ?? []);
      writer.u8(step.propagation === undefined ? 0 : PROPAGATIONS[step.propagation]);
      writeOptionalSlot(writer, step.idmap);
      writer.u8(Number(step.recursive ?? false));
      return;
    case 'new-mount':
      writeString(writer, step.fsType);
      writer.u32(step.options.length);
      for (const option of step.options) writeOption(writer, option);
      writeAttributes(writer, step.attributes);
      writeSlot(writer, step.slot);
      return;
    case 'new-overlay-by-path':
      writer.u32(step.layers.length);
      for (const layer of step.layers) writeSlot(writer, layer);
      writeString(writer, step.upper);
      writeString(writer, step.work);
      writeAttributes(writer, step.attributes);
      writeSlot(writer, step.slot);
      return;
    case 'attach-mount':
      writeSlot(writer, step.slot);
      writePath(writer, step.at);
      writer.u8(step.create === undefined ? 0 : { directory: 1, file: 2 }[step.create]);
      return;
    case 'set-root-propagation':
      writer.u8(PROPAGATIONS[step.propagation]);
      return;
    case 'pivot-root':
    case 'change-root':
      writeSlot(writer, step.slot);
      return;
    case 'set-hostname':
    case 'set-domainname':
      writeString(writer, step.name);
      return;
    case 'netlink':
      writer.u32(step.protocol).u32(step.messages.length);
      for (const message of step.messages) writer.bytes(message);
      return;
    case 'set-rlimit':
      writer.u32(step.resource).u64(step.soft).u64(step.hard);
      return;
    case 'set-umask':
      writer.u32(step.mask);
      return;
    case 'set-oom-score-adj':
      writer.i32(step.score);
      return;
    case 'open-pty':
      writeSlot(writer, step.root);
      writer.u16(step.rows).u16(step.columns);
      return;
    case 'new-session-keyring':
    case 'set-no-new-privileges':
      return;
    case 'set-exec-label':
      writer.u8({ apparmor: 1, selinux: 2 }[step.module]);
      writeString(writer, step.label);
      return;
    case 'set-credentials':
      writer.u32(step.uid).u32(step.gid).u32(step.groups.length);
      for (const group of step.groups) writer.u32(group);
      writeCapabilities(writer, step.capabilities);
      return;
    case 'set-seccomp':
      writer.bytes(step.program).u8(Number(step.log ?? false));
      return;
    case 'attach-device-program':
      writePath(writer, step.at);
      writer.bytes(step.program);
      return;
    case 'change-directory':
      writeString(writer, step.path);
      return;
    case 'exec':
      writeStrings(writer, step.argv);
      writeStrings(writer, step.env);
      writer.u8(Number(step.init ?? false));
      return;
    default:
      step satisfies never;
  }
}

function writePath(writer: WireWriter, { base, path }: PlanPath): void {
  if (base === undefined && !path.startsWith('/')) throw new Error(`path "${path}" without a base is not absolute`);
  writeOptionalSlot(writer, base);
  if (Buffer.byteLength(path) > PATH_LIMIT_BYTES) throw new Error(`path longer than ${PATH_LIMIT_BYTES} bytes`);
  writeString(writer, path);
}

function writeSlot(writer: WireWriter, slot: number): void {
  if (!Number.isInteger(slot) || slot < 0 || slot >= SLOT_LIMIT) throw new Error(`slot ${slot} is not in 0–1023`);
  writer.u32(slot);
}

function writeOptionalSlot(writer: WireWriter, slot: number | undefined): void {
  if (slot === undefined) writer.u32(NONE);
  else writeSlot(writer, slot);
}

function writeOption(writer: WireWriter, option: FsOption): void {
  writer.u8({ flag: 1, string: 2, slot: 3, mode: 4 }[option.kind]);
  writeString(writer, option.key);
  if (option.kind === 'string') writeString(writer, option.value);
  if (option.kind === 'slot') writeSlot(writer, option.slot);
  if (option.kind === 'mode') writePath(writer, option.of);
}

/** A set of namespaces, as a u32 of PROTOCOL.md's bits. */
export function writeNamespaces(writer: WireWriter, namespaces: readonly Namespace[]): void {
  writer.u32(namespaces.reduce((bits, namespace) => bits | NAMESPACES[namespace], 0));
}

function writeAttributes(writer: WireWriter, attributes: readonly MountAttribute[]): void {
  writer.u32(attributes.reduce((bits, attribute) => bits | ATTRIBUTES[attribute], 0));
}

function writeCapabilities(writer: WireWriter, sets: CapabilitySets): void {
  for (const set of [sets.bounding, sets.effective, sets.permitted, sets.inheritable, sets.ambient]) {
    // Two words of 32 bits: a u64 would be a BigInt for each capability.
    const words: [number, number] = [0, 0];
    for (const capability of set) words[capability < 32 ? 0 : 1] |= 1 << (capability % 32);
    writer.u32(words[0] >>> 0).u32(words[1] >>> 0);
  }
}

function writeStrings(writer: WireWriter, strings: readonly string[]): void {
  writer.u32(strings.length);
  for (const string of strings) writeString(writer, string);
}

function writeString(writer: WireWriter, string: string): void {
  if (string.includes('\0')) throw new Error(`string ${JSON.stringify(string)} holds a NUL`);
  writer.string(string);
}

/** Writes a u32 length before what `write` writes. */
function withLength(writer: WireWriter, write: () => void): void {
  const offset = writer.length;
  writer.u32(0);
  write();
  writer.patchU32(offset, writer.length - offset - 4);
}
