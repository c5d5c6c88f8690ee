/** A container service without a kernel: the launcher, the supervisors, images and cgroups are in memory. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from '../src/containers/container-deps.ts';
import { createContainerStore } from '../src/containers/container-store.ts';
import { createExitWaiters } from '../src/containers/exit-waiters.ts';
import { createIdRanges } from '../src/containers/id-ranges.ts';
import { createKeyedLock } from '../src/containers/keyed-lock.ts';
import { createPendingAttaches } from '../src/containers/pending-attaches.ts';
import { reconcileContainers, resumeContainers } from '../src/containers/reconcile.ts';
import { createRestartTimers } from '../src/containers/restart-timers.ts';
import { createRunningContainers } from '../src/containers/running-containers.ts';
import { createTrash } from '../src/containers/trash.ts';
import { createEngineEvents, type EngineEvents } from '../src/events/engine-events.ts';
import type { Image } from '../src/images/image.ts';
import type { ImageRunConfig } from '../src/images/image-config.ts';
import { type CgroupCounters, NO_COUNTERS } from '../src/os/cgroup-counters.ts';
import type { ExitReport } from '../src/runtime/exit-report.ts';
import type { HostFacts } from '../src/runtime/host-facts.ts';
import { LaunchError } from '../src/runtime/launch-error.ts';
import type { LaunchInput } from '../src/runtime/launch-input.ts';
import type { LaunchPlan } from '../src/runtime/launch-plan.ts';
import type { AttachRequest, Supervisor } from '../src/runtime/supervisor.ts';
import { openDatabase } from '../src/storage/database.ts';
import { createFakeHostNetwork, type FakeHostNetwork, fakeNetworking } from './network-fakes.ts';

const IMAGE_ID = `sha256:${'1'.repeat(64)}`;

/** A process that a fake launcher started: tests end it. It outlives the daemon, as real ones do. */
export interface FakeProcess {
  readonly id: string;
  readonly input: LaunchInput;
  readonly pid: number;
  readonly startedAtNs: bigint;
  readonly signals: number[];
  readonly attached: AttachRequest[];
  /** Signals that end the process; SIGKILL always does. */
  mortalTo: Set<number>;
  exit(code: number): void;
  die(signal: number, oomKilled?: boolean): void;
  /** The supervisor goes without a report. */
  lose(): void;
  report: ExitReport | null;
}

export interface World {
  readonly directory: string;
  readonly processes: FakeProcess[];
  readonly log: { level: string; fields: object; message: string }[];
  readonly removedCgroups: string[];
  /** What every container's cgroups count, and whose were read. */
  counters: CgroupCounters;
  readonly countersRead: string[];
  /** Containers whose processes are stopped. */
  readonly frozen: Set<string>;
  readonly releasedImages: string[];
  readonly events: EngineEvents;
  /** The host's interfaces, rules and ports, which outlive the daemon. */
  readonly network: FakeHostNetwork;
  /** What the next launch does instead of starting a process. */
  failNextLaunch: { step: number; errno: number; detail: string } | Error | null;
  imageConfig: ImageRunConfig;
  /** Supervisors answer only when this resolves. */
  supervisorsAnswer: Promise<void>;
  /** A daemon on this world's files. Its predecessor is dead: nothing of it is heard any more. */
  daemon(): Promise<ContainerDeps>;
  /** kill -9 of the daemon. */
  kill(): void;
  lastProcess(): FakeProcess;
  close(): void;
}

