/** Responses of servers, kept for as long as their records say (RFC 1035 section 7.4, RFC 2308). */
import { FLAGS, questionEnd, RCODE, recordsOf, TYPE } from './dns-message.ts';

export interface AnswerCache {
  get(key: string): { readonly response: Buffer; readonly ageSeconds: number } | null;
  /** Keeps a response without an OPT record; one that may not be kept is not. */
  put(key: string, response: Buffer): void;
}

export interface AnswerCacheLimits {
  readonly maxBytes: number;
  /** A clock in milliseconds that nobody sets. */
  readonly now: () => number;
}

const MAX_TTL_SECONDS = 24 * 60 * 60;
/** RFC 2308 section 5 lets three hours pass for most names; whoever waits for a new name should wait less. */
const MAX_NEGATIVE_TTL_SECONDS = 5 * 60;
/** What an entry costs besides its bytes, roughly. */
const ENTRY_BYTES = 400;

export function createAnswerCache({ maxBytes, now }: AnswerCacheLimits): AnswerCache {
  /** The one that was used longest ago first. */
  const entries = new Map<string, { readonly response: Buffer; readonly putMs: number; readonly ttlMs: number }>();
  let bytes = 0;

  const remove = (key: string): void => {
    const entry = entries.get(key);
    if (entry === undefined) return;
    entries.delete(key);
    bytes -= sizeOf(key, entry.response);
  };

  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return null;
      const ageMs = now() - entry.putMs;
      if (ageMs >= entry.ttlMs) {
        remove(key);
        return null;
      }
      entries.delete(key);
      entries.set(key, entry);
      return { response: entry.response, ageSeconds: Math.floor(ageMs / 1000) };
    },
    put(key, response) {
      const ttlMs = ttlSecondsOf(response) * 1000;
      if (ttlMs <= 0) return;
      remove(key);
      // In memory of its own: a slice would keep the whole of a shared block.
      const kept = Buffer.allocUnsafeSlow(response.length);
      response.copy(kept);
      entries.set(key, { response: kept, putMs: now(), ttlMs });
      bytes += sizeOf(key, response);
      for (const oldest of entries.keys()) {
        if (bytes <= maxBytes) break;
        remove(oldest);
      }
    },
  };
}

/** How long a response may be kept; 0 for not at all. */
export function ttlSecondsOf(response: Buffer): number {
  const flags = response.readUInt16BE(2);
  const rcode = flags & FLAGS.rcode;
  if ((flags & FLAGS.truncated) !== 0 || (rcode !== RCODE.ok && rcode !== RCODE.nameError)) return 0;
  const records = recordsOf(response, questionEnd(response));
  const answers = records.filter(({ section }) => section === 'answer');
  const ttls = records.map(({ ttlSeconds }) => positiveTtl(ttlSeconds));
  if (answers.length > 0 && rcode === RCODE.ok) return Math.min(MAX_TTL_SECONDS, ...ttls);
  const soa = records.find(({ section, type }) => section === 'authority' && type === TYPE.soa);
  // Without a start of authority nothing says for how long the name stays away.
  if (soa === undefined || soa.data.length < 22) return 0;
  const minimum = soa.data.readUInt32BE(soa.data.length - 4);
  return Math.min(MAX_NEGATIVE_TTL_SECONDS, positiveTtl(minimum), ...ttls);
}

/** Lifetimes with the highest bit set count as zero (RFC 2181 section 8). */
function positiveTtl(ttlSeconds: number): number {
  return ttlSeconds > 0x7fffffff ? 0 : ttlSeconds;
}

function sizeOf(key: string, response: Buffer): number {
  return ENTRY_BYTES + 2 * key.length + response.length;
}
