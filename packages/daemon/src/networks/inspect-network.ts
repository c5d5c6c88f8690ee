/** GET /networks/{id}: a network as the Docker Engine API shows it. */
import type { EgressReport, EndpointResource, NetworkResource } from '@tsd/shared/api-networks';
import { type AddressFamily, type NetworkRecord, subnetOf } from './network.ts';
import type { NetworkDeps } from './network-deps.ts';

/** With the running containers in it and, where it has an egress policy, what was let through and refused. */
export async function inspectNetwork(
  deps: Pick<NetworkDeps, 'store' | 'firewall' | 'names' | 'containerName'>,
  reference: string,
): Promise<NetworkResource> {
  const network = deps.store.lookup(reference);
  const described = { ...describeNetwork(network), Containers: containersOf(deps, network) };
  const egress = await egressReport(deps, network);
  return egress === null ? described : { ...described, Egress: egress };
}

/** The running containers of a network, by id. */
export function containersOf(
  { store, containerName }: Pick<NetworkDeps, 'store' | 'containerName'>,
  network: NetworkRecord,
): Record<string, EndpointResource> {
  const containers: Record<string, EndpointResource> = {};
  for (const { containerId, attachment } of store.endpointsOf(network.id)) {
    if (attachment === null) continue;
    containers[containerId] = {
      Name: containerName(containerId) ?? '',
      EndpointID: attachment.id,
      MacAddress: attachment.mac ?? '',
      IPv4Address: withPrefixLength(network, 4, attachment.ipv4),
      IPv6Address: withPrefixLength(network, 6, attachment.ipv6),
    };
  }
  return containers;
}

/** Without its containers, as in a list. */
export function describeNetwork(network: NetworkRecord): NetworkResource {
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: network.ipv4,
    EnableIPv6: network.ipv6,
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: network.subnets.map(({ subnet, ipRange, gateway, auxiliaryAddresses }) => ({
        Subnet: subnet,
        ...(ipRange === null ? {} : { IPRange: ipRange }),
        Gateway: gateway,
        ...(Object.keys(auxiliaryAddresses).length === 0 ? {} : { AuxiliaryAddresses: { ...auxiliaryAddresses } }),
      })),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: { ...network.options },
    Labels: { ...network.labels },
  };
}

/** `172.18.0.2/16`; empty where there is no address. */
function withPrefixLength(network: NetworkRecord, family: AddressFamily, address: string | null): string {
  const subnet = subnetOf(network, family)?.subnet ?? '';
  return address === null ? '' : `${address}${subnet.slice(subnet.indexOf('/'))}`;
}

async function egressReport(
  { store, firewall, names, containerName }: Pick<NetworkDeps, 'store' | 'firewall' | 'names' | 'containerName'>,
  { id, bridgeName, egress }: NetworkRecord,
): Promise<EgressReport | null> {
  if (egress === null) return null;
  const counters = await firewall.egressCounters(id);
  const refusals = await firewall.egressRefusals();
  const container = (source: string) => {
    const endpoint = store.endpointByAddress(id, source.includes(':') ? 6 : 4, source);
    return (endpoint === undefined ? undefined : containerName(endpoint.containerId)) ?? source;
  };
  const isOurs = (refusal: { readonly bridgeName: string }) => refusal.bridgeName === bridgeName;
  const refusedPackets = refusals.listed.filter(isOurs).map(({ source, destination, protocol, port, packets }) => ({
    Container: container(source),
    Destination: destination,
    Protocol: protocol,
    Port: port,
    Packets: packets,
  }));
  const refusedNames = names.refusedNames(id);
  const listedNames = refusedNames.listed.map(({ containerId, name, queries }) => ({
    Container: containerName(containerId) ?? containerId,
    Destination: name,
    Protocol: 'dns',
    Port: null,
    Packets: queries,
  }));
  return {
    Default: egress.default,
    Allow: counters.map(({ rule, packets }) => ({ Rule: rule, Packets: packets })),
    Refused: [...refusedPackets, ...listedNames],
    Unlisted: [
      ...refusals.unlisted
        .filter(isOurs)
        .map(({ source, packets }) => ({ Container: container(source), Packets: packets })),
      ...refusedNames.unlisted.map(({ containerId, queries }) => ({
        Container: containerName(containerId) ?? containerId,
        Packets: queries,
      })),
    ],
  };
}
