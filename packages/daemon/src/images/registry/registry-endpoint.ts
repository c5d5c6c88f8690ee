/** One host that serves a registry's API: requests with authorization and redirects, tried again after passing trouble. */
import { TsdError } from '@tsd/shared/errors';
import { type ChallengeMemory, createAuthorizer } from './authorizer.ts';
import { type BackOff, withRetries } from './back-off.ts';
import { parseChallenges } from './challenges.ts';
import {
  type ConnectionSettings,
  type Connections,
  createConnections,
  discardBody,
  type HttpRequest,
  type HttpResponse,
} from './connections.ts';
import type { HostTrust } from './host-trust.ts';
import { RegistryError, requestText, speaksPlainHttp } from './registry-error.ts';
import type { RegistryCredentials } from './remote-repository.ts';
import { responseError } from './response-error.ts';

export interface EndpointRequest {
  readonly method: HttpRequest['method'];
  /** A path below `v2/`, or the URL that an earlier answer named. */
  readonly target: string | URL;
  /** `repository:library/alpine:pull`, for the token server. */
  readonly scopes: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Called each time that the request is sent. */
  readonly body?: () => AsyncIterable<Uint8Array> | Buffer;
  readonly signal: AbortSignal;
}

/** An endpoint with someone's credentials. */
export interface EndpointSession {
  readonly endpoint: RegistryEndpoint;
  /**
   * Sends once, twice where the registry asks for authorization, and follows redirects of reads. Whatever is no passing
   * trouble and no 401 is an answer, whose body is the caller's to read or discard.
   */
  once(request: EndpointRequest): Promise<HttpResponse>;
  /** The same, again after passing trouble: for requests that may be repeated. */
  request(request: EndpointRequest): Promise<HttpResponse>;
}

export interface RegistryEndpoint {
  readonly host: string;
  readonly isMirror: boolean;
  readonly backOff: BackOff;
  /** @param onRefreshToken asks the token server for a refresh token, and gets it */
  session(credentials: RegistryCredentials | null, onRefreshToken?: (token: string) => void): EndpointSession;
  /** Ends the connections. */
  close(): Promise<void>;
}

export interface EndpointSettings extends ConnectionSettings {
  readonly backOff: BackOff;
}

/** As many as Go follows. */
const MAX_REDIRECTS = 10;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** @param base a registry's `host[:port]`, whose scheme is found out where it may be HTTP; or a mirror's URL above `v2/` */
export function createEndpoint(base: string | URL, settings: EndpointSettings): RegistryEndpoint {
  const isMirror = typeof base !== 'string';
  const host = isMirror ? base.host : base;
  const connections = createConnections(host, settings);
  const memory: ChallengeMemory = { challenge: null };
  const { trust } = settings;
  let found: URL | null = null;
  const findBase = async (signal: AbortSignal): Promise<URL> => {
    if (isMirror) return base;
    // Told each time: where its name leads to may change.
    if (!(await trust.isInsecure(host, signal))) return new URL(`https://${host}/`);
    found ??= await findScheme(host, connections, signal);
    return found;
  };
  /** A registry that is set up anew may speak the other scheme; one that gets HTTP where it speaks HTTPS answers 400. */
  const findAgain = (): void => {
    found = null;
  };

  const session = (
    credentials: RegistryCredentials | null,
    onRefreshToken?: (token: string) => void,
  ): EndpointSession => {
    const authorizer = createAuthorizer({
      credentials,
      memory,
      send: async (request) => {
        // All headers are secrets here: the password is among them.
        const response = await follow(connections, trust, { ...request, headers: {} }, request.headers);
        return passing(response) ? Promise.reject(await responseError(response)) : response;
      },
      // Credentials go there: in the clear only where the registry's own would.
      checkRealm: (origin, realm, signal) => checkReferral(origin, realm, trust, signal),
      ...(onRefreshToken === undefined ? {} : { onRefreshToken }),
    });
    const once = async (request: EndpointRequest): Promise<HttpResponse> => {
      const { method, target, scopes, headers = {}, body, signal } = request;
      const origin = await findBase(signal);
      const url = typeof target === 'string' ? new URL(`v2/${target}`, origin) : target;
      await checkReferral(origin, url, trust, signal);
      const send = (authorization: string | null): Promise<HttpResponse> => {
        const isOwn = url.origin === origin.origin;
        const secret = isOwn && authorization !== null ? { authorization } : {};
        return follow(connections, trust, { method, url, headers, body: body?.(), signal }, secret);
      };
      const access = { scopes, origin, signal };
      const authorization = await authorizer.header(access);
      let response = await send(authorization).catch((error: unknown) => {
        findAgain();
        throw error;
      });
      if (response.status === 400) findAgain();
      if (response.status === 401 && response.url.origin === origin.origin) {
        const challenges = parseChallenges([response.headers['www-authenticate'] ?? []].flat());
        const refusal = await responseError(response);
        const answer = await authorizer.answer(challenges, authorization, access);
        if (answer === null) throw refusal;
        response = await send(answer);
      }
      if (response.status === 401 || passing(response)) throw await responseError(response);
      return response;
    };
    return {
      endpoint,
      once,
      request: (request) => withRetries(settings.backOff, request.signal, () => once(request)),
    };
  };
  const endpoint: RegistryEndpoint = {
    host,
    isMirror,
    backOff: settings.backOff,
    session,
    close: () => connections.close(),
  };
  return endpoint;
}

