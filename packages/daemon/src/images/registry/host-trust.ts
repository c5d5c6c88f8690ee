/** Which hosts may speak plain HTTP, and which are this host itself: by their names, and by the addresses that these lead to. */
import type { LookupFunction } from 'node:net';
import { TsdError } from '@tsd/shared/errors';
import { createHostAddresses, type Lookup, lookupAmong } from './host-addresses.ts';
import type { ProxyRules } from './proxy-rules.ts';
import { hostName, type InsecureHosts, isThisHost } from './registry-hosts.ts';

export interface HostTrust {
  /**
   * Whether `host[:port]` may speak plain HTTP, or HTTPS with a certificate that nobody vouches for. As dockerd, which looks names
   * up to see whether a network that is given has them; unless a proxy does that for this host.
   */
  isInsecure(hostAndPort: string, signal: AbortSignal): Promise<boolean>;
  /** Whether `host[:port]` is an address of this host itself, or leads to one. */
  isThisHost(hostAndPort: string, signal: AbortSignal): Promise<boolean>;
  /** For connections to `host[:port]`. @param mayBeThisHost whether it may lead to this host */
  lookupFor(
    hostAndPort: string,
    options: { readonly isInsecure: boolean; readonly mayBeThisHost: boolean },
  ): LookupFunction;
}

export function createHostTrust(insecure: InsecureHosts, proxyFor: ProxyRules, lookup: Lookup): HostTrust {
  const addresses = createHostAddresses(lookup);
  const isDirect = (hostAndPort: string): boolean =>
    ['http', 'https'].every((scheme) => proxyFor(new URL(`${scheme}://${hostAndPort}/`)) === null);
  const addressesOf = async (hostAndPort: string, signal: AbortSignal): Promise<readonly string[]> =>
    isDirect(hostAndPort) ? addresses.of(hostName(hostAndPort), signal) : [];
  return {
    async isInsecure(hostAndPort, signal) {
      if (insecure.includes(hostAndPort)) return true;
      return (await addressesOf(hostAndPort, signal)).some((address) => insecure.hasAddress(address));
    },
    async isThisHost(hostAndPort, signal) {
      return isThisHost(hostAndPort) || (await addressesOf(hostAndPort, signal)).some(isThisHost);
    },
    lookupFor(hostAndPort, { isInsecure, mayBeThisHost }) {
      const isByNetwork = isInsecure && !insecure.includes(hostAndPort);
      const isAllowed = (address: string): boolean =>
        (!isByNetwork || insecure.hasAddress(address)) && (mayBeThisHost || !isThisHost(address));
      const refusal = (): Error =>
        new TsdError('bad_parameter', `${hostAndPort} leads to an address that may not be connected to`);
      return lookupAmong(lookup, isAllowed, refusal);
    },
  };
}
