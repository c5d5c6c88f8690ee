/** Stops containers: the stop signal, a time of grace, SIGKILL. */
import { parseSignal } from '@tsd/shared/signal-names';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { isRunning, transition } from './lifecycle.ts';
import type { RunningContainer } from './running-containers.ts';

export type StopDeps = Pick<
  ContainerDeps,
  'events' | 'locks' | 'log' | 'restartTimers' | 'running' | 'store' | 'waiters'
>;

export interface StopOptions {
  /** Name or number; the container's own stop signal by default. */
  readonly signal?: string | undefined;
  /** Seconds of grace, -1 to wait forever; the container's own by default, and 10 where it has none. */
  readonly timeoutSeconds?: number | undefined;
}

const DEFAULT_TIMEOUT_SECONDS = 10;
const SIGKILL = 9;

/**
 * Stops a container and resolves when its exit is recorded.
 *
 * @returns false when it was not running (Docker's 304)
 * @throws TsdError `not_found`, `bad_parameter` for a signal that does not exist
 */
export async function stopContainer(deps: StopDeps, reference: string, options: StopOptions): Promise<boolean> {
  const { id, config } = deps.store.lookup(reference);
  const signal = stopSignalOf(config, options);
  return await deps.locks.run(id, async () => {
    const record = deps.store.lookup(id);
    return await stopLocked(deps, record, { ...options, signal });
  });
}

/** The work of a stop, for callers that hold the container's lock. */
export async function stopLocked(
  deps: StopDeps,
  record: ContainerRecord,
  options: { readonly signal: number; readonly timeoutSeconds?: number | undefined },
): Promise<boolean> {
  const { id } = record;
  deps.restartTimers.cancel(id);
  if (record.status === 'restarting') {
    deps.store.update(id, { status: transition('restarting', 'stop-restarting'), stopRequested: true });
    deps.waiters.exited(id, { exitCode: record.exitCode, error: record.error });
    publishContainerEvent(deps, record, 'stop');
    return true;
  }
  const running = deps.running.get(id);
  if (running === undefined || !isRunning(record.status)) return false;
  deps.store.update(id, { stopRequested: true });
  await signalRunning(deps, record, running, options.signal);
  const timeoutSeconds = options.timeoutSeconds ?? record.config.StopTimeout ?? DEFAULT_TIMEOUT_SECONDS;
  if (timeoutSeconds < 0) {
    await running.ended;
  } else if (!(await endsWithin(running, timeoutSeconds * 1000))) {
    deps.log.info({ containerId: id, timeoutSeconds }, 'a container did not stop in time: it is killed');
    await signalRunning(deps, record, running, SIGKILL);
    await running.ended;
  }
  publishContainerEvent(deps, record, 'stop');
  return true;
}

/** The number of the signal that stops the container. */
export function stopSignalOf(config: ContainerRecord['config'], options: StopOptions): number {
  return parseSignal(options.signal || config.StopSignal || 'SIGTERM');
}

/** A process that has just ended cannot be signalled; that it ended is told by `ended`. */
async function signalRunning(
  deps: StopDeps,
  record: ContainerRecord,
  running: RunningContainer,
  signal: number,
): Promise<void> {
  publishContainerEvent(deps, record, 'kill', { signal: String(signal) });
  await running.supervisor.signal(signal).catch((error: unknown) => {
    deps.log.debug({ containerId: record.id, signal, err: error }, 'a signal was not delivered');
  });
}

async function endsWithin(running: RunningContainer, timeoutMs: number): Promise<boolean> {
  const { promise: expired, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  try {
    return await Promise.race([running.ended.then(() => true), expired]);
  } finally {
    clearTimeout(timer);
  }
}
