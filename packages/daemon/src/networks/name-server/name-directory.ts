/** Who has which name in which network, and who sees it. Kept in memory: the containers register where they run. */

/** A container in a network, from its start or connection until it is dropped. */
export interface NamedEndpoint {
  readonly containerId: string;
  readonly networkId: string;
  /** `NAME.NETWORK` names the container too, and is what addresses are resolved to. */
  readonly networkName: string;
  /** Nothing outside the network is resolved for a container that is in internal networks only. */
  readonly internal: boolean;
  /** The container's name first, then aliases and the hostname; full and short id need not be among them. */
  readonly names: readonly string[];
  /** Names that only this container has for others of the network: alias to name (`--link`). */
  readonly links: Readonly<Record<string, string>>;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  /** The servers that the container's other queries go to (`--dns`); empty for the host's. */
  readonly dnsServers: readonly string[];
}

/** What one container sees. */
export interface NameScope {
  readonly containerId: string;
  /** Whether names of the outside are resolved for it. */
  readonly forwards: boolean;
  readonly dnsServers: readonly string[];
  /** Addresses of both families; null where no container in sight has the name, in any case of letters. */
  addresses(name: string): readonly string[] | null;
  /** `NAME.NETWORK` of the container in sight that has the address, in its canonical text. */
  nameOf(address: string): string | null;
}

export interface NameDirectory {
  /** Replaces what the container had in the network. */
  put(endpoint: NamedEndpoint): void;
  /** Forgets the container in one network, or in all. Repeatable. */
  drop(containerId: string, networkId?: string): void;
  /** What whoever sent from an address of the network sees; null for an address that is nobody's. */
  scopeOf(networkId: string, address: string): NameScope | null;
}
