/** The addresses that names of hosts lead to, as this host resolves them. */
import type { LookupAddress } from 'node:dns';
import { lookup as resolve } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { unlessAborted } from '../unless-aborted.ts';

/** @throws what the resolver says of a name that leads nowhere */
export type Lookup = (hostname: string) => Promise<readonly LookupAddress[]>;

export const systemLookup: Lookup = (hostname) => resolve(hostname, { all: true });

export interface HostAddresses {
  /** None where the name leads nowhere, or takes too long to. @throws the signal's reason */
  of(hostname: string, signal: AbortSignal): Promise<readonly string[]>;
}

const PATIENCE_MS = 5000;
const KEPT_MS = 30_000;
const MAX_KEPT = 256;

/** Remembers what it found for a while. */
export function createHostAddresses(lookup: Lookup): HostAddresses {
  const kept = new Map<string, { readonly addresses: Promise<readonly string[]>; readonly untilMs: number }>();
  const look = async (hostname: string): Promise<readonly string[]> => {
    try {
      const found = await unlessAborted(lookup(hostname), AbortSignal.timeout(PATIENCE_MS));
      return found.map(({ address }) => address);
    } catch {
      // Whoever connects to it will say what is wrong with the name.
      kept.delete(hostname);
      return [];
    }
  };
  return {
    async of(hostname, signal) {
      const known = kept.get(hostname);
      if (known !== undefined && performance.now() < known.untilMs) return unlessAborted(known.addresses, signal);
      if (kept.size >= MAX_KEPT) kept.clear();
      const addresses = look(hostname);
      kept.set(hostname, { addresses, untilMs: performance.now() + KEPT_MS });
      return unlessAborted(addresses, signal);
    },
  };
}

/**
 * For connections: resolves anew and gives those addresses alone that may be connected to, so that a name which led elsewhere when
 * it was judged gains nothing.
 *
 * @param refusal the error where none is left
 */
export function lookupAmong(
  lookup: Lookup,
  isAllowed: (address: string) => boolean,
  refusal: () => Error,
): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname).then(
      (found) => {
        const allowed = found.filter(({ address }) => isAllowed(address));
        const [first] = allowed;
        if (first === undefined) callback(refusal(), '', 0);
        else if (options.all === true) callback(null, allowed);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}
