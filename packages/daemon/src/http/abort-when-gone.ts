import { TsdError } from '@tsd/shared/errors';
import type { FastifyReply } from 'fastify';

/** Aborts when the connection of an answer is closed, by the client or because the answer has ended. */
export function abortWhenGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort(new TsdError('unavailable', 'the client has closed the connection')));
  return controller.signal;
}
