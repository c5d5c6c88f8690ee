/** The number that every change of the host's rule set increases: so others' changes are noticed without reading any rules. */
import { NETLINK_NETFILTER, openNetlink } from '../../os/netlink.ts';
import { decodeGeneration, encodeGetGeneration } from '../../runtime/netlink/netfilter.ts';

export interface RuleSetGeneration {
  /** Runs a transaction of the daemon's own, which counts as nobody else's. */
  own<T>(transaction: () => Promise<T>): Promise<T>;
  /** Whether anybody else has changed the rule set since this was last asked. */
  othersChanged(): boolean;
  close(): void;
}

export function createRuleSetGeneration(): RuleSetGeneration {
  const netlink = openNetlink(NETLINK_NETFILTER);
  const read = (): number => decodeGeneration(netlink.request(encodeGetGeneration()));
  let seen = read();
  let changed = false;
  return {
    async own(transaction) {
      const before = read();
      changed ||= before !== seen;
      try {
        return await transaction();
      } finally {
        // A transaction counts once, or not at all where it changed nothing. The number begins anew after 2^32.
        const after = read();
        changed ||= after !== before && after !== (before + 1) % 2 ** 32;
        seen = after;
      }
    },
    othersChanged() {
      const now = read();
      const answer = changed || now !== seen;
      changed = false;
      seen = now;
      return answer;
    },
    close: () => netlink.close(),
  };
}
