/**
 * Starts a container's process. The order in which things become visible, and what a daemon killed in between leaves, is
 * written down in docs/lifecycle.md.
 */
import { chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { requireSound } from '../images/image.ts';
import { LaunchError } from '../runtime/launch-error.ts';
import type { LaunchPlan } from '../runtime/launch-plan.ts';
import type { LayerLease } from '../runtime/layer-mounts.ts';
import { isMissingInLayers } from '../runtime/layered-root.ts';
import { MARKS } from '../runtime/mount-points.ts';
import type { Supervisor } from '../runtime/supervisor.ts';
import { handOver } from './attach-container.ts';
import { attachNetworks, type LaunchNetworks, releaseNetworks } from './attach-networks.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { containerLaunchInput } from './container-launch-input.ts';
import { updateLinkingHosts } from './container-links.ts';
import { type ContainerFiles, containerFiles } from './container-paths.ts';
import { type HandleExitDeps, superviseContainer } from './handle-exit.ts';
import { joinedPids } from './joined-namespaces.ts';
import { isRunning, transition } from './lifecycle.ts';
import { networkFiles, readHostFile } from './network-files.ts';
import type { AttachedClient, WaitingClient } from './pending-attaches.ts';
import { removeLocked } from './remove-container.ts';
import { startTicks } from './start-ticks.ts';
import { timestampOfNs } from './timestamp.ts';

const SIGKILL = 9;

export type StartDeps = HandleExitDeps &
  Pick<ContainerDeps, 'images' | 'layerMounts' | 'launcher' | 'planning' | 'pendingAttaches'>;

/**
 * Starts a container that is created or exited.
 *
 * @returns false when it was running already (Docker's 304)
 * @throws TsdError `not_found`, `conflict` when it is paused or being removed, `bad_parameter` when its command cannot be
 *   executed, `internal` for a step that the kernel refused
 */
export async function startContainer(deps: StartDeps, reference: string): Promise<boolean> {
  const { id } = deps.store.lookup(reference);
  return await deps.locks.run(id, async () => {
    const record = deps.store.lookup(id);
    checkStartable(record);
    if (record.status === 'running') return false;
    deps.restartTimers.cancel(id);
    await startLocked(deps, record, { restartCount: 0 });
    return true;
  });
}

/** The work of a start, for callers that hold the container's lock. Keeps `restartCount`. */
export async function startLocked(
  deps: StartDeps,
  record: ContainerRecord,
  options: { readonly restartCount: number },
): Promise<void> {
  const { id } = record;
  await deps.running.cleanedUp(id);
  await deps.cgroups.finishRemoval(id);
  const files = containerFiles(deps.roots, id);
  const waiting = deps.pendingAttaches.take(id);
  const clients: AttachedClient[] = [];
  let lease: LayerLease | undefined;
  try {
    const image = deps.images.get(record.imageId);
    if (image === null) throw new TsdError('not_found', `No such image: ${record.imageReference}`);
    requireSound(image);
    lease = deps.layerMounts.acquire(image.diffIds);
    const layers = lease.descriptors;
    const upperPath = existsSync(files.upper) ? files.upper : null;
    const accounts = deps.planning.readAccounts({ imageId: image.id, layers, upperPath });
    const missingMarks = lease.hasMountPoints
      ? []
      : MARKS.filter((path) => isMissingInLayers({ upperPath, layerDescriptors: layers, path }));
    const joinedNamespaces = joinedPids(deps.store, record);
    const networks = attachNetworks(deps, record);
    const { joined } = networks;
    updateLinkingHosts(deps, record);
    if (joined === null) makeStartFiles(record, files, networks);
    else makeDirectory(files.runtimeDirectory);
    const { descriptors } = lease;
    const layerCount = descriptors.length;
    const { plan, warnings } = deps.planning.planLaunch(
      containerLaunchInput(
        joined === null ? withEnvironment(record, networks) : withNamesOf(record, joined.owner),
        joined === null ? files : { ...files, ...sharedFiles(containerFiles(deps.roots, joined.owner.id)) },
        deps.planning,
        { layerCount, accounts, missingMarks },
        { interfaces: networks.interfaces, joinedNetworkPid: joined?.pid, joined: joinedNamespaces },
      ),
    );
    for (const warning of warnings) deps.log.warn({ containerId: id, warning }, 'the host cannot apply a setting');
    clients.push(...detachAll(deps, id, waiting));
    const supervisor = await filtered(deps, record, networks, () => launch(deps, id, plan, descriptors, clients));
    const running = deps.store.update(id, {
      status: transition(record.status, 'start'),
      pid: supervisor.pid,
      pidStartTicks: startTicks(supervisor.pid),
      startedAt: timestampOfNs(supervisor.startedAtNs),
      finishedAt: null,
      exitCode: 0,
      exitSignal: null,
      oomKilled: false,
      error: '',
      stopRequested: false,
      restartCount: options.restartCount,
    });
    deps.running.forget(id);
    superviseContainer(deps, running, supervisor);
    publishContainerEvent(deps, running, 'start');
    // Those who came while the launch was under way.
    for (const client of deps.pendingAttaches.take(id)) await handOver(deps.log, id, supervisor, client);
  } catch (error) {
    for (const client of waiting) client.close();
    await recordStartFailure(deps, record, error);
    throw error instanceof LaunchError ? error.toUserError() : error;
  } finally {
    // The launcher has clones of the mounts.
    lease?.release();
    // The supervisor has duplicates; where the start failed, this closes the connections.
    for (const client of clients) client.release();
  }
}

function checkStartable(record: ContainerRecord): void {
  if (record.status === 'paused') {
    throw new TsdError('conflict', 'cannot start a paused container, try unpause instead');
  }
  if (record.status === 'removing' || record.status === 'dead') {
    throw new TsdError('conflict', 'container is marked for removal and cannot be started');
  }
}

/** A client that has just gone is no reason not to start. */
function detachAll(deps: StartDeps, id: string, waiting: readonly WaitingClient[]): readonly AttachedClient[] {
  return waiting.flatMap((client) => {
    try {
      return client.gone.aborted ? [] : [client.detach()];
    } catch (error) {
      deps.log.debug({ containerId: id, err: error }, 'a client went away before the start');
      return [];
    }
  });
}

async function launch(
  deps: StartDeps,
  id: string,
  plan: LaunchPlan,
  descriptors: readonly number[],
  clients: readonly AttachedClient[],
): Promise<Supervisor> {
  return await deps.launcher.launch(plan, {
    descriptors,
    attach: clients.map((client) => client.request),
    onWarning: ({ step, errnoName, detail }) =>
      deps.log.warn(
        { containerId: id, step: step === null ? null : plan.steps[step]?.op, errno: errnoName, detail },
        'something optional failed',
      ),
  });
}

/** Docker keeps the status (created or exited) and shows the error and its exit code; --rm removes the container. */
async function recordStartFailure(deps: StartDeps, record: ContainerRecord, error: unknown): Promise<void> {
  const { id } = record;
  deps.log.warn({ containerId: id, err: error }, 'a container could not be started');
  await deps.cgroups.remove(id).catch((cause: unknown) => {
    deps.log.error({ containerId: id, err: cause }, 'the cgroups of a failed start could not be removed');
  });
  await releaseNetworks(deps, id).catch((cause: unknown) => {
    deps.log.error({ containerId: id, err: cause }, 'the networks of a failed start could not be released');
  });
  const failed = deps.store.update(id, {
    // Only a restart's state does not outlive its failure.
    status: record.status === 'restarting' ? transition('restarting', 'stop-restarting') : record.status,
    exitCode: error instanceof LaunchError ? error.exitCode : 128,
    error:
      error instanceof LaunchError
        ? error.toUserError().message
        : String(error instanceof Error ? error.message : error),
  });
  // Without the text: the start's own answer has it, and docker's client would print it twice.
  deps.waiters.exited(id, { exitCode: failed.exitCode, error: '' });
  if (record.hostConfig.AutoRemove && !isRunning(failed.status)) await removeLocked(deps, failed);
}

/**
 * Launches, and has the packet filter changed at the same time: the process does not wait for its published ports. What it
 * may reach holds before its first instruction.
 */
async function filtered(
  deps: StartDeps,
  record: ContainerRecord,
  { rules }: LaunchNetworks,
  start: () => Promise<Supervisor>,
): Promise<Supervisor> {
  if (rules === null) return await start();
  const set = deps.networks.firewall.setContainer(record.id, rules);
  if (rules.egress !== null) await set;
  const [launched, changed] = await Promise.allSettled([start(), set]);
  if (launched.status === 'rejected') throw launched.reason;
  if (changed.status === 'fulfilled') return launched.value;
  await endAgain(deps, record.id, launched.value);
  throw changed.reason;
}

/** A container that runs and may not: nothing remains of the run. */
async function endAgain(deps: StartDeps, id: string, supervisor: Supervisor): Promise<void> {
  await supervisor.signal(SIGKILL).catch((error: unknown) => {
    // It may have ended already, which `exited` tells.
    deps.log.debug({ containerId: id, err: error }, 'the process of a failed start was not killed');
  });
  await supervisor.exited.catch((error: unknown) =>
    deps.log.warn({ containerId: id, err: error }, 'the supervisor of a failed start ended without a report'),
  );
  supervisor.disconnect();
  rmSync(containerFiles(deps.roots, id).exitFile, { force: true });
}

/** Who shares a container's network has its names too (moby, initializeNetworking). */
function withNamesOf(record: ContainerRecord, { config }: ContainerRecord): ContainerRecord {
  const { Hostname, Domainname } = config;
  return { ...record, config: { ...record.config, Hostname, Domainname } };
}

/** Before the container's own, which win. */
function withEnvironment(record: ContainerRecord, { environment }: LaunchNetworks): ContainerRecord {
  return environment.length === 0
    ? record
    : { ...record, config: { ...record.config, Env: [...environment, ...(record.config.Env ?? [])] } };
}

function sharedFiles({ hosts, hostname, resolvConf }: ContainerFiles) {
  return { hosts, hostname, resolvConf };
}

function makeStartFiles(record: ContainerRecord, files: ContainerFiles, { view }: LaunchNetworks): void {
  makeDirectory(files.runtimeDirectory);
  const texts = networkFiles(record, view, readHostFile);
  const rootId = record.idRange ?? 0;
  for (const [path, text] of [
    [files.hosts, texts.hosts],
    [files.hostname, texts.hostname],
    [files.resolvConf, texts.resolvConf],
  ] as const) {
    writeFileSync(path, text, { mode: 0o644 });
    // The owner stays with the file from the first start on.
    if (rootId !== 0 && record.startedAt === null) chownSync(path, rootId, rootId);
  }
}

/** One that an earlier run left is as good. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
