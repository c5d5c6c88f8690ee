/** Waits for a container's end. */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from './container-deps.ts';
import type { WaitCondition, WaitResult } from './exit-waiters.ts';
import { isRunning } from './lifecycle.ts';

const CONDITIONS: readonly string[] = ['not-running', 'next-exit', 'removed'] satisfies readonly WaitCondition[];

/**
 * Registers the wait and returns what it will give: when this function has returned, no exit is missed, so the answer's
 * headers may leave.
 *
 * @param condition `not-running` where it is empty
 * @param signal ends the wait when the client is gone
 * @throws TsdError `not_found`, `bad_parameter` for an unknown condition
 */
export function waitContainer(
  deps: Pick<ContainerDeps, 'store' | 'waiters'>,
  reference: string,
  condition: string | undefined,
  signal?: AbortSignal,
): { readonly result: Promise<WaitResult> } {
  const wanted = condition || 'not-running';
  if (!isCondition(wanted)) throw new TsdError('bad_parameter', `invalid condition: "${wanted}"`);
  const record = deps.store.lookup(reference);
  if (wanted !== 'not-running') return { result: deps.waiters.wait(record.id, wanted, signal) };
  if (isRunning(record.status) || record.status === 'restarting') {
    return { result: deps.waiters.wait(record.id, 'next-exit', signal) };
  }
  return { result: Promise.resolve({ exitCode: record.exitCode, error: '' }) };
}

function isCondition(text: string): text is WaitCondition {
  return CONDITIONS.includes(text);
}
