/** The connections of one registry: a pool for each host that it involves (itself, its token server, its blob storage). */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { TsdError } from '@tsd/shared/errors';
import type { Dispatcher } from 'undici';
import { type HostCertificates, readHostCertificates, secureContext } from './certificates.ts';
import type { HostTrust } from './host-trust.ts';
import { loadUndici } from './load-undici.ts';
import type { Environment, ProxyRules } from './proxy-rules.ts';
import { networkError, RegistryError, requestText } from './registry-error.ts';
import { type Timeouts, watchRequest } from './request-watch.ts';

export interface ConnectionSettings {
  readonly env: Environment;
  readonly proxyFor: ProxyRules;
  readonly certificateFolders: readonly string[];
  readonly trust: HostTrust;
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

/** How a host is to be connected to. */
interface Standing {
  readonly isInsecure: boolean;
  /** Nothing that the registry refers to may lead to this host, unless the registry is on it. */
  readonly mayBeThisHost: boolean;
}

const STRANGER: Standing = { isInsecure: false, mayBeThisHost: false };

export interface Connections {
  /** One request, neither redirected nor repeated. @throws TsdError, or the signal's reason */
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Ends the connections; requests under way fail. */
  close(): Promise<void>;
}

/** A registry, its token server, its storage; a hostile one may name more. */
const MAX_HOSTS = 64;
const MAX_HEADER_BYTES = 64 * 1024;
const IDLE_MS = 10_000;
/** For a whole document, however steadily it trickles. */
const DOCUMENT_MS = 60_000;
const MAX_DISCARDED_BYTES = 128 * 1024;

/**
 * @param hostAndPort the registry's own: its certificates vouch for the hosts that it involves too, as in Docker, but its
 *   client certificate is for itself alone
 */
export function createConnections(hostAndPort: string, settings: ConnectionSettings): Connections {
  const { connectMs, stallMs } = settings.timeouts;
  const { trust } = settings;
  /** What is known of hosts when a request is about to go there. */
  const standings = new Map<string, Standing>();
  /** As users write it, with the port that a URL leaves away. */
  const hostOf = (url: URL): string =>
    URL.parse(`${url.protocol}//${hostAndPort}/`)?.origin === url.origin ? hostAndPort : url.host;
  const judge = async (url: URL, signal: AbortSignal): Promise<void> => {
    const host = hostOf(url);
    const isInsecure = await trust.isInsecure(host, signal);
    const mayBeThisHost = host === hostAndPort || (await trust.isThisHost(hostAndPort, signal));
    if (standings.size > MAX_HOSTS) standings.clear();
    standings.set(host, { isInsecure, mayBeThisHost });
  };
  let agent: Promise<Dispatcher> | undefined;
  const open = async (): Promise<Dispatcher> => {
    // Costs some megabytes: not for a daemon that talks to no registry.
    const { Agent, Pool, ProxyAgent } = await loadUndici();
    return new Agent({
      maxOrigins: MAX_HOSTS,
      factory: (origin) => {
        const url = new URL(origin);
        const host = hostOf(url);
        const standing = standings.get(host) ?? STRANGER;
        const tls = tlsOptions(url, hostAndPort, standing.isInsecure, settings);
        const proxy = settings.proxyFor(url);
        // No limit on connections: whoever pulls and pushes has one, and a request that waits for one looks as if it hung.
        const options = {
          // With HTTP/2 all layers of an image would share one connection and its window.
          allowH2: false,
          keepAliveTimeout: IDLE_MS,
          keepAliveMaxTimeout: IDLE_MS,
          maxHeaderSize: MAX_HEADER_BYTES,
          headersTimeout: stallMs,
          bodyTimeout: stallMs,
        };
        if (proxy === null) {
          const lookup = settings.trust.lookupFor(host, standing);
          return new Pool(url.origin, { ...options, connect: { timeout: connectMs, lookup, ...tls } });
        }
        // For the connections to the proxy too: by itself undici gives them its defaults.
        const factory = (target: string | URL, more: object): Dispatcher => new Pool(target, { ...options, ...more });
        return new ProxyAgent({
          ...options,
          uri: proxy.href,
          connectTimeout: connectMs,
          requestTls: tls,
          clientFactory: factory,
          factory,
          ...(proxy.protocol === 'socks5:' ? socksCredentials(proxy) : {}),
        });
      },
    });
  };
  return {
    async send({ method, url, headers, body, signal }) {
      signal.throwIfAborted();
      const isUpload = method === 'PUT' || method === 'PATCH';
      const watch = watchRequest({ method, url, signal }, settings.timeouts, isUpload);
      try {
        agent ??= open();
        const dispatcher = await agent;
        await judge(url, signal);
        const response = await watch.answered((within) =>
          dispatcher.request({
            origin: url.origin,
            path: url.pathname + url.search,
            method,
            headers: { 'user-agent': settings.userAgent, 'accept-encoding': 'identity', ...headers },
            body:
              body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
                ? (body ?? null)
                : // One piece ahead, so that it is known what has been sent.
                  Readable.from(watch.sent(body), { highWaterMark: 1 }),
            signal: within,
            headersTimeout: isUpload ? 0 : stallMs,
            bodyTimeout: stallMs,
          }),
        );
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

/** undici takes them from the URL as they are written there. */
function socksCredentials({ username, password }: URL): object {
  return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
}

/** Undefined certificates mean Node's defaults; loopback and insecure registries need no authority, unless one is given. */
function tlsOptions(url: URL, registry: string, isInsecure: boolean, settings: ConnectionSettings): object {
  if (url.protocol !== 'https:') return {};
  const own = readHostCertificates(settings.certificateFolders, url.host);
  const others: HostCertificates =
    url.host === registry
      ? { authorities: [], clients: [] }
      : readHostCertificates(settings.certificateFolders, registry);
  const authorities = [...own.authorities, ...others.authorities];
  return {
    secureContext: secureContext(settings.env, authorities, own.clients),
    rejectUnauthorized: authorities.length > 0 || !isInsecure,
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
