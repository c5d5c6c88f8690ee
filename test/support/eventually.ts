/** Waits for a condition that has no event to wait on. */
import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** What is waited for, for the error. */
  readonly what: string;
  readonly deadlineMs?: number;
  readonly intervalMs?: number;
}

const DEFAULT_DEADLINE_MS = 15_000;
const DEFAULT_INTERVAL_MS = 10;

/**
 * Calls `condition` until it returns something other than undefined or false, and returns that.
 *
 * @throws Error when the deadline passes, with the last error of the condition as its cause.
 */
export async function eventually<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  options: EventuallyOptions,
): Promise<T> {
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  const deadline = performance.now() + deadlineMs;
  let cause: unknown;
  do {
    try {
      const result = await condition();
      if (result !== undefined && result !== false) return result;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await delay(options.intervalMs ?? DEFAULT_INTERVAL_MS);
  } while (performance.now() < deadline);
  throw new Error(`${options.what}: not within ${deadlineMs} ms`, { cause });
}
