/** Chains and sets of egress policies: one chain for each policy, and a set of each family for each rule with a name. Pure. */
import type { EgressRule } from '../egress-rule.ts';
import { formatPrefix } from '../ip-address.ts';
import type { AddressFamily } from '../network.ts';

/** Addresses that one name may have at a time; the name server's answers are much smaller. */
const MAX_ADDRESSES_OF_NAME = 4096;
const OWNER_DIGITS = 12;

/** The chain of a policy; `owner` is the id of a network or of a container. What its rules do not let pass comes to its end. */
export function egressChain(owner: string): {
  readonly name: string;
  readonly rules: (rules: readonly EgressRule[]) => string[];
} {
  return {
    name: `egress_${owner.slice(0, OWNER_DIGITS)}`,
    rules: (rules) => ['jump egress_exempt', ...rules.flatMap((rule, index) => acceptRules(owner, rule, index))],
  };
}

/** The set that the addresses of a rule's name come into; `index` is the rule's place in its policy. */
export function learntSet(owner: string, index: number, family: AddressFamily): string {
  return `egress_${owner.slice(0, OWNER_DIGITS)}_${index}_${family}`;
}

export function egressSets(owner: string, rules: readonly EgressRule[]): Map<string, string> {
  const sets = new Map<string, string>();
  for (const [index, { destination }] of rules.entries()) {
    if (destination.kind !== 'name') continue;
    for (const family of [4, 6] as const)
      sets.set(
        learntSet(owner, index, family),
        `type ipv${family}_addr; flags timeout; size ${MAX_ADDRESSES_OF_NAME};`,
      );
  }
  return sets;
}

/** The comment is the rule's place in its policy: so counters find their rule again. */
function acceptRules(owner: string, rule: EgressRule, index: number): string[] {
  const { destination, port, protocol } = rule;
  const ports = port === null ? '' : ` meta l4proto ${protocol ?? '{ tcp, udp }'} th dport ${port}`;
  const accept = (addresses: string) => `${addresses}${ports} counter accept comment "${index}"`;
  if (destination.kind === 'prefix')
    return [accept(`${destination.prefix.family === 4 ? 'ip' : 'ip6'} daddr ${formatPrefix(destination.prefix)}`)];
  return [accept(`ip daddr @${learntSet(owner, index, 4)}`), accept(`ip6 daddr @${learntSet(owner, index, 6)}`)];
}
