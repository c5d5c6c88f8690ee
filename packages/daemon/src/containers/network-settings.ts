/** `NetworkSettings` of inspect and list. Fields are empty, never null or missing: compose and others read them all. */
import { createHash } from 'node:crypto';
import type { NetworkSettings } from '@tsd/shared/api-containers';
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import type { ContainerRecord } from './container.ts';
import { isRunning } from './lifecycle.ts';

/** A stable id for each of Docker's predefined networks: an id that equals the name makes compose re-create containers. */
const NETWORK_IDS = new Map(
  ['bridge', 'host', 'none'].map((name) => [name, createHash('sha256').update(`tsd network ${name}`).digest('hex')]),
);

export function networkSettings(record: ContainerRecord): NetworkSettings {
  return {
    Bridge: '',
    SandboxID: '',
    SandboxKey: '',
    Ports: {},
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: '',
    Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    IPAddress: '',
    IPPrefixLen: 0,
    IPv6Gateway: '',
    MacAddress: '',
    Networks: containerNetworks(record),
  };
}

/** The networks that the container is in, by name. */
export function containerNetworks(record: ContainerRecord): Record<string, EndpointSettings> {
  const name = record.hostConfig.NetworkMode;
  const endpoint: EndpointSettings = {
    IPAMConfig: null,
    Links: null,
    Aliases: null,
    MacAddress: '',
    DriverOpts: null,
    GwPriority: 0,
    NetworkID: NETWORK_IDS.get(name) ?? '',
    EndpointID: isRunning(record.status) ? endpointId(record.id, name) : '',
    Gateway: '',
    IPAddress: '',
    IPPrefixLen: 0,
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
  return { [name]: endpoint };
}

function endpointId(containerId: string, network: string): string {
  return createHash('sha256').update(`${containerId} ${network}`).digest('hex');
}
