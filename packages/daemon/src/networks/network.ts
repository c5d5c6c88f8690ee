/** Records of networks and of containers' endpoints in them: what the database holds (storage/migrations/0003-networks.sql). */
import { createHash } from 'node:crypto';
import type { EndpointSettings } from '@tsd/shared/api-networking-config';

export type NetworkDriver = 'bridge' | 'host' | 'null';
export type AddressFamily = 4 | 6;

export interface NetworkSubnet {
  readonly family: AddressFamily;
  /** CIDR, `172.18.0.0/16`; addresses everywhere in their canonical text. */
  readonly subnet: string;
  /** The bridge's own address, without a prefix length. */
  readonly gateway: string;
  /** CIDR within the subnet that addresses are chosen from; null for all of it. */
  readonly ipRange: string | null;
  /** Addresses that users keep for themselves, by name. */
  readonly auxiliaryAddresses: Readonly<Record<string, string>>;
}

/** What containers of a network may reach outside of it. */
export interface EgressPolicy {
  readonly default: 'allow' | 'deny';
  /** `CIDR|NAME[:port]`, as the user wrote them. */
  readonly allow: readonly string[];
}

export interface NetworkRecord {
  /** 64 lower-case hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkDriver;
  /** RFC 3339, UTC, nine decimals. */
  readonly createdAt: string;
  /** Nothing of it goes out, and nothing comes in. */
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** The host's interface; set exactly for the driver `bridge`. */
  readonly bridgeName: string | null;
  /** Bytes; null for the default. */
  readonly mtu: number | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Driver options (`com.docker.network.…`), as the user gave them. */
  readonly options: Readonly<Record<string, string>>;
  readonly egress: EgressPolicy | null;
  /** At most one of each family. */
  readonly subnets: readonly NetworkSubnet[];
}

/** What an endpoint has from its container's start, or from connecting a running one, until the exit. */
export interface Attachment {
  /** `EndpointID`: 64 hexadecimal digits, new at each start. The host's interface is named after it. */
  readonly id: string;
  /** `02:42:ac:11:00:02`; null in the networks `host` and `none`, as are the addresses. */
  readonly mac: string | null;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  /** Inside the container: eth0, eth1, …; null in the networks `host` and `none`. */
  readonly interface: string | null;
}

export interface EndpointRecord {
  readonly containerId: string;
  readonly networkId: string;
  /** Kept here too: a network can be removed while stopped containers are configured for it. */
  readonly networkName: string;
  /** Order in which the container was connected, from 0. */
  readonly position: number;
  /** What was asked for; addresses in it are canonical. */
  readonly config: EndpointSettings;
  /** null while the container does not run. */
  readonly attachment: Attachment | null;
}

/** A container port that is reachable through the host, while the container runs. */
export interface PublishedPortRecord {
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** `0.0.0.0` and `::` for all addresses. */
  readonly hostIp: string;
  readonly hostPort: number;
}

export const DEFAULT_NETWORK = 'bridge';
const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** Whether the network is one of those that exist always and that nobody removes. */
export function isPredefined(name: string): boolean {
  return PREDEFINED.has(name);
}

/** A stable id for each predefined network: compose re-creates containers when a network's id changes. */
export function predefinedNetworkId(name: 'bridge' | 'host' | 'none'): string {
  return createHash('sha256').update(`tsd network ${name}`).digest('hex');
}

/** The network's subnet of a family; undefined where it has none. */
export function subnetOf(network: NetworkRecord, family: AddressFamily): NetworkSubnet | undefined {
  return network.subnets.find((subnet) => subnet.family === family);
}
