/** The networks `bridge`, `host` and `none`, which are there from the daemon's first start. */
import { isDeepStrictEqual } from 'node:util';
import { TsdError } from '@tsd/shared/errors';
import { chooseSubnet } from './address-pools.ts';
import { formatAddress, overlaps, parseCidr, prefixFrom } from './ip-address.ts';
import {
  type AddressFamily,
  DEFAULT_NETWORK,
  type NetworkDriver,
  type NetworkRecord,
  type NetworkSubnet,
  predefinedNetworkId,
  subnetOf,
} from './network.ts';
import type { NetworkDeps } from './network-deps.ts';
import { NETWORK_OPTION } from './network-options.ts';
import { subnetsOf, withGateway } from './plan-subnets.ts';

/** The daemon's settings for the default bridge. */
export interface DefaultBridgeSettings {
  readonly bridgeName: string;
  /** `--bip`: its address and, with the prefix length, its subnet; null to choose one from the pools, once. */
  readonly bip: string | null;
  readonly mtu: number | null;
  readonly ipv6: boolean;
  /** `--ip`: host address of ports that are published without one; `0.0.0.0` for all addresses. */
  readonly ip: string;
}

/**
 * Adds what is missing, and brings the default bridge into line with the settings, unless running containers are in it:
 * then it stays as it is until the first start without them, and the log says so.
 *
 * @throws TsdError `conflict` where `--bip` overlaps another network, or the pools are used up
 */
export function ensurePredefinedNetworks(
  deps: Pick<NetworkDeps, 'store' | 'addressPools' | 'hostRoutes' | 'log'> & {
    readonly bridges: Pick<NetworkDeps['bridges'], 'removeAtOnce'>;
  },
  settings: DefaultBridgeSettings,
  now: string,
): void {
  const { store } = deps;
  const previous = store.byId(predefinedNetworkId(DEFAULT_NETWORK));
  const wanted = defaultBridge(deps, settings, previous, now);
  if (previous === undefined) store.insert(wanted);
  else if (!isDeepStrictEqual(previous, wanted)) {
    if (store.endpointsOf(previous.id).some(({ attachment }) => attachment !== null)) {
      deps.log.warn(
        {},
        'the settings of the default bridge have changed: they hold once no running container is in it',
      );
    } else {
      // First: once the record has the new name, nobody knows of the old one, which has the same address.
      if (previous.bridgeName !== wanted.bridgeName) removeBridge(deps, previous);
      store.update(wanted);
    }
  }
  for (const [name, driver] of [
    ['host', 'host'],
    ['none', 'null'],
  ] as const) {
    if (store.byId(predefinedNetworkId(name)) === undefined) store.insert(withoutAddresses(name, driver, now));
  }
}

/** What an earlier daemon left that was killed, or could not take down: it keeps no daemon from starting. */
function removeBridge({ bridges, log }: Parameters<typeof ensurePredefinedNetworks>[0], network: NetworkRecord): void {
  try {
    bridges.removeAtOnce(network);
  } catch (error) {
    log.error({ err: error, bridge: network.bridgeName }, 'the former default bridge could not be removed');
  }
}

function defaultBridge(
  { store, addressPools, hostRoutes }: Pick<NetworkDeps, 'store' | 'addressPools' | 'hostRoutes'>,
  { bridgeName, bip, mtu, ipv6, ip }: DefaultBridgeSettings,
  previous: NetworkRecord | undefined,
  now: string,
): NetworkRecord {
  const others = store.list().filter(({ name }) => name !== DEFAULT_NETWORK);
  const chosen = (family: AddressFamily): NetworkSubnet =>
    (previous === undefined ? undefined : subnetOf(previous, family)) ??
    withGateway(chooseSubnet(addressPools, family, [...hostRoutes(), ...subnetsOf(others)]));
  const ipv4 = bip === null ? chosen(4) : subnetOfBip(bip, others);
  return {
    id: predefinedNetworkId(DEFAULT_NETWORK),
    name: DEFAULT_NETWORK,
    driver: 'bridge',
    createdAt: previous?.createdAt ?? now,
    internal: false,
    attachable: false,
    ipv4: true,
    ipv6,
    bridgeName,
    mtu,
    labels: {},
    options: {
      'com.docker.network.bridge.default_bridge': 'true',
      [NETWORK_OPTION.interContainer]: 'true',
      [NETWORK_OPTION.masquerade]: 'true',
      [NETWORK_OPTION.hostBindingIpv4]: ip,
      [NETWORK_OPTION.bridgeName]: bridgeName,
      [NETWORK_OPTION.mtu]: String(mtu ?? 1500),
    },
    egress: null,
    subnets: ipv6 ? [ipv4, chosen(6)] : [ipv4],
  };
}

/** The first address of the subnet need not be the bridge's. The setting was checked when it was read. */
function subnetOfBip(bip: string, others: readonly NetworkRecord[]): NetworkSubnet {
  const cidr = parseCidr(bip);
  if (cidr === null) throw new Error(`"${bip}" is no address with a prefix length`);
  const subnet = { ...withGateway(cidr.prefix), gateway: formatAddress(cidr.address) };
  const overlapping = others.find(({ subnets }) =>
    subnets.some((other) => overlaps(prefixFrom(other.subnet), cidr.prefix)),
  );
  if (overlapping === undefined) return subnet;
  throw new TsdError('conflict', `bip: ${subnet.subnet} overlaps the subnet of the network ${overlapping.name}`);
}

function withoutAddresses(name: 'host' | 'none', driver: NetworkDriver, now: string): NetworkRecord {
  return {
    id: predefinedNetworkId(name),
    name,
    driver,
    createdAt: now,
    internal: false,
    attachable: false,
    ipv4: driver === 'host',
    ipv6: false,
    bridgeName: null,
    mtu: null,
    labels: {},
    options: {},
    egress: null,
    subnets: [],
  };
}
