/** What a command does about a daemon that goes away in the middle of it: wait for the next one, within limits. */
import { CannotConnectError, ConnectionLostError } from '../api/api-error.ts';
import { CliError } from '../cli-error.ts';
import type { Output } from '../output/output.ts';

export interface ReconnectOptions {
  readonly stderr: Output;
  /** How long a daemon that went away is waited for. */
  readonly reconnectTimeoutMs: number;
}

export const DEFAULT_RECONNECT_TIMEOUT_MS = 60_000;
/** The socket of a daemon that is starting appears at no event that a client could wait for: it is tried this often. */
const RECONNECT_INTERVAL_MS = 100;

/** Whether an error means that the daemon is gone. */
export function isDaemonGone(error: unknown): boolean {
  return error instanceof ConnectionLostError || error instanceof CannotConnectError;
}

/**
 * Repeats the action until a daemon answers it. Throws what the action throws where the daemon is there, and CliError
 * (exit code 125) with `advice` where none came back in time.
 */
export async function retryUntilBack<T>(
  options: ReconnectOptions,
  action: () => Promise<T>,
  advice: string,
): Promise<T> {
  const { stderr, reconnectTimeoutMs } = options;
  const deadlineMs = Date.now() + reconnectTimeoutMs;
  for (let told = false; ; told = true) {
    try {
      return await action();
    } catch (error) {
      if (!isDaemonGone(error)) throw error;
      if (Date.now() >= deadlineMs) {
        throw new CliError(
          `the tsd daemon went away and is not back after ${Math.round(reconnectTimeoutMs / 1000)} seconds; ${advice}`,
          { exitCode: 125, cause: error },
        );
      }
      if (!told) stderr.write('tsdctl: the connection to the daemon was lost; waiting for it to come back\n');
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_INTERVAL_MS));
    }
  }
}
