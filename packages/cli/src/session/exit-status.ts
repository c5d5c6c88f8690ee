/** The exit code of a container, also across a restart of the daemon. */
import type { ApiClient } from '../api/api-client.ts';
import { ApiError, ConnectionLostError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import type { ApiResponse } from '../api/exchange.ts';
import { CliError } from '../cli-error.ts';
import { type ReconnectOptions, retryUntilBack } from './wait-for-daemon.ts';

export type WaitCondition = 'next-exit' | 'removed' | 'not-running';

/** A wait that the daemon has accepted. */
export interface PendingExit {
  /** The exit code. Throws CliError where it cannot be known. */
  readonly exitCode: Promise<number>;
}

export interface ExitStatusOptions extends ReconnectOptions {
  readonly client: ApiClient;
}

interface WaitAnswer {
  readonly StatusCode: number;
  readonly Error?: { readonly Message?: string } | null;
}

/** Registers the wait: resolves when the daemon has sent the response head, so nothing that follows is missed. */
export async function registerWait(
  options: ExitStatusOptions,
  containerId: string,
  condition: WaitCondition,
): Promise<PendingExit> {
  const path = `/containers/${segment(containerId)}/wait`;
  const response = await options.client.request({ method: 'POST', path, query: { condition } });
  const exitCode = readExitCode(options.client, response).catch((error: unknown) => {
    if (error instanceof ConnectionLostError) return askAgain(options, containerId, condition);
    throw error;
  });
  // It is awaited later; a failure until then is not an unhandled one.
  exitCode.catch(() => undefined);
  return { exitCode };
}

async function readExitCode(client: ApiClient, response: ApiResponse): Promise<number> {
  const text = await response.text();
  // A daemon that shuts down in an orderly way ends the response without an answer.
  if (text.trim() === '') throw new ConnectionLostError(client.endpoint);
  const answer = JSON.parse(text) as WaitAnswer;
  const message = answer.Error?.Message;
  if (message !== undefined && message !== '') throw new CliError(message, { exitCode: 125 });
  return answer.StatusCode;
}

/** The connection broke: the container goes on without the daemon, so wait for the next daemon and ask it. */
async function askAgain(options: ExitStatusOptions, containerId: string, condition: WaitCondition): Promise<number> {
  const { client } = options;
  // `next-exit` would wait for another run of a container that has ended meanwhile.
  const query = { condition: condition === 'removed' ? 'removed' : 'not-running' };
  const path = `/containers/${segment(containerId)}/wait`;
  const ask = async (): Promise<number> => readExitCode(client, await client.request({ method: 'POST', path, query }));
  try {
    return await retryUntilBack(
      options,
      ask,
      `the container may still run: see "tsdctl wait ${containerId.slice(0, 12)}" when the daemon is back`,
    );
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    throw new CliError(
      `the container ended and was removed while the daemon was away: its exit code is not known (${containerId})`,
      { exitCode: 125, cause: error },
    );
  }
}