/** HTTPS where the host answers with it, else HTTP: asked of hosts that may speak either. */
async function findScheme(host: string, connections: Connections, signal: AbortSignal): Promise<URL> {
  const secure = new URL(`https://${host}/`);
  try {
    await discardBody(await connections.send({ method: 'GET', url: new URL('v2/', secure), headers: {}, signal }));
    return secure;
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error ? error.cause : undefined;
    // Without a port the two schemes are two sockets: nothing may listen at 443.
    const isElsewhere = !/:\d+$/.test(host) && error instanceof RegistryError && error.retry === 'transfers';
    if (!speaksPlainHttp(cause) && !isElsewhere) throw error;
    return new URL(`http://${host}/`);
  }
}

/**
 * Sends a request and follows redirects of reads.
 *
 * @param secret headers for the request's own origin alone: not sent along to wherever it redirects
 */
async function follow(
  connections: Connections,
  trust: HostTrust,
  request: HttpRequest,
  secret: Readonly<Record<string, string>>,
): Promise<HttpResponse> {
  const { method, headers, signal } = request;
  let { url } = request;
  let isOwn = true;
  const isRead = method === 'GET' || method === 'HEAD';
  for (let redirects = 0; ; redirects++) {
    const response = await connections.send({ ...request, url, headers: isOwn ? { ...headers, ...secret } : headers });
    const { location } = response.headers;
    if (!isRead || !REDIRECTS.includes(response.status) || location === undefined) return response;
    await discardBody(response);
    signal.throwIfAborted();
    if (redirects === MAX_REDIRECTS) {
      throw new TsdError(
        'bad_parameter',
        `${requestText(method, request.url)}: stopped after ${MAX_REDIRECTS} redirects`,
      );
    }
    const next = resolveLocation(location, response);
    await checkReferral(url, next, trust, signal);
    url = next;
    // What left its origin once gets no secrets any more, even if it comes back.
    isOwn &&= url.origin === request.url.origin;
  }
}

/**
 * The URL of a Location header.
 *
 * @throws TsdError `bad_parameter` where it is none
 */
export function resolveLocation(location: string | undefined, response: Pick<HttpResponse, 'method' | 'url'>): URL {
  const url = location === undefined ? null : URL.parse(location, response.url.href);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new TsdError(
      'bad_parameter',
      `${requestText(response.method, response.url)}: the registry names no valid location`,
    );
  }
  // Names and passwords in it would be sent by nobody here.
  url.username = '';
  url.password = '';
  return url;
}

/**
 * Whether a registry may send this host elsewhere: from HTTPS to HTTP only where the other may speak it anyway, and to
 * loopback only from there, since what listens there is not for others to ask.
 */
async function checkReferral(from: URL, to: URL, trust: HostTrust, signal: AbortSignal): Promise<void> {
  if (from.origin === to.origin) return;
  if ((await trust.isThisHost(to.host, signal)) && !(await trust.isThisHost(from.host, signal))) {
    throw new TsdError('bad_parameter', `the registry ${from.host} refers to ${to.origin}, which is this host`);
  }
  if (to.protocol === 'https:' || from.protocol === 'http:' || (await trust.isInsecure(to.host, signal))) return;
  throw new TsdError(
    'bad_parameter',
    `the registry ${from.host} refers to ${to.origin}, which is not encrypted (to allow that, start tsd with --insecure-registry ${to.host})`,
  );
}

function passing({ status }: HttpResponse): boolean {
  return status === 408 || status === 429 || status >= 500;
}
