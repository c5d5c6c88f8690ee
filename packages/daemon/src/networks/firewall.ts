/** The host's packet filter as the rest of the daemon sees it: networks, published ports and egress policies. */
import type { AddressFamily, NetworkRecord, PublishedPortRecord } from './network.ts';

/** A published port and where its packets go. Both addresses are of one family, in their canonical text. */
export interface PortTranslation extends PublishedPortRecord {
  readonly containerIp: string;
}

/** What the filter knows of a running container. A container of which there is nothing to say needs no entry. */
export interface ContainerRules {
  readonly ports: readonly PortTranslation[];
  /** The container's own `--allow-egress` list; null where only its networks' policies hold. */
  readonly egress: ContainerEgress | null;
}

/** A container with a list of its own may reach what is on it and what its network's list has, and nothing else. */
export interface ContainerEgress {
  /** `CIDR|NAME[:port]`, see egress-rule.ts. */
  readonly allow: readonly string[];
  /** Where the container's packets come from: its bridges and its addresses on them. */
  readonly sources: readonly { readonly bridgeName: string; readonly addresses: readonly string[] }[];
}

/** What the name server answered a container. */
export interface LearntAnswer {
  readonly networkId: string;
  readonly containerId: string;
  /** Without the final dot. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ttlSeconds: number;
}

/** How often a rule of an egress policy let a connection through. */
export interface EgressRuleCounter {
  /** As the user wrote it. */
  readonly rule: string;
  readonly packets: number;
}

/** A destination that egress policies refused, since the firewall was last laid down or the entry last expired. */
export interface EgressRefusal {
  readonly bridgeName: string;
  readonly source: string;
  readonly destination: string;
  /** `tcp`, `udp`, `icmp`, … or the protocol's number. */
  readonly protocol: string;
  /** null for protocols without ports. */
  readonly port: number | null;
  readonly packets: number;
}

/** How much one source was refused beside what is listed: a policy lists the first thousand destinations or so of an hour. */
export interface UnlistedRefusals {
  readonly bridgeName: string;
  readonly source: string;
  readonly packets: number;
}

export interface EgressRefusals {
  /** The newest first. */
  readonly listed: readonly EgressRefusal[];
  readonly unlisted: readonly UnlistedRefusals[];
}

/**
 * One nftables table of the daemon's own. Every change is one transaction: all of it holds, or an error and none of it.
 * Changes that are asked for at the same time share a transaction. What was asked for is kept in memory and laid down again
 * when somebody flushes the rule set.
 */
export interface Firewall {
  /** Adds the rules of a network with the driver `bridge`, or replaces them by those of the record as it is now. Needs no interface. */
  setNetwork(network: NetworkRecord): Promise<void>;
  /** Does nothing where there is none. */
  removeNetwork(networkId: string): Promise<void>;

  /**
   * Replaces all that is there of the container: its published ports (also after it joined or left a network) and its own
   * egress policy. Forgets the connections that the kernel tracks on UDP ports, so that a client that was there before is
   * translated anew.
   */
  setContainer(containerId: string, rules: ContainerRules): Promise<void>;
  /** When the container ended. Does nothing where there is nothing of it. */
  removeContainer(containerId: string): Promise<void>;

  /**
   * Lets the container's next packets to the addresses pass where a rule of its policies names `name`. Await it before the
   * answer is sent, or the container is faster than its permission. Does nothing, at once, where no rule names it.
   */
  learn(answer: LearntAnswer): Promise<void>;

  /**
   * Passes what the network's containers send to port 53 of the bridge's address to the name server's own port. Lasts as long
   * as the network, which is there.
   */
  redirectNames(networkId: string, address: string, port: number): Promise<void>;

  /**
   * Drops what is new between interfaces of the host that are no bridges, in these families, instead of those that were guarded
   * before. It stays after `cleanUp`: the host goes on forwarding.
   */
  guardForwarding(families: readonly AddressFamily[]): Promise<void>;

  egressCounters(networkId: string): Promise<EgressRuleCounter[]>;
  /** The refusals of the last hour. One network's never hide another's. */
  egressRefusals(): Promise<EgressRefusals>;
  /** How many packets were refused since the table was last laid down. Costs nothing while there is no policy. */
  refusedPackets(): Promise<number>;

  /**
   * Lays the whole table down anew in one transaction: after the start of the daemon, from its records. Connections that are
   * open stay open, and names are asked at the usual port until `redirectNames` says another.
   */
  restore(networks: readonly NetworkRecord[], containers: ReadonlyMap<string, ContainerRules>): Promise<void>;
  /** Watches the rule set from now on: what others flush is laid down again, and what of others is in the way is logged. */
  watch(): void;
  /** Ends the watch. The table stays: containers go on without the daemon. */
  close(): Promise<void>;
  /** Removes the table, but for a guard of forwarding, and every rule of the daemon's in others' tables. */
  cleanUp(): Promise<void>;
}
