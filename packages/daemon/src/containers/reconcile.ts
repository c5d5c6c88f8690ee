/**
 * Brings the database and the kernel together when the daemon starts: what should exist is in the one, what runs in the
 * other. Each container's case is in the table of docs/lifecycle.md.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { spreadSubdirectories } from '../os/spread-directories.ts';
import type { Supervisor } from '../runtime/supervisor.ts';
import { releaseNetworks, removeInterfaces } from './attach-networks.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import {
  containerFiles,
  containersDirectory,
  runtimeDirectories,
  runtimeName,
  type StateRoots,
  trashDirectory,
} from './container-paths.ts';
import { recordExit, recordedExit, removeAfterExit, superviseContainer } from './handle-exit.ts';
import { isRunning, transition } from './lifecycle.ts';
import { removeLocked } from './remove-container.ts';
import { restartAfterExit } from './restart-container.ts';
import { startsWithDaemon } from './restart-policy.ts';
import { repairInterfaces, restoreNetworks } from './restore-networks.ts';
import { type StartDeps, startContainer } from './start-container.ts';
import { startTicks } from './start-ticks.ts';
import { nowNs, timestampOfNs } from './timestamp.ts';

export type ReconcileDeps = StartDeps & Pick<ContainerDeps, 'connectSupervisor'>;

/** A supervisor answers at once, unless it is stopped or the host is very busy. */
const RECONNECT_TIMEOUT_MS = 5000;

/**
 * To be called once, before the API is served. When it resolves every record tells the truth, running containers are
 * supervised again, and they have their ports, names and rules; deleting files goes on in the background.
 */
export async function reconcileContainers(
  deps: ReconcileDeps,
  reconnectTimeoutMs: number = RECONNECT_TIMEOUT_MS,
): Promise<void> {
  makeRoots(deps.roots);
  deps.restartTimers.onDue((id) => {
    restartAfterExit(deps, id).catch((error: unknown) =>
      deps.log.error({ containerId: id, err: error }, 'a restart failed'),
    );
  });
  await Promise.all(deps.store.list().map((record) => reconcileOne(deps, record, reconnectTimeoutMs)));
  removeOrphans(deps);
  deps.trash.empty();
  await restoreNetworks(deps).catch((error: unknown) =>
    deps.log.error({ err: error }, "the packet filter's rules could not be laid down again"),
  );
}

/**
 * To be called once the networks are there. Gives running containers what they miss of theirs, and starts those whose restart
 * policy wants it, in the background.
 */
export async function resumeContainers(deps: ReconcileDeps): Promise<void> {
  await repairInterfaces(deps);
  for (const record of deps.store.list()) startAgain(deps, record);
}

function makeRoots(roots: StateRoots): void {
  for (const directory of [containersDirectory(roots), trashDirectory(roots), runtimeDirectories(roots)]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }
  spreadSubdirectories(containersDirectory(roots));
}

/** A failure here is one container's, never the daemon's. */
async function reconcileOne(deps: ReconcileDeps, record: ContainerRecord, timeoutMs: number): Promise<void> {
  try {
    // A commit was cut short: nothing else would let the container's processes go on.
    if (record.status !== 'paused') deps.cgroups.thaw(record.id);
    if (record.status === 'removing') {
      await removeLocked(deps, record);
      return;
    }
    const { controlSocket } = containerFiles(deps.roots, record.id);
    if (existsSync(controlSocket)) {
      const reconnected = reconnect(deps, record, deps.connectSupervisor(controlSocket));
      if (await settlesWithin(reconnected, timeoutMs)) return;
      // It is supervised as soon as it answers; the others, and the API, do not wait for it.
      deps.log.error({ containerId: record.id }, "a container's supervisor does not answer");
      return;
    }
    await settleStopped(deps, record);
  } catch (error) {
    deps.log.error({ containerId: record.id, err: error }, 'a container could not be reconciled');
  }
}

/** Supervises the container when its supervisor answers; settles its record where nobody listens any more. */
async function reconnect(deps: ReconcileDeps, record: ContainerRecord, connecting: Promise<Supervisor>): Promise<void> {
  try {
    const supervisor = await connecting;
    superviseContainer(deps, asRunning(deps, record, supervisor), supervisor);
  } catch (error) {
    deps.log.debug({ containerId: record.id, err: error }, 'no supervisor answers');
    await settleStopped(deps, record);
  }
}

