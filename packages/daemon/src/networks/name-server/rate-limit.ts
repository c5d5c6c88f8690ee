/** A share of the name server for each container: so many queries a second, with a reserve for bursts (token bucket). */

export interface RateLimit {
  /** Takes one token of the key's, or says that there is none. */
  take(key: string): boolean;
}

export interface RateLimitOptions {
  readonly perSecond: number;
  readonly burst: number;
  /** A clock in milliseconds that nobody sets. */
  readonly now: () => number;
}

export function createRateLimit({ perSecond, burst, now }: RateLimitOptions): RateLimit {
  /** Tokens, and when they were counted. A key that did not ask for a while has all of them, and no entry. */
  let buckets = new Map<string, { tokens: number; atMs: number }>();
  let sweptMs = now();
  const fullAfterMs = (burst / perSecond) * 1000;
  return {
    take(key) {
      const nowMs = now();
      if (nowMs - sweptMs > fullAfterMs) {
        buckets = new Map([...buckets].filter(([, { atMs }]) => nowMs - atMs < fullAfterMs));
        sweptMs = nowMs;
      }
      const { tokens, atMs } = buckets.get(key) ?? { tokens: burst, atMs: nowMs };
      const left = Math.min(burst, tokens + ((nowMs - atMs) * perSecond) / 1000);
      buckets.set(key, { tokens: left >= 1 ? left - 1 : left, atMs: nowMs });
      return left >= 1;
    },
  };
}
