/**
 * Who has which name in which network, and who sees it. Kept in memory: containers are entered where they run. In the default
 * network there are no names but those of links, as in Docker.
 */
import type { EgressRule } from '../egress-rule.ts';
import { canonicalAddress } from '../ip-address.ts';
import { DEFAULT_NETWORK } from '../network.ts';

/** A container in a network, from its start or connection until it is dropped. */
export interface NamedEndpoint {
  readonly containerId: string;
  readonly networkId: string;
  /** `NAME.NETWORK` names the container too, and is what addresses are resolved to. */
  readonly networkName: string;
  /** Nothing outside the network is resolved for a container that is in internal networks only. */
  readonly internal: boolean;
  /** The container's name first, then aliases and the hostname. The short id need not be among them; the full one is too long for the DNS. */
  readonly names: readonly string[];
  /** Names that only this container has for others of the network: alias to name or full id (`--link`). */
  readonly links: Readonly<Record<string, string>>;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  /** The servers that the container's other queries go to (`--dns`); empty for the host's. */
  readonly dnsServers: readonly string[];
  /** What the container may reach by way of this network: its own rules and the network's; null for everything. */
  readonly egress: readonly EgressRule[] | null;
}

/** What one container sees. */
export interface NameScope {
  readonly containerId: string;
  /** The container's endpoints, in the order in which they were entered. */
  readonly endpoints: readonly NamedEndpoint[];
  /** Addresses of both families; null where no container in sight has the name. `name` is in lower case. */
  addresses(name: string): readonly string[] | null;
  /** `NAME.NETWORK` of the container in sight that has the address, in its canonical text. */
  nameOf(address: string): string | null;
}

export interface NameDirectory {
  /** The containers of the network that have links to one, by its full id. */
  linkingTo(
    networkId: string,
    containerId: string,
  ): readonly { readonly containerId: string; readonly alias: string }[];
  /** Replaces what the container had in the network. */
  put(endpoint: NamedEndpoint): void;
  /** Forgets the container in one network, or in all. Repeatable. */
  drop(containerId: string, networkId?: string): void;
  /** What whoever sent from an address of the network sees; null for an address that is nobody's. */
  scopeOf(networkId: string, address: string): NameScope | null;
}

interface NamedNetwork {
  readonly byAddress: Map<string, NamedEndpoint>;
  readonly byName: Map<string, NamedEndpoint[]>;
}

const SHORT_ID_DIGITS = 12;

export function createNameDirectory(): NameDirectory {
  const networks = new Map<string, NamedNetwork>();
  const containers = new Map<string, Map<string, NamedEndpoint>>();

  const put = (endpoint: NamedEndpoint): void => {
    const { containerId, networkId } = endpoint;
    const endpoints = containers.get(containerId) ?? new Map<string, NamedEndpoint>();
    forget(endpoints.get(networkId));
    containers.set(containerId, endpoints.set(networkId, endpoint));
    const network = networks.get(networkId) ?? { byAddress: new Map(), byName: new Map() };
    networks.set(networkId, network);
    for (const address of addressesOf(endpoint)) network.byAddress.set(address, endpoint);
    for (const name of namesOf(endpoint)) network.byName.set(name, [...(network.byName.get(name) ?? []), endpoint]);
  };

  const forget = (endpoint: NamedEndpoint | undefined): void => {
    const network = endpoint === undefined ? undefined : networks.get(endpoint.networkId);
    if (endpoint === undefined || network === undefined) return;
    for (const address of addressesOf(endpoint))
      if (network.byAddress.get(address) === endpoint) network.byAddress.delete(address);
    for (const name of namesOf(endpoint)) {
      const others = (network.byName.get(name) ?? []).filter((other) => other !== endpoint);
      if (others.length > 0) network.byName.set(name, others);
      else network.byName.delete(name);
    }
    if (network.byName.size === 0) networks.delete(endpoint.networkId);
  };

  const lookUp = (endpoint: NamedEndpoint, name: string): readonly NamedEndpoint[] => {
    const byName = networks.get(endpoint.networkId)?.byName;
    const suffix = `.${endpoint.networkName.toLowerCase()}`;
    const linked = Object.entries(endpoint.links).find(([alias]) => lookupName(alias) === name)?.[1];
    if (linked !== undefined) return byName?.get(lookupName(linked)) ?? [];
    if (endpoint.networkName === DEFAULT_NETWORK) return [];
    return byName?.get(name) ?? (name.endsWith(suffix) ? byName?.get(name.slice(0, -suffix.length)) : undefined) ?? [];
  };

  return {
    put,
    linkingTo(networkId, containerId) {
      const endpoints = new Set(networks.get(networkId)?.byAddress.values());
      return [...endpoints].flatMap((endpoint) =>
        Object.entries(endpoint.links).flatMap(([alias, linked]) =>
          linked === containerId ? [{ containerId: endpoint.containerId, alias }] : [],
        ),
      );
    },
    drop(containerId, networkId) {
      const endpoints = containers.get(containerId);
      if (endpoints === undefined) return;
      for (const endpoint of [...endpoints.values()]) {
        if (networkId !== undefined && endpoint.networkId !== networkId) continue;
        forget(endpoint);
        endpoints.delete(endpoint.networkId);
      }
      if (endpoints.size === 0) containers.delete(containerId);
    },
    scopeOf(networkId, address) {
      const asker = networks.get(networkId)?.byAddress.get(canonicalAddress(address) ?? address);
      if (asker === undefined) return null;
      const endpoints = [...(containers.get(asker.containerId)?.values() ?? [])];
      return {
        containerId: asker.containerId,
        endpoints,
        addresses(name) {
          // The first network that knows the name: a container that is in two of them is reached through one.
          const found = endpoints.map((endpoint) => lookUp(endpoint, name)).find((matches) => matches.length > 0);
          return found?.flatMap(addressesOf) ?? null;
        },
        nameOf(wanted) {
          for (const { networkId: id, networkName } of endpoints) {
            if (networkName === DEFAULT_NETWORK) continue;
            const found = networks.get(id)?.byAddress.get(wanted);
            if (found !== undefined) return `${found.names[0] ?? shortId(found)}.${found.networkName}`;
          }
          return null;
        },
      };
    },
  };
}

function addressesOf({ ipv4, ipv6 }: NamedEndpoint): readonly string[] {
  return [ipv4, ipv6].flatMap((address) => (address === null ? [] : [canonicalAddress(address) ?? address]));
}

function namesOf(endpoint: NamedEndpoint): ReadonlySet<string> {
  return new Set([...endpoint.names.map(lookupName), shortId(endpoint), endpoint.containerId]);
}

/** As names are looked up: names of the DNS do not differ by case (RFC 4343). */
function lookupName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

function shortId({ containerId }: NamedEndpoint): string {
  return containerId.slice(0, SHORT_ID_DIGITS);
}
