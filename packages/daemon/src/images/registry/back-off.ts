/** Tries again, later and later. */
import { setTimeout as delay } from 'node:timers/promises';
import { RegistryError, type Retry } from './registry-error.ts';
import type { OnWait } from './remote-repository.ts';

export interface BackOff {
  /** Tries in all, without progress between them. */
  readonly attempts: number;
  /** Wait after the first failure; doubles with each. */
  readonly firstDelayMs: number;
  /** Longest wait, and the longest that Retry-After is obeyed; whoever asks for more gets an error at once. */
  readonly maxDelayMs: number;
}

/** Waits before the next try, or throws the error when there is none. `failures` counts them, this one included. */
export async function waitToRetry(
  error: unknown,
  failures: number,
  backOff: BackOff,
  options: { readonly signal: AbortSignal; readonly retries: readonly Retry[]; readonly onWait?: OnWait | undefined },
): Promise<void> {
  options.signal.throwIfAborted();
  if (!(error instanceof RegistryError) || !options.retries.includes(error.retry)) throw error;
  if (failures >= backOff.attempts || (error.retryAfterMs ?? 0) > backOff.maxDelayMs) throw error;
  // Half of the wait is random, so that many clients of a registry that was away do not come back at once.
  const ceiling = Math.min(backOff.maxDelayMs, backOff.firstDelayMs * 2 ** (failures - 1));
  const waitMs = Math.max(error.retryAfterMs ?? 0, ceiling * (0.5 + Math.random() / 2));
  for (let leftMs = waitMs; leftMs > 0; leftMs -= 1000) {
    options.onWait?.(Math.ceil(leftMs / 1000));
    await delay(Math.min(leftMs, 1000), undefined, { signal: options.signal }).catch(() =>
      options.signal.throwIfAborted(),
    );
  }
}

/** Does `attempt` until it succeeds or trying again is no use. Throws the signal's reason when it aborts. */
export async function withRetries<Result>(
  backOff: BackOff,
  signal: AbortSignal,
  attempt: () => Promise<Result>,
): Promise<Result> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      await waitToRetry(error, failures, backOff, { signal, retries: ['soon'] });
    }
  }
}
