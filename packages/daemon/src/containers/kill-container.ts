/** Sends a signal to a container's first process. */
import { TsdError } from '@tsd/shared/errors';
import { parseSignal } from '@tsd/shared/signal-names';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { stopSignalOf } from './stop-container.ts';

export type KillDeps = Pick<ContainerDeps, 'events' | 'running' | 'store'>;

const SIGKILL = 9;

/**
 * Signals a container; after SIGKILL, resolves when its exit is recorded. Takes no lock: a stop that waits out its time of
 * grace can be cut short.
 *
 * @param signal name or number; SIGKILL by default
 * @throws TsdError `not_found`, `bad_parameter` for a signal that does not exist, `conflict` when it is not running
 */
export async function killContainer(deps: KillDeps, reference: string, signal: string | undefined): Promise<void> {
  const number = parseSignal(signal || 'SIGKILL');
  const record = deps.store.lookup(reference);
  const { id, config } = record;
  const running = deps.running.get(id);
  if (running === undefined) throw notRunning(reference, id);
  // A restart policy does not undo what a user has ended.
  if (number === SIGKILL || number === stopSignalOf(config, {})) deps.store.update(id, { stopRequested: true });
  try {
    await running.supervisor.signal(number);
  } catch (error) {
    if (deps.running.get(id) === undefined || hasErrno(error, 'ESRCH')) throw notRunning(reference, id);
    throw error;
  }
  publishContainerEvent(deps, record, 'kill', { signal: String(number) });
  if (number === SIGKILL) await running.ended;
}

function notRunning(reference: string, id: string): TsdError {
  return new TsdError('conflict', `cannot kill container: ${reference}: container ${id} is not running`);
}

function hasErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
