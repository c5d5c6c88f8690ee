/** Restarts containers, at a user's wish and as their restart policies want. */
import { TsdError } from '@tsd/shared/errors';
import { publishContainerEvent } from './container-events.ts';
import { type StartDeps, startLocked } from './start-container.ts';
import { type StopDeps, type StopOptions, stopLocked, stopSignalOf } from './stop-container.ts';

export type RestartDeps = StartDeps & StopDeps;

/**
 * Stops the container where it runs, then starts it.
 *
 * @throws TsdError as stop and start do
 */
export async function restartContainer(deps: RestartDeps, reference: string, options: StopOptions): Promise<void> {
  const { id, config } = deps.store.lookup(reference);
  const signal = stopSignalOf(config, options);
  await deps.locks.run(id, async () => {
    await stopLocked(deps, deps.store.lookup(id), { ...options, signal });
    // With --rm the stop's end is followed by the removal, which waits for this lock: the start comes first.
    const record = deps.store.lookup(id);
    if (record.status === 'removing' || record.status === 'dead') {
      throw new TsdError('conflict', 'container is marked for removal and cannot be started');
    }
    await startLocked(deps, record, { restartCount: 0 });
    publishContainerEvent(deps, record, 'restart');
  });
}

/** Starts the container whose restart is due, unless a user got there first. Failures are recorded with the container. */
export async function restartAfterExit(deps: StartDeps, id: string): Promise<void> {
  await deps.locks.run(id, async () => {
    const record = deps.store.byId(id);
    if (record?.status !== 'restarting') return;
    try {
      await startLocked(deps, record, { restartCount: record.restartCount + 1 });
    } catch (error) {
      deps.log.error({ containerId: id, err: error }, 'a container could not be restarted');
    }
  });
}
