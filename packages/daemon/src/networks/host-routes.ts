/** What the host reaches already: subnets for networks are chosen beside it. */
import type { NetlinkMessage } from '../os/netlink-answers.ts';
import { decodeDestination } from '../runtime/netlink/routes.ts';
import { type IpPrefix, prefixFrom } from './ip-address.ts';

/** Addresses that every interface has: link-local and multicast. */
const EVERYWHERE: readonly { readonly first: bigint; readonly bits: number }[] = [
  { first: 0xfe80n << 112n, bits: 10 },
  { first: 0xffn << 120n, bits: 8 },
];

/**
 * The destinations of the host's routes in all tables: VPNs keep theirs in tables of their own. Without default routes, whole or
 * in the two halves that some VPNs write, without addresses of the host itself, and without what every interface has. `routes` is
 * the kernel's answer to `encodeListRoutes`; ask it anew each time: routes come and go.
 */
export function hostRoutes(routes: readonly NetlinkMessage[]): readonly IpPrefix[] {
  return routes.flatMap(({ body }) => {
    const destination = decodeDestination(body);
    if (destination === null) return [];
    const prefix = prefixFrom(destination);
    return prefix.bits <= 1 || isEverywhere(prefix) ? [] : [prefix];
  });
}

function isEverywhere({ family, first, bits }: IpPrefix): boolean {
  if (family === 4) return false;
  return EVERYWHERE.some(
    (block) => bits >= block.bits && first >> BigInt(128 - block.bits) === block.first >> BigInt(128 - block.bits),
  );
}
