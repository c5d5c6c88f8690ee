/** What follows from the endpoints that a container has while it runs: interfaces, rules, names, files. Pure. */
import { isIP } from 'node:net';
import { EGRESS_ALLOW_ANNOTATION, splitEgressRules } from '@tsd/shared/egress';
import { DEFAULT_MTU_BYTES } from '../networks/bridge.ts';
import { type EgressRule, parseEgressRule } from '../networks/egress-rule.ts';
import type { ContainerRules, PortTranslation } from '../networks/firewall.ts';
import { linkLocalAddress } from '../networks/ip-address.ts';
import type { NamedEndpoint } from '../networks/name-server/name-directory.ts';
import {
  type AddressFamily,
  type Attachment,
  DEFAULT_NETWORK,
  type NetworkRecord,
  type PublishedPortRecord,
} from '../networks/network.ts';
import { NETWORK_OPTION, networkFlag } from '../networks/network-options.ts';
import type { PlannedInterface } from '../runtime/launch-input.ts';
import type { ContainerRecord } from './container.ts';
import { parseLink } from './container-links.ts';
import { type AttachedEndpoint, addressesWithLength, type DefaultGateway, defaultGateway } from './default-gateways.ts';
import { type NetworkView, NO_NETWORK } from './network-files.ts';

const FAMILIES: readonly AddressFamily[] = [4, 6];
const ALL_ADDRESSES: Readonly<Record<AddressFamily, string>> = { 4: '0.0.0.0', 6: '::' };

/** The ways out of the container, one of each family at most. */
export function defaultGateways(endpoints: readonly AttachedEndpoint[]): readonly DefaultGateway[] {
  return FAMILIES.map((family) => defaultGateway(endpoints, family)).filter((gateway) => gateway !== undefined);
}

/** The endpoints that have an interface: those of bridges. */
export function bridged(endpoints: readonly AttachedEndpoint[]): readonly AttachedEndpoint[] {
  return endpoints.filter(({ network }) => network.bridgeName !== null);
}

/** Name of the host's end of an endpoint's pair; 15 bytes are the kernel's limit. */
export function hostInterface(endpointId: string): string {
  return `tsdv${endpointId.slice(0, 11)}`;
}

export function plannedInterface(
  attached: AttachedEndpoint,
  gateways: readonly DefaultGateway[],
  bridgeIndex: number,
  isPublished: boolean,
): PlannedInterface {
  const { attachment, network } = attached;
  if (attachment.interface === null || attachment.mac === null)
    throw new Error(`the endpoint ${attachment.id} has no interface`);
  return {
    hostName: hostInterface(attachment.id),
    bridgeIndex,
    name: attachment.interface,
    mac: attachment.mac,
    mtu: network.mtu ?? DEFAULT_MTU_BYTES,
    addresses: addressesWithLength(attached),
    isolated: !networkFlag(network, NETWORK_OPTION.interContainer),
    hairpin: isPublished,
    gateways: gateways
      .filter((gateway) => gateway.attachment.id === attachment.id)
      .map((gateway) => gateway.subnet.gateway),
  };
}

/** Addresses of the host that ports are published on where nobody named one. */
export function defaultHostIps(gateways: readonly DefaultGateway[]): readonly string[] {
  return gateways.flatMap(({ network, subnet: { family } }) => {
    const bound = network.options[NETWORK_OPTION.hostBindingIpv4] ?? '';
    if (['', ...Object.values(ALL_ADDRESSES)].includes(bound)) return [ALL_ADDRESSES[family]];
    // Who names an address of one family wants none of the other's.
    return isIP(bound) === family ? [bound] : [];
  });
}

/** What the packet filter has to know; null where that is nothing, as for most containers. */
export function containerRules(
  record: ContainerRecord,
  endpoints: readonly AttachedEndpoint[],
  ports: readonly PublishedPortRecord[],
): ContainerRules | null {
  const gateways = defaultGateways(endpoints);
  const translations = ports.flatMap((port): PortTranslation[] => {
    const family = port.hostIp.includes(':') ? 6 : 4;
    const gateway = gateways.find(({ subnet }) => subnet.family === family);
    return gateway === undefined ? [] : [{ ...port, containerIp: gateway.address }];
  });
  const allow = allowedEgress(record);
  if (translations.length === 0 && allow === null) return null;
  const sources = endpoints.flatMap(({ network, attachment }) =>
    network.bridgeName === null
      ? []
      : [
          {
            bridgeName: network.bridgeName,
            addresses: sourceAddresses(attachment),
          },
        ],
  );
  return { ports: translations, egress: allow === null ? null : { allow, sources } };
}

/** What the container's packets come from. The kernel gives it a link-local address wherever it has another one of IPv6. */
function sourceAddresses({ ipv4, ipv6, mac }: Attachment): readonly string[] {
  const linkLocal = ipv6 === null || mac === null ? null : linkLocalAddress(mac);
  return [ipv4, ipv6, linkLocal].filter((address) => address !== null);
}

/** The container's own `--allow-egress` list; null for none. */
export function allowedEgress({ hostConfig }: Pick<ContainerRecord, 'hostConfig'>): readonly string[] | null {
  const text = hostConfig.Annotations?.[EGRESS_ALLOW_ANNOTATION];
  return text === undefined ? null : splitEgressRules(text);
}

/** What a container may have resolved: all, unless its network denies what no rule names, or it has a list of its own. */
function namesAllowed(record: ContainerRecord, { egress }: NetworkRecord): readonly EgressRule[] | null {
  const own = allowedEgress(record);
  if (own === null && egress?.default !== 'deny') return null;
  return [...(egress?.allow ?? []), ...(own ?? [])].map(parseEgressRule);
}

/** The container's names in one of its networks. */
export function namedEndpoint(
  record: ContainerRecord,
  { endpoint, attachment, network }: AttachedEndpoint,
): NamedEndpoint {
  const links = [
    ...(network.name === DEFAULT_NETWORK ? (record.hostConfig.Links ?? []) : []),
    ...(endpoint.config.Links ?? []),
  ];
  return {
    containerId: record.id,
    networkId: network.id,
    networkName: network.name,
    internal: network.internal,
    names: [...new Set([record.name, ...(endpoint.config.Aliases ?? []), record.config.Hostname])],
    links: Object.fromEntries(links.map(parseLink).map(({ alias, container }) => [alias, container])),
    ipv4: attachment.ipv4,
    ipv6: attachment.ipv6,
    dnsServers: record.hostConfig.Dns,
    egress: namesAllowed(record, network),
  };
}

export function networkView(record: ContainerRecord, endpoints: readonly AttachedEndpoint[]): NetworkView {
  const first = endpoints.find(({ network }) => network.bridgeName !== null);
  if (first === undefined) return NO_NETWORK;
  const reachable = first.network.subnets.map(({ gateway }) => gateway);
  return {
    addresses: endpoints
      .flatMap(({ attachment: { ipv4, ipv6 } }) => [ipv4, ipv6])
      .filter((address) => address !== null),
    hostAddresses: reachable,
    nameServer: reachable[0] ?? null,
    // As in Docker, where the default network has no names. Links and policies by name need the engine's server.
    asksDirectly:
      endpoints.every(({ network }) => network.name === DEFAULT_NETWORK && network.egress === null) &&
      (record.hostConfig.Links ?? []).length === 0 &&
      allowedEgress(record) === null,
    linkLines: [],
  };
}