/** Resolves when the condition holds; fails after ten seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; !condition(); ) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await delay(2);
  }
}

export function createWorld(): World {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-containers-'));
  const roots = { dataRoot: join(directory, 'data'), execRoot: join(directory, 'exec') };
  const supervisors = new Map<string, () => Supervisor>();
  let nextPid = 4_000_000;
  let close: (() => void) | null = null;

  const world: World = {
    directory,
    processes: [],
    log: [],
    removedCgroups: [],
    counters: NO_COUNTERS,
    countersRead: [],
    frozen: new Set(),
    releasedImages: [],
    network: createFakeHostNetwork(),
    events: createEngineEvents(),
    failNextLaunch: null,
    imageConfig: { Cmd: ['sh'], Env: ['PATH=/bin'] },
    supervisorsAnswer: Promise.resolve(),
    lastProcess() {
      const process = world.processes.at(-1);
      if (process === undefined) throw new Error('nothing was launched');
      return process;
    },
    kill() {
      close?.();
      close = null;
    },
    close() {
      world.kill();
      rmSync(directory, { recursive: true, force: true });
    },
    async daemon() {
      world.kill();
      const deps = createDeps();
      await reconcileContainers(deps, 50);
      await resumeContainers(deps);
      return deps;
    },
  };

  function createDeps(): ContainerDeps {
    const db = openDatabase(join(directory, 'tsd.db'));
    let alive = true;
    const record = (level: string) => (fields: object, message: string) => {
      if (alive) world.log.push({ level, fields, message });
    };
    const log = { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error') };
    const store = createContainerStore(db);
    const restartTimers = createRestartTimers();
    close = () => {
      alive = false;
      restartTimers.close();
      db.close();
    };
    const image = (): Image => ({
      id: IMAGE_ID,
      config: {
        os: 'linux',
        architecture: process.arch === 'x64' ? 'amd64' : process.arch,
        config: world.imageConfig,
        rootfs: { type: 'layers', diff_ids: [] },
        history: [],
      },
      configBytes: Buffer.from('{}'),
      diffIds: ['sha256:a', 'sha256:b'],
      repoTags: ['busybox:latest'],
      repoDigests: [],
      sizeBytes: 1000,
      createdAt: '2026-01-01T00:00:00Z',
      lastTaggedAt: null,
      broken: null,
    });
    return {
      roots,
      log,
      events: world.events,
      store,
      idRanges: createIdRanges(store.list().flatMap(({ idRange }) => (idRange === null ? [] : [idRange]))),
      locks: createKeyedLock(),
      running: createRunningContainers(),
      waiters: createExitWaiters(),
      pendingAttaches: createPendingAttaches(),
      restartTimers,
      trash: createTrash(join(roots.dataRoot, 'trash'), log),
      networks: fakeNetworking(db, world.network, () => alive),
      images: {
        resolve(reference) {
          if (reference === 'busybox' || reference === IMAGE_ID) return image();
          throw new TsdError('not_found', `No such image: ${reference}`);
        },
        get: (id) => (id === IMAGE_ID ? image() : null),
      },
      imageReleased: (id) => world.releasedImages.push(id),
      // Archives need real layers: test/commit.test.ts.
      rootTrees: {
        async *stream() {
          yield Buffer.alloc(1024);
        },
      },
      layerMounts: { acquire: () => ({ descriptors: [10, 11], hasMountPoints: true, release: () => undefined }) },
      launcher: { launch: async (plan, options) => launch(plan, options.attach, () => alive) },
      planning: {
        host: { securityModules: ['apparmor'] as readonly string[] } as HostFacts,
        compileSeccomp: () => new Uint8Array(),
        planLaunch: (input) => ({ plan: fakePlan(input), warnings: input.hostConfig.BlkioWeight ? ['no blkio'] : [] }),
        lookupDevices: () => [],
        readAccounts: () => ({ passwd: null, group: null }),
        defaultUlimits: [],
      },
      idmapProbe: async () => true,
      cgroups: {
        remove: async (id) => {
          world.removedCgroups.push(id);
        },
        removeLate: (id) => void world.removedCgroups.push(id),
        finishRemoval: async () => undefined,
        idle: async () => undefined,
        removeForeign: async () => undefined,
        processes: () => [process.pid],
        counters: (id) => {
          world.countersRead.push(id);
          return world.counters;
        },
        freeze: async (id) => {
          world.frozen.add(id);
          return true;
        },
        thaw: (id) => void world.frozen.delete(id),
      },
      connectSupervisor: async (socket) => {
        await world.supervisorsAnswer;
        const connect = supervisors.get(socket);
        if (connect === undefined || !existsSync(socket)) throw new Error(`ECONNREFUSED ${socket}`);
        return connect();
      },
      readExitFile: (path) => world.processes.findLast(({ input }) => input.paths.exitFile === path)?.report ?? null,
    };
  }

  const inputs = new WeakMap<LaunchPlan, LaunchInput>();

  function fakePlan(input: LaunchInput): LaunchPlan {
    const plan: LaunchPlan = {
      supervisor: {
        controlSocket: input.paths.controlSocket,
        exitFile: input.paths.exitFile,
        log: null,
        tty: false,
        openStdin: false,
        stdinOnce: false,
        oomCounterFile: null,
      },
      steps: [{ op: 'exec', side: 'container', argv: [...(input.config.Cmd ?? [])], env: [] }],
    };
    inputs.set(plan, input);
    return plan;
  }

  function launch(plan: LaunchPlan, attach: readonly AttachRequest[], isAlive: () => boolean): Supervisor {
    const failure = world.failNextLaunch;
    world.failNextLaunch = null;
    if (failure instanceof Error) throw failure;
    if (failure !== null) throw new LaunchError(plan, failure);
    const input = inputs.get(plan);
    if (input === undefined) throw new Error('not a plan of this world');
    const { process, connect } = startProcess(input, attach);
    const socket = plan.supervisor.controlSocket;
    writeFileSync(socket, '');
    supervisors.set(socket, () => connect(() => true));
    world.processes.push(process);
    return connect(isAlive);
  }

  function startProcess(input: LaunchInput, attach: readonly AttachRequest[]) {
    const ended = Promise.withResolvers<ExitReport>();
    ended.promise.catch(() => undefined);
    const socket = input.paths.controlSocket;
    const pid = nextPid++;
    const startedAtNs = BigInt(Date.now()) * 1_000_000n + BigInt(pid % 1000);
    const end = (kind: ExitReport['kind'], code: number, oomKilled: boolean) => {
      process.report = { kind, code, oomKilled, startedAtNs, finishedAtNs: BigInt(Date.now()) * 1_000_000n };
      rmSync(socket, { force: true });
      ended.resolve(process.report);
    };
    const process: FakeProcess = {
      id: input.id,
      input,
      pid,
      startedAtNs,
      signals: [],
      attached: [...attach],
      mortalTo: new Set([15]),
      report: null,
      exit: (code) => end('exited', code, false),
      die: (signal, oomKilled = false) => end('signalled', signal, oomKilled),
      lose() {
        rmSync(socket, { force: true });
        ended.reject(new Error('the supervisor closed the connection'));
      },
    };
    const connect = (isAlive: () => boolean): Supervisor => ({
      pid,
      startedAtNs,
      // A dead daemon hears nothing.
      exited: new Promise((resolve, reject) => {
        ended.promise.then(
          (report) => isAlive() && resolve(report),
          (error: unknown) => isAlive() && reject(error),
        );
      }),
      async signal(number) {
        if (process.report !== null) throw Object.assign(new Error('ESRCH'), { code: 'ESRCH' });
        process.signals.push(number);
        if (number === 9 || process.mortalTo.has(number)) process.die(number);
      },
      resize: async () => undefined,
      hold: async () => {
        throw new Error('the fake supervisor keeps no output');
      },
      attach: async (request) => {
        process.attached.push(request);
      },
      status: async () => ({ state: 'running', pid, startedAtNs, exit: null }),
      disconnect: () => undefined,
    });
    return { process, connect };
  }

  return world;
}
