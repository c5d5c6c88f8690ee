/** One request and its response on one connection. */
import { ApiError, ConnectionLostError, cannotConnect } from './api-error.ts';
import { type ApiRequest, encodeHead } from './api-request.ts';
import { BodyQueue } from './body-queue.ts';
import type { Connection } from './connection.ts';
import type { Endpoint } from './endpoint.ts';
import { type ResponseHead, ResponseParser } from './response-parser.ts';

/** A response whose body is still coming. Exactly one of its methods is to be called, once. */
export interface ApiResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** The body in the pieces in which it comes. Throws ConnectionLostError where the connection breaks. */
  chunks(): AsyncGenerator<Buffer, void, undefined>;
  text(): Promise<string>;
  json<T>(): Promise<T>;
}

/** A connection that became a raw byte stream in both directions. */
export interface HijackedStream {
  /** Paused; its next user resumes it. */
  readonly connection: Connection;
  /** Bytes of the stream that came together with the response head; they come before the connection's. */
  readonly head: Buffer;
  /** Whether output is multiplexed in Docker's 8-byte frames (else raw: a tty). */
  readonly multiplexed: boolean;
}

export interface Exchange {
  readonly response: ApiResponse;
  readonly hijacked: HijackedStream | undefined;
}

/** Sends one request and resolves when the head of its response is there. */
export function runExchange(
  connection: Connection,
  request: ApiRequest,
  upgrade: boolean,
  endpoint: Endpoint,
  keep: (connection: Connection) => void,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const body = new BodyQueue(connection);
    let head: ResponseHead | undefined;
    let upgradedHead: Buffer | undefined;
    let finished = false;

    const parser = new ResponseParser(
      { head: request.method === 'HEAD', upgrade },
      {
        head(value) {
          head = value;
        },
        data(chunk) {
          body.push(chunk);
        },
        end(reusable) {
          finished = true;
          body.end();
          if (reusable && !sending) keep(connection);
          else connection.close();
        },
        upgraded(rest) {
          finished = true;
          connection.pause();
          upgradedHead = rest;
        },
      },
    );
    const deliver = (): void => {
      if (head === undefined) return;
      const hijacked = upgradedHead === undefined ? undefined : hijackedStream(connection, head, upgradedHead);
      resolve({ response: apiResponse(head, body), hijacked });
    };
    const fail = (error: unknown): void => {
      if (finished) return;
      finished = true;
      connection.close();
      body.fail(error);
      reject(error);
    };
    connection.hand({
      data(chunk) {
        if (finished) return;
        try {
          parser.push(chunk);
        } catch (error) {
          fail(error);
          return;
        }
        deliver();
      },
      end() {
        if (finished) return;
        try {
          parser.close();
        } catch {
          fail(new ConnectionLostError(endpoint));
          return;
        }
        deliver();
        connection.close();
      },
      error(error) {
        const connecting = error.syscall === 'connect';
        fail(connecting ? cannotConnect(error, endpoint) : new ConnectionLostError(endpoint, { cause: error }));
      },
    });
    connection.resume();
    let sending = request.stream !== undefined;
    const payload = request.json === undefined ? undefined : Buffer.from(JSON.stringify(request.json));
    const requestHead = encodeHead(request, upgrade, payload?.length);
    connection.write(requestHead, ...(payload === undefined ? [] : [payload]));
    if (request.stream !== undefined) {
      sendChunks(connection, request.stream, () => finished)
        .then(() => {
          sending = false;
        })
        .catch(fail);
    }
  });
}

/** Writes the stream as HTTP chunks, one at a time; stops early where the daemon has already answered. */
async function sendChunks(
  connection: Connection,
  stream: AsyncIterable<Uint8Array>,
  answered: () => boolean,
): Promise<void> {
  for await (const chunk of stream) {
    if (answered() || connection.closed) return;
    if (chunk.length === 0) continue;
    connection.write(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, CRLF);
    // The source may use the chunk's memory again once it is asked for the next one.
    await connection.sent();
  }
  if (!answered()) connection.write(Buffer.from('0\r\n\r\n'));
}

const CRLF = Buffer.from('\r\n');

function hijackedStream(connection: Connection, head: ResponseHead, rest: Buffer): HijackedStream {
  const type = head.headers.get('content-type') ?? '';
  return { connection, head: rest, multiplexed: type.includes('multiplexed-stream') };
}

function apiResponse(head: ResponseHead, body: BodyQueue): ApiResponse {
  const text = async (): Promise<string> => {
    const parts: Buffer[] = [];
    for await (const chunk of body.chunks()) parts.push(chunk);
    return Buffer.concat(parts).toString('utf8');
  };
  return {
    status: head.status,
    headers: head.headers,
    chunks: () => body.chunks(),
    text,
    async json<T>(): Promise<T> {
      const content = await text();
      try {
        return JSON.parse(content) as T;
      } catch {
        throw new ApiError(head.status, 'the daemon answered with something that is not JSON');
      }
    },
  };
}
