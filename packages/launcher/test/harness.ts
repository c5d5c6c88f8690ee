/** Runs the launcher alone: plans, descriptors, attach clients. For the tests beside it; needs root. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemfd, createSealedMemfd } from '../../daemon/src/os/memfd.ts';
import { sendBytes, sendDescriptors } from '../../daemon/src/os/send-descriptor.ts';
import { createSocketPair } from '../../daemon/src/os/socket-pair.ts';
import { reapProcess, spawnDescriptor } from '../../daemon/src/os/spawn-launcher.ts';
import {
  type ControlConnection,
  type HeldAttach,
  openControlConnection,
} from '../../daemon/src/runtime/control-connection.ts';
import type { LaunchPlan, Namespace, Slot, Step, SupervisorPlan } from '../../daemon/src/runtime/launch-plan.ts';
import {
  CONTROL_DESCRIPTOR,
  decodeStatus,
  type ExitReport,
  encodePlan,
  encodePlanFrame,
  encodePrepare,
  encodeSlots,
  type SupervisorMessage,
} from '../../daemon/src/runtime/launcher-protocol.ts';

export const FIRST_HOST_ID = 0x4000_0000;
export const NAMESPACES = ['cgroup', 'ipc', 'mount', 'net', 'pid', 'user', 'uts'] as const;
/** What `containerPlan` clones with. */
export const CLONED_NAMESPACES = ['ipc', 'net', 'pid', 'user', 'uts'] as const;
const ALL_CAPABILITIES = Array.from({ length: 41 }, (_, number) => number);
/** TSD_LAUNCH is another build to test: the one with sanitizers, which is large and needs libraries that no container has. */
const otherBuild = process.env['TSD_LAUNCH'];
const launcherPath = otherBuild ?? join(import.meta.dirname, '../build/tsd-launch');

/** For tap's `skip`: why this build cannot show what the one that is shipped can. */
export const notThisBuild = otherBuild === undefined ? false : 'only the static build can do this';
let executable = -1;

/** Why these tests cannot run here, or false: for tap's `skip`. */
export function cannotRun(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(launcherPath)) return 'the launcher is not built: make -C packages/launcher';
  if (!existsSync('/bin/busybox')) return 'needs /bin/busybox (Debian: busybox-static)';
  return false;
}

/** A directory for one test, with a busybox root file system, removed at the end. */
export interface Bench {
  readonly directory: string;
  readonly root: string;
  readonly exitFile: string;
  readonly controlSocket: string;
  readonly logFile: string;
  remove(): void;
}

