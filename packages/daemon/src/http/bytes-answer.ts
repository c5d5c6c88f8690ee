/** Answers that are many bytes: written piece by piece, in memory that is used again. */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

/**
 * Sends the reply's headers with status 200 and then `pieces`; the next piece is asked for only when the kernel has taken
 * the one before. Fails neither when the client goes away nor when `pieces` throws: then the connection is cut, which
 * tells a client that was promised more, and the log has the reason.
 */
export async function answerWithBytes(reply: FastifyReply, pieces: AsyncIterable<Uint8Array>): Promise<FastifyReply> {
  reply.hijack();
  const response = reply.raw;
  try {
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) response.setHeader(name, value);
    }
    response.writeHead(200);
    for await (const piece of pieces) {
      if (piece.length > 0) await write(response, piece);
    }
    response.end();
  } catch (error) {
    if (response.destroyed)
      reply.log.info({ url: reply.request.originalUrl }, 'the client went away during its answer');
    else reply.log.error({ err: error }, 'an answer was cut off');
    response.destroy();
  }
  return reply;
}

function write(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error('the client went away'));
    if (response.destroyed) {
      gone();
      return;
    }
    response.once('close', gone);
    response.write(piece, (error) => {
      response.off('close', gone);
      if (error) reject(error);
      else resolve();
    });
  });
}
