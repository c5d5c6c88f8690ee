/** One query to one server: over UDP, and over TCP where the response does not fit (RFC 1035 section 4.2, RFC 7766). */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import {
  type DnsQuery,
  encodeQuery,
  FLAGS,
  HEADER_BYTES,
  questionEnd,
  questionKey,
  RCODE,
  withoutOpt,
} from './dns-message.ts';
import { createMessageReader, framed } from './tcp-framing.ts';

export interface AskOptions {
  /** For the whole exchange. */
  readonly timeoutMs: number;
  /** The query is sent again, for the case that it was lost. */
  readonly resendMs: number;
  readonly port: number;
  /** Ends the exchange early. */
  readonly signal: AbortSignal;
}

/** No response in time, or none that makes sense. */
export class ServerUnusable extends Error {}

/**
 * What the server says, without its OPT record. Each query goes out from a port and with an id that cannot be guessed.
 *
 * @throws ServerUnusable
 */
export async function askServer(server: string, query: DnsQuery, options: AskOptions): Promise<Buffer> {
  const response = await exchange(askOverUdp, server, query, options);
  if ((response.readUInt16BE(2) & FLAGS.truncated) === 0) return response;
  return exchange(askOverTcp, server, query, options);
}

type Ask = (
  server: string,
  message: Buffer,
  isAnswer: (response: Buffer) => boolean,
  options: AskOptions,
) => Promise<Buffer>;

/** Old servers take the additional record of EDNS for an error: they are asked without (RFC 6891 section 7). */
async function exchange(ask: Ask, server: string, query: DnsQuery, options: AskOptions): Promise<Buffer> {
  const once = async (edns: boolean): Promise<Buffer> => {
    const id = randomInt(0x10000);
    const message = encodeQuery(query, id, edns);
    const wanted = questionKey(query.question);
    const response = await ask(server, message, (candidate) => isResponse(candidate, id, wanted), options);
    return withoutOpt(response, questionEnd(response));
  };
  try {
    const response = await once(true);
    if ((response.readUInt16BE(2) & FLAGS.rcode) !== RCODE.formatError) return response;
    return await once(false);
  } catch (error) {
    throw new ServerUnusable(`${server}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** Whether the message answers the query and not another one. */
function isResponse(message: Buffer, id: number, wanted: string): boolean {
  if (message.length < HEADER_BYTES || message.readUInt16BE(0) !== id) return false;
  if ((message.readUInt16BE(2) & FLAGS.response) === 0 || message.readUInt16BE(4) !== 1) return false;
  try {
    return questionKey(message.subarray(HEADER_BYTES, questionEnd(message))) === wanted;
  } catch {
    return false;
  }
}

const askOverUdp: Ask = (server, message, isAnswer, { timeoutMs, resendMs, port, signal }) => {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
  const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  let resend: NodeJS.Timeout | undefined;
  const abort = () => reject(new Error('given up'));
  signal.addEventListener('abort', abort);
  // Connected: the kernel lets through what comes from this server, and tells when nobody listens there.
  socket.on('error', reject);
  socket.on('message', (response) => {
    if (isAnswer(response)) resolve(response);
  });
  socket.on('connect', () => {
    socket.send(message);
    resend = setInterval(() => socket.send(message), resendMs);
  });
  socket.connect(port, server);
  return promise.finally(() => {
    clearTimeout(timer);
    clearInterval(resend);
    signal.removeEventListener('abort', abort);
    socket.close();
  });
};

const askOverTcp: Ask = (server, message, isAnswer, { timeoutMs, port, signal }) => {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect({ host: server, port, signal });
  const timer = setTimeout(() => reject(new Error(`no answer over TCP within ${timeoutMs} ms`)), timeoutMs);
  const read = createMessageReader((response) =>
    isAnswer(response) ? resolve(response) : reject(new Error('another answer')),
  );
  socket.on('error', reject);
  socket.on('end', () => reject(new Error('the connection was closed')));
  socket.on('data', read);
  socket.write(framed(message));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
};
