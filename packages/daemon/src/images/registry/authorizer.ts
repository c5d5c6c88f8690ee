/**
 * Answers a registry's challenges: Basic credentials, or tokens from the server that a Bearer challenge names
 * (distribution, "Token Authentication Specification", and its OAuth2 variant).
 */
import { performance } from 'node:perf_hooks';
import { TsdError } from '@tsd/shared/errors';
import type { Challenge } from './challenges.ts';
import { type HttpResponse, readBody } from './connections.ts';
import { RegistryError } from './registry-error.ts';
import type { RegistryCredentials } from './remote-repository.ts';
import { responseError } from './response-error.ts';

/** What a host asked for last; it knows no secrets, so all its users share it. */
export interface ChallengeMemory {
  challenge: Challenge | null;
}

/** What a request needs a header for. */
export interface Access {
  readonly scopes: readonly string[];
  /** Where it goes: whose challenges are answered. */
  readonly origin: URL;
  readonly signal: AbortSignal;
}

export interface Authorizer {
  /** The Authorization header for a request; null as long as the registry asks for none that can be had. */
  header(access: Access): Promise<string | null>;
  /**
   * The header that answers a 401, after which `header` gives the same.
   *
   * @param refused the header that was sent, if any
   * @returns null when there is nothing better to send
   * @throws TsdError `unauthorized` where credentials are asked for and there are none
   */
  answer(challenges: readonly Challenge[], refused: string | null, access: Access): Promise<string | null>;
}

/** Sends a request to a token server: follows redirects, without credentials to other hosts. */
export type SendTokenRequest = (request: {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}) => Promise<HttpResponse>;

export interface AuthorizerDeps {
  readonly credentials: RegistryCredentials | null;
  readonly memory: ChallengeMemory;
  readonly send: SendTokenRequest;
  /** Checks that a token server may be asked at all, since credentials go there. @throws TsdError */
  readonly checkRealm: (origin: URL, realm: URL, signal: AbortSignal) => Promise<void>;
  /** Gets the refresh token where one is asked for and given: what a login stores. */
  readonly onRefreshToken?: (token: string) => void;
}

const CLIENT_ID = 'docker';
const MAX_TOKEN_BYTES = 1024 * 1024;
/** The specification's default; shorter lives are taken for this. */
const MIN_LIFE_SECONDS = 60;
const RENEW_BEFORE_MS = 15_000;

interface Token {
  readonly header: string;
  readonly expiresAtMs: number;
}

export function createAuthorizer({
  credentials,
  memory,
  send,
  checkRealm,
  onRefreshToken,
}: AuthorizerDeps): Authorizer {
  /** By server and scopes; promises, so that parallel requests fetch one. */
  const tokens = new Map<string, Promise<Token>>();

  const basic = (): string => {
    if (!credentials?.username) throw new RegistryError('unauthorized', 'no basic auth credentials');
    return basicHeader(credentials.username, credentials.password ?? '');
  };

  const bearer = async (challenge: Challenge, refused: string | null, access: Access): Promise<string> => {
    const { scopes } = access;
    if (credentials?.registryToken) return `Bearer ${credentials.registryToken}`;
    const key = [challenge.parameters.get('realm'), challenge.parameters.get('service'), ...scopes].join(' ');
    const cached = tokens.get(key);
    if (cached !== undefined) {
      const token = await cached.catch(() => null);
      const isGood =
        token !== null && token.header !== refused && performance.now() < token.expiresAtMs - RENEW_BEFORE_MS;
      if (isGood) return token.header;
      if (tokens.get(key) === cached) tokens.delete(key);
    }
    const fetched = tokens.get(key) ?? fetchToken(challenge, access);
    tokens.set(key, fetched);
    try {
      return (await fetched).header;
    } catch (error) {
      if (tokens.get(key) === fetched) tokens.delete(key);
      throw error;
    }
  };

  const fetchToken = async (challenge: Challenge, { scopes, origin, signal }: Access): Promise<Token> => {
    const realm = URL.parse(challenge.parameters.get('realm') ?? '');
    if (realm === null || !['http:', 'https:'].includes(realm.protocol)) {
      throw new TsdError('bad_parameter', 'the registry names no valid token server (realm of WWW-Authenticate)');
    }
    await checkRealm(origin, realm, signal);
    const service = challenge.parameters.get('service') ?? '';
    const response = credentials?.identityToken
      ? await send({
          method: 'POST',
          url: realm,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({
            grant_type: 'refresh_token',
            service,
            client_id: CLIENT_ID,
            scope: scopes.join(' '),
            refresh_token: credentials.identityToken,
          }).toString(),
          signal,
        })
      : await send({ method: 'GET', url: tokenUrl(realm, service, scopes), headers: tokenHeaders(), signal });
    if (response.status !== 200) throw await responseError(response);
    return readToken(response);
  };

  const tokenUrl = (realm: URL, service: string, scopes: readonly string[]): URL => {
    const url = new URL(realm);
    if (service !== '') url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (credentials?.username) url.searchParams.set('account', credentials.username);
    if (onRefreshToken !== undefined) {
      url.searchParams.set('client_id', CLIENT_ID);
      url.searchParams.set('offline_token', 'true');
    }
    return url;
  };

  const tokenHeaders = (): Record<string, string> =>
    credentials?.username ? { authorization: basicHeader(credentials.username, credentials.password ?? '') } : {};

  const readToken = async (response: HttpResponse): Promise<Token> => {
    const bytes = await readBody(response, MAX_TOKEN_BYTES, "the token server's answer");
    let answer: unknown;
    try {
      answer = JSON.parse(bytes.toString());
    } catch (error) {
      throw new TsdError('bad_parameter', `the token server at ${response.url.host} does not answer with JSON`, {
        cause: error,
      });
    }
    const fields = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
    const token = [fields['token'], fields['access_token']].find((value) => typeof value === 'string' && value !== '');
    // What a header may hold (RFC 6750, 2.1), and nothing that would end it.
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
      throw new TsdError(
        'bad_parameter',
        `authorization server ${response.url.host} did not include a token in the response`,
      );
    }
    const refreshToken = fields['refresh_token'];
    if (typeof refreshToken === 'string' && refreshToken !== '') onRefreshToken?.(refreshToken);
    const seconds = Number(fields['expires_in']);
    const lifeSeconds = Number.isFinite(seconds) ? Math.max(seconds, MIN_LIFE_SECONDS) : MIN_LIFE_SECONDS;
    return { header: `Bearer ${token}`, expiresAtMs: performance.now() + lifeSeconds * 1000 };
  };

  const respond = async (challenge: Challenge, refused: string | null, access: Access): Promise<string> =>
    challenge.scheme === 'bearer' ? bearer(challenge, refused, access) : basic();

  return {
    async header(access) {
      if (memory.challenge === null) return null;
      // Without credentials Basic cannot be answered, but parts of a registry may be open to all.
      if (memory.challenge.scheme === 'basic' && !credentials?.username) return null;
      try {
        return await respond(memory.challenge, null, access);
      } catch {
        access.signal.throwIfAborted();
        // Perhaps the registry asks for something else by now, or for nothing: its answer will tell.
        memory.challenge = null;
        return null;
      }
    },
    async answer(challenges, refused, access) {
      const challenge =
        challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm')) ??
        challenges.find(({ scheme }) => scheme === 'basic');
      if (challenge === undefined) return null;
      const header = await respond(challenge, refused, access);
      memory.challenge = challenge;
      return header === refused ? null : header;
    },
  };
}

function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