async function settlesWithin(work: Promise<void>, timeoutMs: number): Promise<boolean> {
  const { promise: expired, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  try {
    return await Promise.race([work.then(() => true), expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** A container without a supervisor: its exit file tells the rest. */
async function settleStopped(deps: ReconcileDeps, record: ContainerRecord): Promise<void> {
  killSurvivor(deps, record);
  await settleNetworks(deps, record, removeInterfaces);
  // One that was silent for long may have been removed by a user.
  if (deps.store.byId(record.id) !== record) return;
  recordMissedExit(deps, record);
  await settleNetworks(deps, record, releaseNetworks);
  removeStaleFiles(deps, record);
}

/**
 * Whoever shared the network of a container that has ended keeps its interfaces alive: they go before the exit is recorded,
 * and with that the addresses are free.
 */
async function settleNetworks(
  deps: ReconcileDeps,
  { id }: ContainerRecord,
  settle: typeof releaseNetworks,
): Promise<void> {
  await settle(deps, id).catch((error: unknown) =>
    deps.log.error({ containerId: id, err: error }, "a container's networks could not be released"),
  );
}

/**
 * A process dies with its supervisor (PR_SET_PDEATHSIG), and with its cgroup, which is removed below. Where someone has
 * deleted the socket of a supervisor that lives, on a host without cgroups, neither is so.
 */
function killSurvivor(deps: ReconcileDeps, { id, pid, pidStartTicks }: ContainerRecord): void {
  if (pid === null || pidStartTicks === null || startTicks(pid) !== pidStartTicks) return;
  deps.log.warn({ containerId: id, pid }, 'killing a container whose supervisor cannot be reached');
  process.kill(pid, 'SIGKILL');
}

/** The record of a container that runs, also where the daemon died between its launch and the record. */
function asRunning(deps: ReconcileDeps, record: ContainerRecord, supervisor: Supervisor): ContainerRecord {
  const startedAt = timestampOfNs(supervisor.startedAtNs);
  if (isRunning(record.status) && record.startedAt === startedAt && record.pid === supervisor.pid) return record;
  deps.log.warn({ containerId: record.id, pid: supervisor.pid }, 'found a container running that was not recorded so');
  return deps.store.update(record.id, {
    status: isRunning(record.status) ? record.status : transition(record.status, 'start'),
    pid: supervisor.pid,
    pidStartTicks: startTicks(supervisor.pid),
    startedAt,
    finishedAt: null,
    exitCode: 0,
    exitSignal: null,
    oomKilled: false,
    error: '',
  });
}

/** Records an exit that happened while no daemon was there, or that was not recorded any more. */
function recordMissedExit(deps: ReconcileDeps, record: ContainerRecord): void {
  const report = deps.readExitFile(containerFiles(deps.roots, record.id).exitFile);
  const isNews = report !== null && timestampOfNs(report.startedAtNs) !== record.startedAt;
  if (isRunning(record.status)) {
    recordExit(deps, record.id, report !== null && !isNews ? recordedExit(report) : unknownExit());
  } else if (isNews && record.status !== 'dead') {
    // Launched, and ended, before the daemon could record even the start.
    recordExit(deps, record.id, recordedExit(report));
  } else if (record.status === 'exited' && record.hostConfig.AutoRemove) {
    removeAfterExit(deps, record.id);
  }
}

/** The host stopped, or the supervisor was killed (and the container with it, PR_SET_PDEATHSIG). */
function unknownExit(): ReturnType<typeof recordedExit> {
  return {
    exitCode: 255,
    exitSignal: null,
    oomKilled: false,
    startedAtNs: null,
    finishedAtNs: nowNs(),
    error:
      'the container ended while tsd was not running, and its exit was not recorded: the host was stopped, or its supervisor killed',
  };
}

/** What a launch that was cut short, or a supervisor that was killed, leaves: cgroups and the socket. */
function removeStaleFiles(deps: ReconcileDeps, record: ContainerRecord): void {
  const { runtimeDirectory } = containerFiles(deps.roots, record.id);
  if (!existsSync(runtimeDirectory)) return;
  const removal = deps.running
    .cleanedUp(record.id)
    .then(() => deps.cgroups.remove(record.id))
    .then(() => rm(runtimeDirectory, { recursive: true, force: true }))
    .then(
      () => true,
      (error: unknown) => {
        deps.log.error({ containerId: record.id, err: error }, 'the remains of a launch could not be removed');
        return false;
      },
    );
  deps.running.setCleanup(record.id, removal);
}

/** Directories and cgroups without a row: a create that was cut short before its commit point, or a removal after it. */
function removeOrphans(deps: ReconcileDeps): void {
  for (const name of readdirSync(containersDirectory(deps.roots))) {
    if (deps.store.byId(name) !== undefined) continue;
    deps.log.info({ containerId: name }, 'removing the directory of a container that does not exist');
    deps.trash.discard(`${containersDirectory(deps.roots)}/${name}`);
  }
  deps.cgroups
    .removeForeign((id) => deps.store.byId(id) !== undefined)
    .catch((error: unknown) =>
      deps.log.error({ err: error }, 'cgroups that removed containers left could not be removed'),
    );
  const known = new Set(deps.store.list().map(({ id }) => runtimeName(id)));
  for (const name of readdirSync(runtimeDirectories(deps.roots))) {
    if (known.has(name)) continue;
    rm(`${runtimeDirectories(deps.roots)}/${name}`, { recursive: true, force: true }).catch((error: unknown) =>
      deps.log.error({ name, err: error }, 'a runtime directory could not be removed'),
    );
  }
}

/** Restart policies outlive the daemon (and the host's boot). */
function startAgain(deps: ReconcileDeps, record: ContainerRecord): void {
  const { id, status, hostConfig, exitCode, stopRequested, restartCount } = record;
  if (status === 'restarting') {
    // recordExit has scheduled those that it found just now.
    if (deps.restartTimers.previousDelayMs(id) === 0) deps.restartTimers.schedule(id, 0);
    return;
  }
  const ended = { policy: hostConfig.RestartPolicy, exitCode, stopRequested, restartCount };
  if (status !== 'exited' || !startsWithDaemon(ended)) return;
  startContainer(deps, id).catch((error: unknown) =>
    deps.log.error({ containerId: id, err: error }, 'a container could not be started with the daemon'),
  );
}
