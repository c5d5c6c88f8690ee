/** Answers that are a stream of JSON messages: load, import, pull (moby, pkg/streamformatter). */
import { PassThrough } from 'node:stream';
import type { ProgressMessage } from '@tsd/shared/api-images';
import type { FastifyReply } from 'fastify';
import { errorAnswer } from './error-answer.ts';

/**
 * Runs `work`, which emits messages. The first one sends the headers with status 200; an error before that gets its own
 * status, one after it goes into the stream as `errorDetail`. A client that has gone hears nothing more; `work` goes on.
 */
export async function answerWithProgress<Message extends object = ProgressMessage>(
  reply: FastifyReply,
  work: (emit: (message: Message) => void) => Promise<void>,
): Promise<FastifyReply> {
  let stream: PassThrough | null = null;
  const open = (): PassThrough => {
    if (stream !== null) return stream;
    stream = new PassThrough();
    reply.code(200).header('content-type', 'application/json').send(stream);
    return stream;
  };
  const emit = (message: Message | ProgressMessage): void => {
    const open_ = open();
    if (!open_.destroyed) open_.write(`${goJson(message)}\r\n`);
  };
  try {
    await work(emit);
  } catch (error) {
    if (stream === null) throw error;
    // What the client still sends is dropped: it must not find the connection broken before it reads the error.
    reply.request.raw.resume();
    const { message, unexpected } = errorAnswer(error, reply.request.id);
    if (unexpected) reply.log.error({ err: error }, 'request failed after its answer had begun');
    emit({ errorDetail: { message }, error: message });
  }
  open().end();
  return reply;
}

/** Go's encoder writes these so that JSON can stand in HTML; bars are made of them. */
function goJson(message: object): string {
  return JSON.stringify(message).replace(/[<>&]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}
