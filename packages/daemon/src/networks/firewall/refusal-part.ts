/**
 * What an egress policy counts of its refusals: each policy has sets of its own, so that a container that tries thousands of
 * destinations fills its policy's and no other's. What is in none of them is counted by source. Pure.
 */
import type { AddressFamily } from '../network.ts';
import { REFUSE_CHAIN, REFUSE_UNLISTED_CHAIN, REFUSED_ELEMENT } from './table-frame.ts';

/** Of one kind and family. */
const MAX_DESTINATIONS = 1024;
const OWNER_DIGITS = 12;
const WITH_PORTS = 'meta l4proto { tcp, udp, sctp }';
const WITHOUT_PORTS = 'meta l4proto != { tcp, udp, sctp }';

/** The owner's sets of destinations, by name; `owner` is the id of a network or of a container. */
export function refusalSets(owner: string): Map<string, string> {
  return new Map(
    ([4, 6] as const).flatMap((family) => {
      const address = `ipv${family}_addr`;
      const body = (type: string) => `type ${type}; size ${MAX_DESTINATIONS}; ${REFUSED_ELEMENT}`;
      const { ports, other } = setNames(owner, family);
      return [
        [ports, body(`ifname . ${address} . ${address} . inet_proto . inet_service`)] as const,
        [other, body(`ifname . ${address} . ${address} . inet_proto`)] as const,
      ];
    }),
  );
}

/** The end of the owner's chain. A rule whose set is full does not match: what it has no place for comes to the last one. */
export function refusalRules(owner: string): string[] {
  return [
    ...([4, 6] as const).flatMap((family) => {
      const ip = family === 4 ? 'ip' : 'ip6';
      const { ports, other } = setNames(owner, family);
      const key = `iifname . ${ip} saddr . ${ip} daddr . meta l4proto`;
      return [
        `${WITH_PORTS} update @${ports} { ${key} . th dport } goto ${REFUSE_CHAIN}`,
        `${WITHOUT_PORTS} update @${other} { ${key} } goto ${REFUSE_CHAIN}`,
      ];
    }),
    `goto ${REFUSE_UNLISTED_CHAIN}`,
  ];
}

/** Whether a set of a part is one of destinations. */
export function isRefusalSet(name: string): boolean {
  return name.startsWith('refused_');
}

function setNames(owner: string, family: AddressFamily): { readonly ports: string; readonly other: string } {
  const id = owner.slice(0, OWNER_DIGITS);
  return { ports: `refused_${id}_${family}`, other: `refused_${id}_other_${family}` };
}
