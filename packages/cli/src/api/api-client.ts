/** The client's side of the Docker Engine API on a Unix socket: requests over kept-alive connections, and hijacking. */
import { connect, type Socket } from 'node:net';
import { CliError } from '../cli-error.ts';
import { ApiError, ConnectionLostError, cannotConnect } from './api-error.ts';
import type { Endpoint } from './endpoint.ts';
import { type ResponseHead, ResponseParser } from './response-parser.ts';

export type QueryValue = string | number | boolean | readonly string[] | undefined;

export interface ApiRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  /** Path without version and query, its parts already encoded (see `segment`). */
  readonly path: string;
  /** undefined is left out, false too; true is sent as 1, an array as repeated parameters. */
  readonly query?: Readonly<Record<string, QueryValue>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent in chunks, as it comes. A chunk is done with when the next one is asked for. */
  readonly stream?: AsyncIterable<Uint8Array>;
  readonly contentType?: string;
}

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
  readonly socket: Socket;
  /** Bytes of the stream that came together with the response head; they come before the socket's. */
  readonly head: Buffer;
  /** Whether output is multiplexed in Docker's 8-byte frames (else raw: a tty). */
  readonly multiplexed: boolean;
}

export interface ApiClient {
  readonly endpoint: Endpoint;
  /** Sends a request; resolves with the head of the response. Throws ApiError for a status of 400 or more. */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** Sends a request whose body does not matter. */
  send(request: ApiRequest): Promise<number>;
  json<T>(request: ApiRequest): Promise<T>;
  hijack(request: ApiRequest): Promise<HijackedStream>;
  /** Opens a connection ahead of its first request, so that the daemon has accepted it by then. */
  preconnect(): void;
  close(): void;
}

/** The body may run ahead of its reader by this much before the socket is paused. */
const BUFFERED_BODY_BYTES = 1024 * 1024;

/**
 * Encodes one part of a path: an id, a name or an image reference, whose slashes stay as Docker sends them.
 * Throws CliError for an empty one, which would address something else.
 */
export function segment(text: string): string {
  if (text === '') throw new CliError('invalid name or ID: it is empty');
  return encodeURIComponent(text).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%40/g, '@');
}

export function createApiClient(endpoint: Endpoint): ApiClient {
  const idle: Socket[] = [];
  const open = new Set<Socket>();

  const connection = (fresh: boolean): Socket => {
    const kept = fresh ? undefined : idle.pop();
    if (kept !== undefined) {
      kept.ref();
      return kept;
    }
    const socket = connect({ path: endpoint.socketPath, allowHalfOpen: true });
    open.add(socket);
    // Whoever uses the connection hears of its errors too; an idle one that breaks is simply not used again.
    socket.on('error', ignore);
    socket.on('end', () => {
      if (idle.includes(socket)) socket.destroy();
    });
    socket.once('close', () => {
      open.delete(socket);
      const position = idle.indexOf(socket);
      if (position !== -1) idle.splice(position, 1);
    });
    return socket;
  };

  const keep = (socket: Socket): void => {
    if (socket.destroyed || socket.readableEnded) return;
    socket.unref();
    socket.resume();
    idle.push(socket);
  };

  const exchange = (request: ApiRequest, upgrade: boolean, fresh = false): Promise<Exchange> => {
    const socket = connection(fresh);
    const reused = socket.bytesRead > 0;
    return runExchange(socket, request, upgrade, endpoint, keep).catch((error: unknown) => {
      // The daemon closed a kept-alive connection before it read this request: a safe one is sent again.
      if (error instanceof ConnectionLostError && reused && !fresh && request.method === 'GET') {
        return exchange(request, upgrade, true);
      }
      throw error;
    });
  };

  const request = async (what: ApiRequest): Promise<ApiResponse> => {
    const response = (await exchange(what, false)).response;
    if (response.status >= 400) throw await apiError(response);
    return response;
  };

  return {
    endpoint,
    request,
    async send(what) {
      const response = await request(what);
      await response.text();
      return response.status;
    },
    async json<T>(what: ApiRequest): Promise<T> {
      return (await request(what)).json<T>();
    },
    async hijack(what) {
      const result = await exchange(what, true);
      if (result.hijacked === undefined) {
        if (result.response.status >= 400) throw await apiError(result.response);
        throw new ApiError(result.response.status, 'the daemon did not give the stream');
      }
      return result.hijacked;
    },
    preconnect() {
      idle.push(connection(true));
    },
    close() {
      for (const socket of open) socket.destroy();
    },
  };
}

interface Exchange {
  readonly response: ApiResponse;
  readonly hijacked: HijackedStream | undefined;
}

