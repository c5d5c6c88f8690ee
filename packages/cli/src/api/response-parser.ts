/**
 * Parses HTTP/1.1 responses from a byte stream (RFC 9112): status line, headers, and a body framed by Content-Length,
 * by chunks or by the end of the connection. A response that upgrades the connection hands the rest of the bytes over.
 *
 * The client does not use node:http: loading it and its agent costs 5 ms of every command (measured), this parser 0.2.
 */

import { CliError } from '../cli-error.ts';

/** The status line and headers; header names are in lower case, repeated ones joined with a comma. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: ReadonlyMap<string, string>;
}

export interface ResponseHandlers {
  head(head: ResponseHead): void;
  data(chunk: Buffer): void;
  /** The body is complete. `reusable` tells whether the connection can carry another request. */
  end(reusable: boolean): void;
  /** The connection is no longer HTTP; `rest` are the bytes that came behind the head. */
  upgraded(rest: Buffer): void;
}

/** The peer did not speak HTTP, or the connection ended in the middle of a response. */
export class ResponseError extends CliError {
  override readonly name = 'ResponseError';
}

const MAX_HEAD_BYTES = 256 * 1024;
const MAX_CHUNK_LINE_BYTES = 4096;

type State = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer' | 'until-close' | 'done';

/** What the request was, as far as it decides how its response is framed. */
export interface RequestKind {
  readonly head: boolean;
  readonly upgrade: boolean;
}

export class ResponseParser {
  readonly #handlers: ResponseHandlers;
  readonly #request: RequestKind;
  #state: State = 'head';
  #pending: Buffer = Buffer.alloc(0);
  #remaining = 0;
  #keepAlive = true;

  constructor(request: RequestKind, handlers: ResponseHandlers) {
    this.#request = request;
    this.#handlers = handlers;
  }

  /** Takes the next bytes of the connection. Throws ResponseError. */
  push(bytes: Buffer): void {
    let chunk = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    this.#pending = Buffer.alloc(0);
    for (;;) {
      switch (this.#state) {
        case 'head': {
          const end = chunk.indexOf('\r\n\r\n');
          if (end === -1) {
            if (chunk.length > MAX_HEAD_BYTES) throw new ResponseError('the response head is too long');
            this.#pending = chunk;
            return;
          }
          const head = parseHead(chunk.toString('latin1', 0, end));
          chunk = chunk.subarray(end + 4);
          if (this.#begin(head, chunk)) return;
          break;
        }
        case 'length':
        case 'chunk-data': {
          if (chunk.length === 0) return;
          const take = Math.min(this.#remaining, chunk.length);
          this.#remaining -= take;
          this.#handlers.data(chunk.subarray(0, take));
          chunk = chunk.subarray(take);
          if (this.#remaining > 0) return;
          if (this.#state === 'length') {
            this.#finish(chunk);
            return;
          }
          this.#state = 'chunk-end';
          break;
        }
        case 'chunk-size':
        case 'chunk-end':
        case 'trailer': {
          const end = chunk.indexOf('\r\n');
          if (end === -1) {
            if (chunk.length > MAX_CHUNK_LINE_BYTES)
              throw new ResponseError('a chunk line of the response is too long');
            this.#pending = chunk;
            return;
          }
          const line = chunk.toString('latin1', 0, end);
          chunk = chunk.subarray(end + 2);
          if (this.#chunkLine(line)) {
            this.#finish(chunk);
            return;
          }
          break;
        }
        case 'until-close':
          if (chunk.length > 0) this.#handlers.data(chunk);
          return;
        case 'done':
          if (chunk.length > 0) throw new ResponseError('unexpected bytes behind the response');
          return;
      }
    }
  }

  /** The peer closed the connection. Throws ResponseError unless the response was complete. */
  close(): void {
    if (this.#state === 'done') return;
    if (this.#state !== 'until-close') throw new ResponseError('the connection was closed in the middle of a response');
    this.#state = 'done';
    this.#handlers.end(false);
  }

  /** Starts the body; true when nothing more is to be parsed here. */
  #begin(head: ResponseHead, rest: Buffer): boolean {
    const { status, headers } = head;
    if (status === 101 || (this.#request.upgrade && status === 200)) {
      this.#state = 'done';
      this.#handlers.head(head);
      this.#handlers.upgraded(rest);
      return true;
    }
    if (status < 200) return false;
    this.#keepAlive = !/\bclose\b/i.test(headers.get('connection') ?? '');
    const length = headers.get('content-length');
    this.#handlers.head(head);
    if (this.#request.head || status === 204 || status === 304) {
      this.#finish(rest);
      return true;
    }
    if (/\bchunked\b/i.test(headers.get('transfer-encoding') ?? '')) {
      this.#state = 'chunk-size';
    } else if (length !== undefined) {
      if (!/^[0-9]{1,15}$/.test(length)) throw new ResponseError(`invalid Content-Length: ${length}`);
      this.#remaining = Number(length);
      this.#state = 'length';
      if (this.#remaining === 0) {
        this.#finish(rest);
        return true;
      }
    } else {
      this.#state = 'until-close';
    }
    return false;
  }

  /** Takes a line between chunks; true when the last trailer line was read. */
  #chunkLine(line: string): boolean {
    if (this.#state === 'chunk-end') {
      if (line !== '') throw new ResponseError('a chunk of the response has the wrong length');
      this.#state = 'chunk-size';
      return false;
    }
    if (this.#state === 'trailer') return line === '';
    const size = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line)?.[1];
    if (size === undefined) throw new ResponseError('invalid chunk size in the response');
    this.#remaining = Number.parseInt(size, 16);
    this.#state = this.#remaining === 0 ? 'trailer' : 'chunk-data';
    return false;
  }

  #finish(rest: Buffer): void {
    this.#state = 'done';
    if (rest.length > 0) throw new ResponseError('unexpected bytes behind the response');
    this.#handlers.end(this.#keepAlive);
  }
}

function parseHead(text: string): ResponseHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const match = /^HTTP\/1\.[01] ([0-9]{3})(?: (.*))?$/.exec(statusLine);
  if (match === null) throw new ResponseError('the peer does not speak HTTP');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new ResponseError('invalid header in the response');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return { status: Number(match[1]), reason: match[2] ?? '', headers };
}
