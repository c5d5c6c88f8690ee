/** A container in the foreground: its streams, its signals and its exit code. */

import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import type { CommandContext } from '../command.ts';
import type { AttachEnd } from './attach-session.ts';
import { type ExitStatusOptions, registerWait, type WaitCondition } from './exit-status.ts';
import { forwardSignals } from './forward-signals.ts';
import { openAttachment } from './open-attachment.ts';
import { DEFAULT_RECONNECT_TIMEOUT_MS } from './wait-for-daemon.ts';

export interface ForegroundOptions {
  /** Gives the container's id; signals that come before it is known end the client. */
  create(): Promise<string>;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly autoRemove: boolean;
  readonly signalProxy: boolean;
  readonly detachKeys: string | undefined;
}

/**
 * Attaches and registers the wait before it starts the container, so that no byte and no exit is missed.
 * Resolves with the container's exit code, 0 after detaching. Throws ApiError where the start failed.
 */
export async function startForeground(context: CommandContext, options: ForegroundOptions): Promise<number> {
  const { client } = context;
  let created: string | undefined;
  let started: string | undefined;
  let interruptedWith: number | undefined;
  const creating = options.create();
  // It is awaited below; until then its failure is not an unhandled one.
  creating.catch(noop);
  // What follows can be done while the daemon works: first let the request leave.
  await new Promise((resolve) => setImmediate(resolve));
  if (options.signalProxy) {
    const interrupted = (exitCode: number): void => {
      if (created === undefined) process.exit(exitCode);
      interruptedWith = exitCode;
    };
    forwardSignals(client, { containerId: () => started, interrupted }, context.stderr);
  }
  client.preconnect();
  client.preconnect();
  created = await creating;
  const condition: WaitCondition = options.autoRemove ? 'removed' : 'next-exit';
  const [attachment, exit] = await Promise.all([
    openAttachment(context, { containerId: created, ...options }),
    registerWait(exitStatusOptions(context), created, condition),
  ]);
  try {
    if (interruptedWith !== undefined) {
      if (options.autoRemove) await client.send({ method: 'DELETE', path: `/containers/${segment(created)}` });
      return interruptedWith;
    }
    started = created;
    const session = attachment.run();
    session.catch(noop);
    await start(context, created, options.autoRemove ? exit.exitCode : undefined);
    attachment.started();
    const end: AttachEnd = await session;
    return end === 'detached' ? 0 : await exit.exitCode;
  } finally {
    attachment.close();
  }
}

/** The options of every wait of this client. */
export function exitStatusOptions(context: CommandContext): ExitStatusOptions {
  const seconds = Number(context.env['TSD_RECONNECT_TIMEOUT']);
  const reconnectTimeoutMs = seconds > 0 ? seconds * 1000 : DEFAULT_RECONNECT_TIMEOUT_MS;
  return { client: context.client, stderr: context.stderr, reconnectTimeoutMs };
}

async function start(context: CommandContext, id: string, removed: Promise<number> | undefined): Promise<void> {
  try {
    await context.client.send({ method: 'POST', path: `/containers/${segment(id)}/start` });
  } catch (error) {
    // With --rm the daemon removes what it could not start; the name is free again when the client has ended.
    if (error instanceof ApiError && removed !== undefined) await removed.catch(noop);
    throw error;
  }
}

function noop(): void {
  // Nothing to do.
}