/** Sends one request and resolves when the head of its response is there. */
function runExchange(
  socket: Socket,
  request: ApiRequest,
  upgrade: boolean,
  endpoint: Endpoint,
  keep: (socket: Socket) => void,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const body = new BodyQueue(socket);
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
          detach();
          body.end();
          if (reusable && !sending) keep(socket);
          else socket.destroy();
        },
        upgraded(rest) {
          detach();
          socket.pause();
          upgradedHead = rest;
        },
      },
    );
    const onData = (chunk: Buffer): void => {
      try {
        parser.push(chunk);
      } catch (error) {
        fail(error);
        return;
      }
      deliver();
    };
    const onEnd = (): void => {
      try {
        parser.close();
      } catch {
        fail(new ConnectionLostError(endpoint));
        return;
      }
      deliver();
      socket.destroy();
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      const connecting = error.syscall === 'connect';
      fail(connecting ? cannotConnect(error, endpoint) : new ConnectionLostError(endpoint, { cause: error }));
    };
    const detach = (): void => {
      finished = true;
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.off('error', onError);
    };
    const deliver = (): void => {
      if (head === undefined) return;
      const hijacked = upgradedHead === undefined ? undefined : hijackedStream(socket, head, upgradedHead);
      resolve({ response: apiResponse(head, body), hijacked });
    };
    const fail = (error: unknown): void => {
      if (finished) return;
      detach();
      socket.destroy();
      body.fail(error);
      reject(error);
    };

    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    socket.on('error', onError);
    socket.resume();
    let sending = request.stream !== undefined;
    const payload = request.json === undefined ? undefined : Buffer.from(JSON.stringify(request.json));
    const requestHead = encodeHead(request, upgrade, payload?.length);
    socket.write(payload === undefined ? requestHead : Buffer.concat([requestHead, payload]));
    if (request.stream !== undefined) {
      sendChunks(socket, request.stream, () => finished)
        .then(() => {
          sending = false;
        })
        .catch(fail);
    }
  });
}

function encodeHead(request: ApiRequest, upgrade: boolean, payloadBytes: number | undefined): Buffer {
  const lines = [`${request.method} ${request.path}${encodeQuery(request.query)} HTTP/1.1`, 'Host: tsd'];
  lines.push('User-Agent: tsdctl');
  if (upgrade) lines.push('Connection: Upgrade', 'Upgrade: tcp');
  if (payloadBytes !== undefined) {
    lines.push('Content-Type: application/json', `Content-Length: ${payloadBytes}`);
  } else if (request.stream !== undefined) {
    lines.push(`Content-Type: ${request.contentType ?? 'application/octet-stream'}`, 'Transfer-Encoding: chunked');
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    lines.push('Content-Length: 0');
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}

/** `?a=1&b=x`, keys in the given order; empty where there is nothing to send. */
export function encodeQuery(query: Readonly<Record<string, QueryValue>> = {}): string {
  const pairs: string[] = [];
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === false) continue;
    const values = Array.isArray(value) ? value : [value === true ? '1' : String(value)];
    for (const item of values) pairs.push(`${key}=${encodeURIComponent(item)}`);
  }
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

/** Writes the stream as HTTP chunks, one at a time; stops early where the daemon has already answered. */
async function sendChunks(socket: Socket, stream: AsyncIterable<Uint8Array>, answered: () => boolean): Promise<void> {
  for await (const chunk of stream) {
    if (answered() || socket.destroyed) return;
    if (chunk.length === 0) continue;
    socket.cork();
    socket.write(`${chunk.length.toString(16)}\r\n`);
    socket.write(chunk);
    // The source may use the chunk's memory again once it is asked for the next one.
    const written = new Promise<void>((resolve) => socket.write('\r\n', () => resolve()));
    socket.uncork();
    await written;
  }
  if (!answered() && !socket.destroyed) socket.write('0\r\n\r\n');
}

function hijackedStream(socket: Socket, head: ResponseHead, rest: Buffer): HijackedStream {
  const type = head.headers.get('content-type') ?? '';
  return { socket, head: rest, multiplexed: type.includes('multiplexed-stream') };
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

async function apiError(response: ApiResponse): Promise<ApiError> {
  const content = await response.text();
  let message = content.trim();
  try {
    const decoded: unknown = JSON.parse(content);
    if (typeof decoded === 'object' && decoded !== null && 'message' in decoded)
      message = String(decoded.message).trim();
  } catch {
    // Not JSON: the text itself is the message.
  }
  return new ApiError(response.status, message === '' ? `status ${response.status} without a message` : message);
}

/** The body of one response between the socket and its reader; pauses the socket while the reader is behind. */
class BodyQueue {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #ended = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#bufferedBytes > BUFFERED_BODY_BYTES) this.#socket.pause();
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#error = error;
    this.#wake?.();
  }

  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const ready = this.#chunks;
      if (ready.length > 0) {
        this.#chunks = [];
        this.#bufferedBytes = 0;
        if (this.#socket.isPaused() && !this.#ended) this.#socket.resume();
        yield* ready;
        continue;
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}

function ignore(): void {
  // Nothing to do.
}
