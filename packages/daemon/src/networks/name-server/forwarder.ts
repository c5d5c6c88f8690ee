/** Queries for names of the outside: answered from the cache, or by the servers of the host or of the container. */

import type { AnswerCache } from './answer-cache.ts';
import { askServer, ServerUnusable } from './ask-server.ts';
import { type DnsQuery, FLAGS, questionKey, RCODE } from './dns-message.ts';

export interface Forwarder {
  /**
   * What the servers say, or what one of them said lately.
   *
   * @param asker the container, which has a fair share of what can be on its way
   * @returns null where none of them can be reached, or too many queries are on their way
   */
  resolve(asker: string, query: DnsQuery, servers: readonly string[]): Promise<ForwardedAnswer | null>;
  /** Gives all queries up that are on their way. */
  close(): void;
}

export interface ForwardedAnswer {
  /** Without an OPT record. */
  readonly response: Buffer;
  readonly ageSeconds: number;
}

export interface ForwarderOptions {
  readonly cache: AnswerCache;
  readonly port: number;
  /** A clock in milliseconds that nobody sets. */
  readonly now: () => number;
}

/** Where it is the only server. Clients wait for five seconds, then ask again: no server is given more. */
const ONLY_SERVER_MS = 5000;
/** Where there are others to ask. */
const SERVER_MS = 2000;
const RESEND_MS = 1000;
/** For how long a server that did not answer is asked after the others. */
const AVOID_MS = 30_000;
/** As many as resolvers have; asking more would outlast every client's patience. */
const MAX_SERVERS = 3;
/** Each has a socket. */
const MAX_EXCHANGES = 512;
/**
 * Nobody has more exchanges than this part of those that are left: eight who ask for all they can get have 42 each and leave
 * 176, a hundred have 4 or 5 and leave some still. (Dynamic thresholds, as switches share their buffers.)
 */
const SHARE_OF_FREE = 1 / 4;

export function createForwarder({ cache, port, now }: ForwarderOptions): Forwarder {
  const exchanges = new Map<string, Promise<Buffer | null>>();
  const exchangesOf = new Map<string, number>();
  /** Until when a server is avoided. */
  const avoided = new Map<string, number>();
  const closing = new AbortController();

  const ask = async (query: DnsQuery, servers: readonly string[]): Promise<Buffer | null> => {
    const isAvoided = (server: string) => (avoided.get(server) ?? 0) > now();
    const ordered = [...servers].sort((a, b) => Number(isAvoided(a)) - Number(isAvoided(b))).slice(0, MAX_SERVERS);
    const timeoutMs = servers.length > 1 ? SERVER_MS : ONLY_SERVER_MS;
    const options = { timeoutMs, resendMs: RESEND_MS, port, signal: closing.signal };
    let failure: Buffer | null = null;
    for (const server of ordered) {
      try {
        const response = await askServer(server, query, options);
        avoided.delete(server);
        if (isDefinite(response)) return response;
        failure ??= response;
      } catch (error) {
        if (!(error instanceof ServerUnusable)) throw error;
        if (closing.signal.aborted) return null;
        avoided.delete(server);
        avoided.set(server, now() + AVOID_MS);
        for (const oldest of avoided.keys()) if (avoided.size > MAX_EXCHANGES) avoided.delete(oldest);
      }
    }
    return failure;
  };

  const begin = (asker: string, key: string, query: DnsQuery, servers: readonly string[]) => {
    const own = exchangesOf.get(asker) ?? 0;
    if (own >= (MAX_EXCHANGES - exchanges.size) * SHARE_OF_FREE) return null;
    exchangesOf.set(asker, own + 1);
    const exchange = ask(query, servers).finally(() => {
      exchanges.delete(key);
      const left = (exchangesOf.get(asker) ?? 1) - 1;
      if (left === 0) exchangesOf.delete(asker);
      else exchangesOf.set(asker, left);
    });
    exchanges.set(key, exchange);
    return exchange;
  };

  return {
    async resolve(asker, query, servers) {
      // What the servers make of a query depends on more than the question.
      const key = `${servers.join(' ')} ${query.flags} ${query.edns?.dnssecOk === true} ${questionKey(query.question)}`;
      const cached = cache.get(key);
      if (cached !== null) return cached;
      // The same query is asked once at a time, whoever asks: a guessed answer has one try.
      const response = await (exchanges.get(key) ?? begin(asker, key, query, servers));
      if (response === null) return null;
      cache.put(key, response);
      return { response, ageSeconds: 0 };
    },
    close: () => closing.abort(),
  };
}

/** Of these the next server would say nothing else. */
function isDefinite(response: Buffer): boolean {
  const rcode = response.readUInt16BE(2) & FLAGS.rcode;
  return rcode === RCODE.ok || rcode === RCODE.nameError;
}
