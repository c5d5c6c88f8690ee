/** `NetworkSettings` of inspect and list. Fields are empty, never null or missing: compose and others read them all. */
import { createHash } from 'node:crypto';
import type { ContainerSummary, NetworkSettings } from '@tsd/shared/api-containers';
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import {
  DEFAULT_NETWORK,
  type EndpointRecord,
  isPredefined,
  type NetworkRecord,
  type PublishedPortRecord,
  subnetOf,
} from '../networks/network.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { addressOf, prefixLength } from './default-gateways.ts';
import { isRunning } from './lifecycle.ts';
import { exposedPorts } from './requested-ports.ts';

const SHORT_ID_DIGITS = 12;

type SettingsDeps = Pick<ContainerDeps, 'networks'>;

/** @param options `oldAliases` adds the short id and the hostname to the aliases, which newer versions have as `DNSNames` */
export function networkSettings(
  deps: SettingsDeps,
  record: ContainerRecord,
  { oldAliases = false }: { readonly oldAliases?: boolean } = {},
): NetworkSettings {
  const networks = containerNetworks(deps, record);
  if (oldAliases) {
    const own = [record.id.slice(0, SHORT_ID_DIGITS), record.config.Hostname];
    for (const [name, endpoint] of Object.entries(networks)) {
      if (!isPredefined(name)) endpoint.Aliases = [...new Set([...(endpoint.Aliases ?? []), ...own])];
    }
  }
  const main = networks[DEFAULT_NETWORK];
  const runs = isRunning(record.status);
  return {
    Bridge: '',
    SandboxID: runs ? createHash('sha256').update(`${record.id} ${record.startedAt}`).digest('hex') : '',
    SandboxKey: runs && record.pid !== null ? `/proc/${record.pid}/ns/net` : '',
    Ports: shownPorts(deps, record),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    // What follows is the default network's, from the times when there was no other.
    EndpointID: main?.EndpointID ?? '',
    Gateway: main?.Gateway ?? '',
    GlobalIPv6Address: main?.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: main?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: main?.IPAddress ?? '',
    IPPrefixLen: main?.IPPrefixLen ?? 0,
    IPv6Gateway: main?.IPv6Gateway ?? '',
    MacAddress: main?.MacAddress ?? '',
    Networks: networks,
  };
}

/** The networks that the container is in, by name. */
export function containerNetworks(
  { networks: { store } }: SettingsDeps,
  record: ContainerRecord,
  endpoints: readonly EndpointRecord[] = store.endpointsOfContainer(record.id),
): Record<string, EndpointSettings> {
  return Object.fromEntries(
    endpoints.map((endpoint) => [
      endpoint.networkName,
      endpointSettings(record, endpoint, store.byId(endpoint.networkId)),
    ]),
  );
}

/** `Ports` of a container in a list: those that it says it has, with what they are published on. */
export function listedPorts(
  record: ContainerRecord,
  published: readonly PublishedPortRecord[],
): ContainerSummary['Ports'] {
  if (!isRunning(record.status)) return [];
  return exposedPorts(record).flatMap((key): ContainerSummary['Ports'] => {
    const [port, protocol = ''] = key.split('/');
    const shown = { PrivatePort: Number(port), Type: protocol };
    const bindings = published.filter((one) => `${one.containerPort}/${one.protocol}` === key);
    if (bindings.length === 0) return [shown];
    return bindings.map(({ hostIp, hostPort }) => ({ IP: hostIp, ...shown, PublicPort: hostPort }));
  });
}

/** null for a port that is exposed and not published; nothing at all while the container does not run, as in Docker. */
function shownPorts({ networks: { store } }: SettingsDeps, record: ContainerRecord): NetworkSettings['Ports'] {
  if (!isRunning(record.status)) return {};
  const published = Map.groupBy(
    store.portsOf(record.id),
    ({ containerPort, protocol }) => `${containerPort}/${protocol}`,
  );
  return Object.fromEntries(exposedPorts(record).map((key) => [key, published.get(key)?.map(portBinding) ?? null]));
}

function portBinding({ hostIp, hostPort }: PublishedPortRecord): { HostIp: string; HostPort: string } {
  return { HostIp: hostIp, HostPort: String(hostPort) };
}

function endpointSettings(
  record: ContainerRecord,
  { config, attachment, networkId, networkName }: EndpointRecord,
  network: NetworkRecord | undefined,
): EndpointSettings {
  const address = (family: 4 | 6) => {
    const own = attachment === null ? null : addressOf(attachment, family);
    const subnet = network === undefined || own === null ? undefined : subnetOf(network, family);
    return {
      own: own ?? '',
      // An internal network has no way out, so none is shown (moby, Join of its bridge driver).
      gateway: network?.internal ? '' : (subnet?.gateway ?? ''),
      bits: subnet === undefined ? 0 : prefixLength(subnet.subnet),
    };
  };
  const ipv4 = address(4);
  const ipv6 = address(6);
  return {
    IPAMConfig: config.IPAMConfig ?? null,
    Links: config.Links ?? null,
    Aliases: config.Aliases ?? null,
    MacAddress: attachment?.mac ?? config.MacAddress ?? '',
    DriverOpts: config.DriverOpts ?? null,
    GwPriority: config.GwPriority ?? 0,
    NetworkID: networkId,
    EndpointID: attachment?.id ?? '',
    Gateway: ipv4.gateway,
    IPAddress: ipv4.own,
    IPPrefixLen: ipv4.bits,
    IPv6Gateway: ipv6.gateway,
    GlobalIPv6Address: ipv6.own,
    GlobalIPv6PrefixLen: ipv6.bits,
    DNSNames: isPredefined(networkName)
      ? null
      : [
          ...new Set([
            record.name,
            ...(config.Aliases ?? []),
            record.id.slice(0, SHORT_ID_DIGITS),
            record.config.Hostname,
          ]),
        ],
  };
}
