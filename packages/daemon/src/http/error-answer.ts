/** The one place where an error becomes an HTTP answer: Docker's `{"message": …}`. */
import { ERROR_STATUS, TsdError } from '@tsd/shared/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface ErrorAnswer {
  readonly status: number;
  readonly message: string;
  /** The error is a defect of tsd or of the host: it belongs in the log with its stack. */
  readonly unexpected: boolean;
}

/** The answer to an error. TsdError has its own status, an error of Fastify's its 4xx; anything else is a 500. */
export function errorAnswer(error: unknown, requestId: string): ErrorAnswer {
  if (error instanceof TsdError) {
    return { status: error.status, message: error.message, unexpected: error.code === 'internal' };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (isDiskFull(error)) {
    return {
      status: ERROR_STATUS.insufficient_storage,
      message: `no space left in the data root: ${message}`,
      unexpected: false,
    };
  }
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : 500;
  if (typeof status === 'number' && status >= 400 && status < 500) return { status, message, unexpected: false };
  return {
    status: 500,
    message: `internal error: ${message} (request ${requestId}, see the daemon's log)`,
    unexpected: true,
  };
}

/** write(2) and SQLite on a full file system, or beyond a quota. */
function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'].includes(String(error.code));
}

/** Fastify's error handler. A 304 has no body. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, message, unexpected } = errorAnswer(error, request.id);
  if (unexpected) request.log.error({ err: error }, 'request failed');
  else request.log.debug({ status, message }, 'request refused');
  // A client that is still sending would find the connection broken before it reads the refusal: what it sends is dropped.
  if (!request.raw.complete) request.raw.resume();
  if (status === 304) return reply.code(304).send();
  return reply.code(status).send({ message });
}
