/** Requests as values, and as the bytes that are sent. */
import { CliError } from '../cli-error.ts';

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
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Encodes one part of a path: an id, a name or an image reference, whose slashes stay as Docker sends them.
 * Throws CliError for an empty one, which would address something else.
 */
export function segment(text: string): string {
  if (text === '') throw new CliError('invalid name or ID: it is empty');
  return encodeURIComponent(text).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%40/g, '@');
}

/** The head of a request; `payloadBytes` is the length of a JSON body. */
export function encodeHead(request: ApiRequest, upgrade: boolean, payloadBytes: number | undefined): Buffer {
  const lines = [`${request.method} ${request.path}${encodeQuery(request.query)} HTTP/1.1`, 'Host: tsd'];
  lines.push('User-Agent: tsdctl');
  for (const [name, value] of Object.entries(request.headers ?? {})) lines.push(`${name}: ${value}`);
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
