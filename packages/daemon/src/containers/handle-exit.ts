/** What happens when a container's process has ended: recorded first, then told, then cleaned up. */
import { type ExitReport, exitStatus } from '../runtime/exit-report.ts';
import type { Supervisor } from '../runtime/supervisor.ts';
import { releaseNetworks } from './attach-networks.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { containerFiles } from './container-paths.ts';
import { isRunning, transition } from './lifecycle.ts';
import { removeLocked } from './remove-container.ts';
import { restartDelayMs } from './restart-policy.ts';
import { nowNs, nsOfTimestamp, timestampOfNs } from './timestamp.ts';

export type HandleExitDeps = Pick<
  ContainerDeps,
  | 'cgroups'
  | 'events'
  | 'idRanges'
  | 'imageReleased'
  | 'locks'
  | 'log'
  | 'networks'
  | 'pendingAttaches'
  | 'readExitFile'
  | 'restartTimers'
  | 'roots'
  | 'running'
  | 'store'
  | 'trash'
  | 'waiters'
>;

/** How an exit is recorded. */
export interface RecordedExit {
  readonly exitCode: number;
  readonly exitSignal: number | null;
  readonly oomKilled: boolean;
  /** Null where no process ran that is known of. */
  readonly startedAtNs: bigint | null;
  readonly finishedAtNs: bigint;
  readonly error: string;
}

/** Follows a container that runs, until its end. */
export function superviseContainer(deps: HandleExitDeps, record: ContainerRecord, supervisor: Supervisor): void {
  const { id } = record;
  const ended = supervisor.exited
    .then(recordedExit, (error: unknown) => lostSupervisor(deps, record, error))
    .then((exit) => {
      supervisor.disconnect();
      recordExit(deps, id, exit);
    })
    .catch((error: unknown) =>
      deps.log.error({ containerId: id, err: error }, 'the exit of a container was not handled'),
    );
  deps.running.add(id, { supervisor, ended });
}

/** Docker's exit code of a process that a signal ended is 128 and the signal's number. */
export function recordedExit(report: ExitReport): RecordedExit {
  return {
    exitCode: exitStatus(report),
    exitSignal: report.kind === 'signalled' ? report.code : null,
    oomKilled: report.oomKilled,
    startedAtNs: report.startedAtNs,
    finishedAtNs: report.finishedAtNs,
    error: '',
  };
}

/**
 * Records the exit of a container that was running, tells those who wait, and starts to clean up. Synchronous up to the
 * telling: nothing can come between. Needs no lock, so a stop that holds it can wait for this.
 */
export function recordExit(deps: HandleExitDeps, id: string, exit: RecordedExit): void {
  deps.running.remove(id);
  const before = deps.store.byId(id);
  if (before === undefined) return;
  // A daemon that was killed between the launch and its record finds the exit of a start that it does not know.
  const status = isRunning(before.status) ? before.status : transition(before.status, 'start');
  const startedAt = exit.startedAtNs === null ? before.startedAt : timestampOfNs(exit.startedAtNs);
  const ranForMs = startedAt === null ? 0 : Number((exit.finishedAtNs - nsOfTimestamp(startedAt)) / 1_000_000n);
  const delayMs = restartDelayMs({
    policy: before.hostConfig.RestartPolicy,
    exitCode: exit.exitCode,
    stopRequested: before.stopRequested,
    ranForMs,
    restartCount: before.restartCount,
    previousDelayMs: deps.restartTimers.previousDelayMs(id),
  });
  deps.store.update(id, {
    status: transition(status, delayMs === null ? 'exit' : 'exit-to-restart'),
    pid: null,
    pidStartTicks: null,
    exitCode: exit.exitCode,
    exitSignal: exit.exitSignal,
    oomKilled: exit.oomKilled,
    error: exit.error,
    startedAt,
    finishedAt: timestampOfNs(exit.finishedAtNs),
  });
  deps.log.info({ containerId: id, exitCode: exit.exitCode, oomKilled: exit.oomKilled }, 'a container ended');
  if (exit.oomKilled) publishContainerEvent(deps, before, 'oom');
  const execDuration = String(Math.floor(ranForMs / 1000));
  publishContainerEvent(deps, before, 'die', { exitCode: String(exit.exitCode), execDuration });
  deps.waiters.exited(id, { exitCode: exit.exitCode, error: exit.error });
  deps.running.setCleanup(
    id,
    afterAnswers().then(async () => {
      const released = endNetworks(deps, id);
      return (await removeCgroups(deps, before)) && (await released);
    }),
  );
  if (delayMs !== null) {
    deps.restartTimers.schedule(id, delayMs);
  } else if (before.hostConfig.AutoRemove) {
    removeAfterExit(deps, id);
  }
}

/** Removes a container with --rm after its end. */
export function removeAfterExit(deps: HandleExitDeps, id: string): void {
  deps.locks
    .run(id, async () => {
      const record = deps.store.byId(id);
      // A user may have removed it, or started it again, meanwhile.
      if (record !== undefined && !isRunning(record.status)) await removeLocked(deps, record);
    })
    .catch((error: unknown) =>
      deps.log.error({ containerId: id, err: error }, 'a container with --rm was not removed'),
    );
}

/** Those who waited for the exit hear of it before the daemon turns to other work. */
function afterAnswers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** With a pid namespace of its own, nothing of a container is left when its first process has ended: its cgroups can wait. */
async function removeCgroups(deps: HandleExitDeps, { id, hostConfig }: ContainerRecord): Promise<boolean> {
  try {
    if (hostConfig.PidMode !== '') await deps.cgroups.remove(id);
    else deps.cgroups.removeLate(id);
    return true;
  } catch (error) {
    deps.log.error({ containerId: id, err: error }, "a container's cgroups could not be removed");
    return false;
  }
}

/** Its addresses and ports are free when this returns, and nothing is sent to them any more when it resolves. */
async function endNetworks(deps: HandleExitDeps, id: string): Promise<boolean> {
  try {
    await releaseNetworks(deps, id);
    return true;
  } catch (error) {
    deps.log.error({ containerId: id, err: error }, "a container's networks could not be released");
    return false;
  }
}

/** The supervisor is gone without a word: the exit file may hold its last one. The process died with it (PDEATHSIG). */
function lostSupervisor(deps: HandleExitDeps, record: ContainerRecord, error: unknown): RecordedExit {
  const report = deps.readExitFile(containerFiles(deps.roots, record.id).exitFile);
  if (report !== null && timestampOfNs(report.startedAtNs) === record.startedAt) return recordedExit(report);
  deps.log.error({ containerId: record.id, err: error }, "a container's supervisor ended without a report");
  return {
    exitCode: 137,
    exitSignal: 9,
    oomKilled: false,
    startedAtNs: null,
    finishedAtNs: nowNs(),
    error: "the container's supervisor was killed, and the container with it",
  };
}
