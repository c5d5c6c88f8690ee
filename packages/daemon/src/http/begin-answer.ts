/** Answers that the route writes by hand, over time. */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

/** Sends the status line and the headers at once; the body follows when there is something to say. */
export function beginAnswer(reply: FastifyReply, type: string): ServerResponse {
  reply.hijack();
  reply.raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), 'content-type': type });
  reply.raw.flushHeaders();
  return reply.raw;
}
