/** Removes containers. Their files are only renamed here; the trash deletes them in the background. */
import { rmSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { releaseNetworks } from './attach-networks.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { containerFiles } from './container-paths.ts';
import { isRunning, nextStatus, transition } from './lifecycle.ts';
import { nowNs, timestampOfNs } from './timestamp.ts';

export type RemoveDeps = Pick<
  ContainerDeps,
  | 'cgroups'
  | 'events'
  | 'idRanges'
  | 'imageReleased'
  | 'locks'
  | 'log'
  | 'networks'
  | 'pendingAttaches'
  | 'restartTimers'
  | 'roots'
  | 'running'
  | 'store'
  | 'trash'
  | 'waiters'
>;

const SIGKILL = 9;

/**
 * Removes a container; with `force` one that runs is killed first. Can be repeated after a failure.
 *
 * @throws TsdError `not_found`, `conflict` when it runs (Docker's text)
 */
export async function removeContainer(
  deps: RemoveDeps,
  reference: string,
  options: { readonly force: boolean },
): Promise<void> {
  const { id, name } = deps.store.lookup(reference);
  if (options.force) {
    // Before the lock: a stop with a long grace period may hold it.
    deps.restartTimers.cancel(id);
    await killAndWait(deps, id);
  }
  await deps.locks.run(id, async () => {
    // A start may have come between.
    if (options.force) await killAndWait(deps, id);
    const record = options.force ? await killUnreachable(deps, id) : deps.store.byId(id);
    // Someone else, or --rm, removed it meanwhile: it is gone, as was asked.
    if (record === undefined) return;
    if (isRunning(record.status)) {
      throw new TsdError(
        'conflict',
        `cannot remove container "/${name}": container is ${record.status}: stop the container before removing or force remove`,
      );
    }
    if (record.status === 'restarting' && !options.force) {
      throw new TsdError(
        'conflict',
        `cannot remove container "/${name}": container is restarting: stop the container before removing or force remove`,
      );
    }
    await removeLocked(deps, record);
  });
}

/**
 * The work of a removal, for callers that hold the container's lock; it does not run. Order: status `removing`, cgroups,
 * directory to the trash, row. Whoever repeats it after a crash finds the rest to do.
 */
export async function removeLocked(deps: RemoveDeps, record: ContainerRecord): Promise<void> {
  const { id } = record;
  const status = nextStatus(record.status, 'remove');
  if (status === null) throw new Error(`the container ${id} is ${record.status}: it cannot be removed`);
  deps.restartTimers.cancel(id);
  if (record.status !== status) deps.store.update(id, { status });
  try {
    if (!(await deps.running.cleanedUp(id))) {
      await deps.cgroups.remove(id);
      await releaseNetworks(deps, id);
    }
    const files = containerFiles(deps.roots, id);
    deps.trash.discard(files.directory);
    deps.store.delete(id);
    deps.running.forget(id);
    if (record.idRange !== null) deps.idRanges.release(record.idRange);
    removeRuntimeDirectory(deps, id, files.runtimeDirectory);
  } catch (error) {
    deps.store.update(id, { status: 'dead', error: error instanceof Error ? error.message : String(error) });
    throw error;
  }
  for (const client of deps.pendingAttaches.take(id)) client.close();
  publishContainerEvent(deps, record, 'destroy');
  // The error is the removal's, as in moby (SetRemoved): a failed start is told by the start.
  deps.waiters.removed(id, { exitCode: record.exitCode, error: '' });
  deps.imageReleased(record.imageId);
}

/** In memory as a rule, so this is faster than handing it to another thread. */
function removeRuntimeDirectory(deps: RemoveDeps, id: string, path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    deps.log.error({ containerId: id, err: error }, 'a runtime directory could not be removed');
  }
}

/** A container whose supervisor does not answer (see reconcile) is killed by its cgroups: a user must get rid of it. */
async function killUnreachable(deps: RemoveDeps, id: string): Promise<ContainerRecord | undefined> {
  const record = deps.store.byId(id);
  if (record === undefined || !isRunning(record.status)) return record;
  deps.log.warn({ containerId: id }, 'killing a container whose supervisor does not answer');
  await deps.cgroups.remove(id);
  const exitCode = 128 + SIGKILL;
  const changes = { pid: null, pidStartTicks: null, exitCode, exitSignal: SIGKILL, finishedAt: timestampOfNs(nowNs()) };
  const exited = deps.store.update(id, { status: transition(record.status, 'exit'), ...changes });
  deps.waiters.exited(id, { exitCode, error: '' });
  return exited;
}

async function killAndWait(deps: RemoveDeps, id: string): Promise<void> {
  const running = deps.running.get(id);
  if (running === undefined) return;
  const record = deps.store.byId(id);
  if (record !== undefined && isRunning(record.status)) {
    deps.store.update(id, { stopRequested: true });
    publishContainerEvent(deps, record, 'kill', { signal: String(SIGKILL) });
  }
  await running.supervisor.signal(SIGKILL).catch((error: unknown) => {
    // It may have ended meanwhile, which `ended` tells.
    deps.log.debug({ containerId: id, err: error }, 'the signal of a forced removal was not delivered');
  });
  await running.ended;
}
