/** The addresses of names that egress policies allow: in the kernel's sets with a time-out, and here to know when to renew them. */
import { isIPv4 } from 'node:net';
import { type EgressRule, namesHost } from '../egress-rule.ts';
import { learntSet } from './egress-part.ts';

/** What a container may use longer than the answer is valid: it opens its connection some time after it asked. */
const GRACE_SECONDS = 60;
const MAX_SECONDS = 86_400;

/** A policy: whose it is, and its rules. */
export interface OwnedRules {
  /** The id of a network or of a container. */
  readonly owner: string;
  readonly rules: readonly EgressRule[];
}

export interface LearntAddress {
  readonly set: string;
  readonly address: string;
  /** Milliseconds of performance.now(). */
  readonly expiresAtMs: number;
}

export interface LearntAddresses {
  /** What of an answer the kernel has to be told: nothing where it knows it for long enough. */
  missing(
    policies: readonly OwnedRules[],
    name: string,
    addresses: readonly string[],
    ttlSeconds: number,
  ): LearntAddress[];
  /** Call it when the kernel has them. */
  remember(added: readonly LearntAddress[]): void;
  knows(entry: Pick<LearntAddress, 'set' | 'address'>): boolean;
  /** All that are valid still. */
  list(): LearntAddress[];
  /** The set is gone. */
  forget(set: string): void;
}

export function createLearntAddresses(now: () => number = () => performance.now()): LearntAddresses {
  const sets = new Map<string, Map<string, number>>();
  const dropExpired = (addresses: Map<string, number>): void => {
    for (const [address, expiresAtMs] of addresses) if (expiresAtMs <= now()) addresses.delete(address);
  };
  return {
    missing(policies, name, addresses, ttlSeconds) {
      const ttlMs = Math.min(ttlSeconds, MAX_SECONDS) * 1000;
      const expiresAtMs = now() + ttlMs + GRACE_SECONDS * 1000;
      const entries = policies.flatMap(({ owner, rules }) =>
        rules.flatMap((rule, index) =>
          namesHost(rule, name)
            ? addresses.map((address) => ({
                set: learntSet(owner, index, isIPv4(address) ? 4 : 6),
                address,
                expiresAtMs,
              }))
            : [],
        ),
      );
      return entries.filter(({ set, address }) => (sets.get(set)?.get(address) ?? 0) < now() + ttlMs);
    },
    remember(added) {
      for (const { set, address, expiresAtMs } of added) {
        const addresses = sets.get(set) ?? new Map<string, number>();
        sets.set(set, addresses);
        dropExpired(addresses);
        addresses.set(address, expiresAtMs);
      }
    },
    knows: ({ set, address }) => sets.get(set)?.has(address) ?? false,
    list() {
      return [...sets].flatMap(([set, addresses]) => {
        dropExpired(addresses);
        return [...addresses].map(([address, expiresAtMs]) => ({ set, address, expiresAtMs }));
      });
    },
    forget(set) {
      sets.delete(set);
    },
  };
}

/**
 * Commands that give the addresses their time. The kernels before 6.12 do not renew an element that is there: it goes and comes
 * again in one transaction, and is added before so that it can go.
 */
export function learnCommands(
  table: string,
  entries: readonly LearntAddress[],
  nowMs: number,
  isKnown: (entry: LearntAddress) => boolean,
): string {
  return entries
    .flatMap((entry) => {
      const { set, address, expiresAtMs } = entry;
      const seconds = Math.max(1, Math.ceil((expiresAtMs - nowMs) / 1000));
      const add = `add element inet ${table} ${set} { ${address} timeout ${seconds}s }`;
      return isKnown(entry) ? [add, `delete element inet ${table} ${set} { ${address} }`, add] : [add];
    })
    .join('\n');
}
