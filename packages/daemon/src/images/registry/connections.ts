/** The connections of one registry: a pool for each host that it involves (itself, its token server, its blob storage). */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { TsdError } from '@tsd/shared/errors';
import type { Dispatcher } from 'undici';
import { type HostCertificates, readHostCertificates, secureContext } from './certificates.ts';
import { loadUndici } from './load-undici.ts';
import type { Environment, ProxyRules } from './proxy-rules.ts';
import { networkError, RegistryError, requestText } from './registry-error.ts';
import type { InsecureHosts } from './registry-hosts.ts';

export interface Timeouts {
  readonly connectMs: number;
  /** Without a byte in either direction while an answer is awaited or read. */
  readonly stallMs: number;
}

export interface ConnectionSettings {
  readonly env: Environment;
  readonly proxyFor: ProxyRules;
  readonly certificateFolders: readonly string[];
  readonly insecureHosts: InsecureHosts;
  readonly timeouts: Timeouts;
  readonly userAgent: string;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: AsyncIterable<Uint8Array> | Buffer | string | undefined;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  /** The URL that answered, for errors. */
  readonly url: URL;
  readonly method: HttpRequest['method'];
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** To be read, drained or destroyed: else its connection is lost to the pool. */
  readonly body: Readable;
  /** The request's: aborts the body too. */
  readonly signal: AbortSignal;
}

export interface Connections {
  /** One request, neither redirected nor repeated. @throws TsdError, or the signal's reason */
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Ends the connections; requests under way fail. */
  close(): Promise<void>;
}

const CONNECTIONS_PER_HOST = 16;
/** A registry, its token server, its storage; a hostile one may name more. */
const MAX_HOSTS = 64;
const MAX_HEADER_BYTES = 64 * 1024;
const IDLE_MS = 10_000;
/** For a whole document, however steadily it trickles. */
const DOCUMENT_MS = 60_000;
const MAX_DISCARDED_BYTES = 128 * 1024;
/** A registry may move or verify a large blob before it answers an upload: so many times the usual patience. */
const UPLOAD_PATIENCE = 10;

/**
 * @param hostAndPort the registry's own: its certificates vouch for the hosts that it involves too, as in Docker, but its
 *   client certificate is for itself alone
 */
export function createConnections(hostAndPort: string, settings: ConnectionSettings): Connections {
  let agent: Promise<Dispatcher> | undefined;
  const open = async (): Promise<Dispatcher> => {
    // Costs some megabytes: not for a daemon that talks to no registry.
    const { Agent, Pool, ProxyAgent } = await loadUndici();
    return new Agent({
      maxOrigins: MAX_HOSTS,
      factory: (origin) => {
        const url = new URL(origin);
        const tls = tlsOptions(url, hostAndPort, settings);
        const proxy = settings.proxyFor(url);
        const options = {
          // With HTTP/2 all layers of an image would share one connection and its window.
          allowH2: false,
          connections: CONNECTIONS_PER_HOST,
          keepAliveTimeout: IDLE_MS,
          keepAliveMaxTimeout: IDLE_MS,
          maxHeaderSize: MAX_HEADER_BYTES,
          headersTimeout: settings.timeouts.stallMs,
          bodyTimeout: settings.timeouts.stallMs,
        };
        if (proxy === null)
          return new Pool(url.origin, { ...options, connect: { timeout: settings.timeouts.connectMs, ...tls } });
        return new ProxyAgent({
          ...options,
          uri: proxy.href,
          connectTimeout: settings.timeouts.connectMs,
          requestTls: tls,
        });
      },
    });
  };
  return {
    async send({ method, url, headers, body, signal }) {
      signal.throwIfAborted();
      try {
        agent ??= open();
        const options: Dispatcher.RequestOptions = {
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: { 'user-agent': settings.userAgent, 'accept-encoding': 'identity', ...headers },
          body:
            body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
              ? (body ?? null)
              : Readable.from(body),
          signal,
          ...(method === 'PUT' || method === 'PATCH'
            ? { headersTimeout: settings.timeouts.stallMs * UPLOAD_PATIENCE }
            : {}),
        };
        const response = await (await agent).request(options);
        return { url, method, status: response.statusCode, headers: response.headers, body: response.body, signal };
      } catch (error) {
        signal.throwIfAborted();
        throw networkError(error, method, url);
      }
    },
    async close() {
      if (agent !== undefined) await (await agent).destroy();
      agent = undefined;
    },
  };
}

/** Undefined certificates mean Node's defaults; loopback and insecure registries need no authority, unless one is given. */
function tlsOptions(url: URL, registry: string, settings: ConnectionSettings): object {
  if (url.protocol !== 'https:') return {};
  const own = readHostCertificates(settings.certificateFolders, url.host);
  const others: HostCertificates =
    url.host === registry
      ? { authorities: [], clients: [] }
      : readHostCertificates(settings.certificateFolders, registry);
  const authorities = [...own.authorities, ...others.authorities];
  return {
    secureContext: secureContext(settings.env, authorities, own.clients),
    rejectUnauthorized: authorities.length > 0 || !settings.insecureHosts.includes(url.host),
  };
}

/**
 * A small body.
 *
 * @throws TsdError `bad_parameter` when it is larger than `maxBytes`
 */
export async function readBody(response: HttpResponse, maxBytes: number, what: string): Promise<Buffer> {
  const { body, method, url, signal } = response;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const tooSlow = new RegistryError('unavailable', `${requestText(method, url)}: ${what} takes too long`, {
    retry: 'soon',
  });
  const timer = setTimeout(() => body.destroy(tooSlow), DOCUMENT_MS);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw new TsdError('bad_parameter', `${what} is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw networkError(error, method, url);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks, sizeBytes);
}

/** Reads a body that nobody wants, so that its connection can be used again; a long one is not worth it. */
export async function discardBody(response: HttpResponse): Promise<void> {
  try {
    await readBody(response, MAX_DISCARDED_BYTES, 'a body');
  } catch {
    // The status said all that matters; an abort is noticed by what comes next.
  }
}