export function createBench(): Bench {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-launcher-test-'));
  const root = join(directory, 'root');
  for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc']) mkdirSync(join(root, name), { recursive: true });
  execFileSync('cp', ['/bin/busybox', join(root, 'bin/busybox')]);
  execFileSync('chroot', [root, '/bin/busybox', '--install', '-s', '/bin']);
  for (const name of ['upper', 'work']) mkdirSync(join(directory, name));
  execFileSync('chown', [`${FIRST_HOST_ID}:${FIRST_HOST_ID}`, join(directory, 'upper')]);
  return {
    directory,
    root,
    exitFile: join(directory, 'exit'),
    controlSocket: join(directory, 'control.sock'),
    logFile: join(directory, 'container.log'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function supervisorPlan(bench: Bench, changes: Partial<SupervisorPlan> = {}): SupervisorPlan {
  return {
    controlSocket: bench.controlSocket,
    exitFile: bench.exitFile,
    log: { file: bench.logFile, maxBytes: 50_000_000, maxFiles: 5 },
    tty: false,
    openStdin: false,
    stdinOnce: false,
    oomCounterFile: null,
    ...changes,
  };
}

export interface ContainerOptions {
  readonly uid?: number;
  readonly init?: boolean;
  readonly tty?: boolean;
  readonly env?: readonly string[];
  /** Container steps before `set-credentials`. */
  readonly before?: readonly Step[];
  readonly cgroups?: readonly string[];
  readonly supervisor?: Partial<SupervisorPlan>;
}

const LAYER = 0;
const USER_NAMESPACE = 1;
const UPPER = 2;
const WORK = 3;
const ROOT = 4;
const PROC = 5;
const DEV = 6;
const PTS = 7;
const SYS = 8;
const MQUEUE = 9;
const EMPTY_ROOT = 10;
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const FIRST_DEVICE = 16;
const FIRST_CGROUP = 32;

/** Every namespace, an idmapped layer under an overlay, /proc, /sys and /dev: what the daemon's plans are made of. */
export function containerPlan(bench: Bench, argv: readonly string[], options: ContainerOptions = {}): LaunchPlan {
  const host = <T>(step: T): T & { side: 'host' } => ({ ...step, side: 'host' });
  const container = <T>(step: T): T & { side: 'container' } => ({ ...step, side: 'container' });
  const ahead = <T>(step: T): T & { side: 'container'; ahead: true } => ({ ...step, side: 'container', ahead: true });
  const root = { base: ROOT };
  const mapping = [{ containerId: 0, hostId: FIRST_HOST_ID, size: 65_536 }];
  const string = (key: string, value: string) => ({ kind: 'string', key, value }) as const;
  const slot = (key: string, number: Slot) => ({ kind: 'slot', key, slot: number }) as const;
  const flags = ['nosuid', 'nodev', 'noexec'] as const;
  const capabilities = options.uid ? [] : ALL_CAPABILITIES.filter((number) => number < 32);
  const steps: Step[] = [
    host({ op: 'clone-tree', at: { path: bench.root }, slot: LAYER }),
    ...(options.cgroups ?? []).map((path) => host({ op: 'mkdir', at: { path }, mode: 0o755 } as const)),
    host({ op: 'clone', namespaces: CLONED_NAMESPACES }),
    host({ op: 'id-map', kind: 'uid', mappings: mapping }),
    host({ op: 'id-map', kind: 'gid', mappings: mapping }),
    ahead({ op: 'unshare', namespaces: ['mount'] }),
    ahead({ op: 'set-root-propagation', propagation: 'private' }),
    ahead({ op: 'new-mount', fsType: 'proc', options: [string('source', 'proc')], attributes: flags, slot: PROC }),
    ahead({ op: 'new-mount', fsType: 'sysfs', options: [], attributes: [...flags, 'rdonly'], slot: SYS }),
    ahead({
      op: 'new-mount',
      fsType: 'devpts',
      options: [string('mode', '0620'), string('ptmxmode', '0666'), string('gid', '5')],
      attributes: ['nosuid', 'noexec'],
      slot: PTS,
    }),
    ahead({ op: 'new-mount', fsType: 'mqueue', options: [], attributes: flags, slot: MQUEUE }),
    ahead({ op: 'new-mount', fsType: 'tmpfs', options: [], attributes: ['rdonly'], slot: EMPTY_ROOT }),
    ahead({ op: 'attach-mount', slot: EMPTY_ROOT, at: { path: '/' } }),
    ahead({ op: 'pivot-root', slot: EMPTY_ROOT }),
    ...(options.cgroups ?? []).map((path, index) =>
      host({ op: 'open-path', at: { path }, slot: FIRST_CGROUP + index, directory: true } as const),
    ),
    host({ op: 'open-child-namespace', namespace: 'user', slot: USER_NAMESPACE }),
    host({ op: 'set-mount-attributes', slot: LAYER, idmap: USER_NAMESPACE, set: ['rdonly'] }),
    host({ op: 'open-path', at: { path: join(bench.directory, 'upper') }, slot: UPPER, directory: true }),
    host({ op: 'open-path', at: { path: join(bench.directory, 'work') }, slot: WORK, directory: true }),
    host({
      op: 'new-mount',
      fsType: 'overlay',
      options: [slot('lowerdir+', LAYER), slot('upperdir', UPPER), slot('workdir', WORK)],
      attributes: ['nodev'],
      slot: ROOT,
    }),
    ...DEVICES.map((name, index) =>
      host({ op: 'clone-tree', at: { path: `/dev/${name}` }, slot: FIRST_DEVICE + index } as const),
    ),
    ...(options.cgroups ?? []).map((_, index) =>
      container({ op: 'enter-cgroup', at: { base: FIRST_CGROUP + index, path: '' } } as const),
    ),
    container({ op: 'unshare', namespaces: ['cgroup'] }),
    container({ op: 'attach-mount', slot: ROOT, at: { path: '/' } }),
    container({ op: 'attach-mount', slot: PROC, at: { ...root, path: 'proc' }, create: 'directory' }),
    container({ op: 'attach-mount', slot: SYS, at: { ...root, path: 'sys' }, create: 'directory' }),
    container({
      op: 'new-mount',
      fsType: 'tmpfs',
      options: [string('mode', '755'), string('size', '65536k')],
      attributes: ['nosuid', 'strictatime', 'noexec'],
      slot: DEV,
    }),
    container({ op: 'attach-mount', slot: DEV, at: { ...root, path: 'dev' }, create: 'directory' }),
    container({ op: 'attach-mount', slot: PTS, at: { ...root, path: 'dev/pts' }, create: 'directory' }),
    container({ op: 'attach-mount', slot: MQUEUE, at: { ...root, path: 'dev/mqueue' }, create: 'directory' }),
    ...DEVICES.map((name, index) =>
      container({
        op: 'attach-mount',
        slot: FIRST_DEVICE + index,
        at: { ...root, path: `dev/${name}` },
        create: 'file',
      } as const),
    ),
    container({ op: 'symlink', at: { ...root, path: 'dev/ptmx' }, target: 'pts/ptmx' }),
    container({ op: 'symlink', at: { ...root, path: 'dev/fd' }, target: '/proc/self/fd' }),
    container({ op: 'symlink', at: { ...root, path: 'dev/stdout' }, target: '/proc/self/fd/1' }),
    container({ op: 'set-hostname', name: 'bench' }),
    container({ op: 'change-root', slot: ROOT }),
    ...['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware', '/proc/scsi'].map((path) =>
      container({ op: 'mask-path', at: { path } } as const),
    ),
    ...['/proc/sys', '/proc/bus', '/proc/irq'].map((path) =>
      container({ op: 'read-only-path', at: { path } } as const),
    ),
    ...(options.tty ? [container({ op: 'open-pty', root: ROOT, rows: 24, columns: 80 } as const)] : []),
    ...(options.before ?? []),
    container({
      op: 'set-credentials',
      uid: options.uid ?? 0,
      gid: options.uid ?? 0,
      groups: [],
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
    }),
    container({ op: 'set-no-new-privileges' }),
    container({
      op: 'exec',
      argv,
      env: options.env ?? ['PATH=/usr/bin:/bin', 'TERM=xterm'],
      ...(options.init ? { init: true } : {}),
    }),
  ];
  return { supervisor: supervisorPlan(bench, { tty: options.tty ?? false, ...options.supervisor }), steps };
}

/** The least: a clone without namespaces and an exec on the host. */
export function plainPlan(bench: Bench, argv: readonly string[], supervisor: Partial<SupervisorPlan> = {}): LaunchPlan {
  return {
    supervisor: supervisorPlan(bench, supervisor),
    steps: [
      { op: 'clone', side: 'host', namespaces: [] },
      { op: 'exec', side: 'container', argv, env: ['PATH=/usr/bin:/bin'] },
    ],
  };
}

export interface Client {
  /** All output so far; complete once `ended` resolves. */
  output(): Buffer;
  readonly socket: Socket;
  readonly ended: Promise<Buffer>;
  /** The end that goes to the supervisor. */
  readonly descriptor: number;
}

/** A connected pair: one end for the supervisor, the other read here. */
export function createClient(options: { paused?: boolean } = {}): Client {
  const [ours, theirs] = createSocketPair();
  const socket = new Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  const ended = new Promise<Buffer>((resolve, reject) => {
    socket.on('end', () => {
      resolve(Buffer.concat(chunks));
      socket.end();
    });
    socket.on('error', reject);
  });
  if (!options.paused) socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { output: () => Buffer.concat(chunks), socket, ended, descriptor: theirs };
}

/** Resolves once the client got this text; rejects when its output ends without. */
export async function until(client: Client, text: string): Promise<void> {
  const ended = client.ended.then((output) => {
    if (!output.includes(text)) throw new Error(`the output ended without "${text}": ${output}`);
  });
  while (!client.output().includes(text)) {
    await Promise.race([ended, new Promise((resolve) => client.socket.once('data', resolve))]);
  }
}

/** Takes Docker's frames apart. */
export function unframe(bytes: Buffer): { stdout: string; stderr: string } {
  const streams: [Buffer[], Buffer[]] = [[], []];
  for (let at = 0; at < bytes.length; ) {
    const stream = bytes.readUInt8(at);
    const length = bytes.readUInt32BE(at + 4);
    if (stream !== 1 && stream !== 2) throw new Error(`stream ${stream} at ${at}`);
    (stream === 1 ? streams[0] : streams[1]).push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return { stdout: Buffer.concat(streams[0]).toString(), stderr: Buffer.concat(streams[1]).toString() };
}

/** What the log holds, put together again as the process wrote it. */
export function readLog(files: readonly string[], stream: 'stdout' | 'stderr' = 'stdout'): string {
  let text = '';
  for (const file of files) {
    const lines = readFileSync(file, 'utf8').split('\n');
    if (lines.pop() !== '') throw new Error(`${file} does not end with a newline`);
    for (const line of lines) {
      const match = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) (F|P|P:end|P:file-\d+) (.*)$/s.exec(line);
      if (match === null) throw new Error(`no CRI record: ${line.slice(0, 100)}`);
      if (match[1] === stream) text += match[3] + (match[2] === 'F' ? '\n' : '');
    }
  }
  return text;
}

export interface AttachOptions {
  readonly client: Client;
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly initialInput?: Uint8Array;
  readonly detachKeys?: Uint8Array;
}

/** Attaches a client behind the log: its output is kept until `release`. */
export async function hold(connection: ControlConnection, options: AttachOptions): Promise<HeldAttach> {
  const held = connection.hold(options.client.descriptor, frameOf(options));
  await held.finally(() => closeSync(options.client.descriptor)).catch(() => undefined);
  return await held;
}

function frameOf(options: AttachOptions) {
  return {
    stdin: options.stdin ?? false,
    stdout: options.stdout ?? true,
    stderr: options.stderr ?? true,
    initialInput: options.initialInput ?? Buffer.alloc(0),
    detachKeys: options.detachKeys ?? Buffer.alloc(0),
  };
}

export async function attach(connection: ControlConnection, options: AttachOptions): Promise<void> {
  const { sent, done } = connection.attach(options.client.descriptor, frameOf(options));
  done.catch(() => undefined);
  await sent;
  closeSync(options.client.descriptor);
  await done;
}

export interface Launched {
  readonly connection: ControlConnection;
  readonly messages: SupervisorMessage[];
  readonly started: Promise<number>;
  readonly exited: Promise<ExitReport>;
  /** The supervisor closed the connection. */
  readonly closed: Promise<void>;
}

export interface Failure {
  readonly step: number | null;
  readonly errno: number;
  readonly detail: string;
}

export class LaunchFailure extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(`step ${failure.step}: errno ${failure.errno}: ${failure.detail}`);
    this.failure = failure;
  }
}

/** Starts a launcher and attaches clients; `start: false` leaves START to the caller. */
export async function launch(
  plan: LaunchPlan | Uint8Array,
  options: {
    slots?: ReadonlyMap<Slot, number>;
    attach?: readonly AttachOptions[];
    start?: boolean;
    /** Namespaces of the process that the launcher makes before it gets the plan. */
    prepare?: readonly Namespace[];
  } = {},
): Promise<Launched & { readonly preparedPid: number }> {
  const planDescriptor = createMemfd('plan');
  writeSync(planDescriptor, plan instanceof Uint8Array ? plan : encodePlan(plan));
  const [ours, theirs] = createSocketPair();
  if (executable < 0) executable = createSealedMemfd('tsd-launch', readFileSync(launcherPath));
  const pid = spawnDescriptor(executable, ['tsd-launch'], new Map([[CONTROL_DESCRIPTOR, theirs]]));
  closeSync(theirs);
  await reapProcess(pid);
  const launched = follow(ours);
  if (options.prepare !== undefined) sendBytes(ours, encodePrepare(options.prepare));
  const { pid: preparedPid } = decodeStatus(await launched.connection.status());
  for (const [slot, descriptor] of options.slots ?? []) sendDescriptors(ours, [descriptor], encodeSlots(slot, 1));
  sendDescriptors(ours, [planDescriptor], encodePlanFrame());
  closeSync(planDescriptor);
  for (const request of options.attach ?? []) await attach(launched.connection, request);
  if (options.start !== false) launched.connection.start();
  return { ...launched, preparedPid };
}

/** Follows a connection to a supervisor. */
export function follow(descriptor: number): Launched {
  const messages: SupervisorMessage[] = [];
  const started = Promise.withResolvers<number>();
  const exited = Promise.withResolvers<ExitReport>();
  const closed = Promise.withResolvers<void>();
  started.promise.catch(() => undefined);
  exited.promise.catch(() => undefined);
  const connection = openControlConnection(descriptor, {
    onMessage: (message) => {
      messages.push(message);
      if (message.type === 'started') started.resolve(message.pid);
      if (message.type === 'exited') exited.resolve(message.report);
      if (message.type === 'failed') started.reject(new LaunchFailure(message));
    },
    onClose: () => {
      started.reject(new Error('closed before STARTED'));
      exited.reject(new Error('closed before EXITED'));
      closed.resolve();
    },
  });
  return { connection, messages, started: started.promise, exited: exited.promise, closed: closed.promise };
}
