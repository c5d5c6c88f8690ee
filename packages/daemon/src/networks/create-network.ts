/** POST /networks/create. */
import { randomBytes } from 'node:crypto';
import type { NetworkCreateBody, NetworkCreateResponse } from '@tsd/shared/api-networks';
import { TsdError } from '@tsd/shared/errors';
import { type AddressFamily, isPredefined, type NetworkRecord } from './network.ts';
import type { NetworkDeps } from './network-deps.ts';
import { publishNetworkEvent } from './network-events.ts';
import { parseNetworkOptions } from './network-options.ts';
import { planSubnets } from './plan-subnets.ts';
import { setUpNetwork, tearDownNetwork } from './set-up-network.ts';

export type CreateNetworkDeps = Pick<
  NetworkDeps,
  'store' | 'bridges' | 'firewall' | 'forwarding' | 'names' | 'addressPools' | 'hostRoutes' | 'events' | 'log'
>;

/** As for containers, and short enough for a DNS label. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/**
 * Makes a network that works when this returns. Its row is written first, so that a daemon that is killed meanwhile leaves
 * something that the next one finishes.
 *
 * @param now RFC 3339, nine decimals
 * @throws TsdError `bad_parameter`, `conflict` for a name in use, `forbidden` for a predefined one or an overlap, `not_found`
 *   for a driver that nobody knows, `not_implemented` for what tsd does not have
 */
export async function createNetwork(
  deps: CreateNetworkDeps,
  body: NetworkCreateBody,
  now: string,
): Promise<NetworkCreateResponse> {
  checkName(body.Name);
  checkDriver(body.Driver || 'bridge');
  checkUnsupported(body);
  if (deps.store.byName(body.Name) !== undefined)
    throw new TsdError('conflict', `network with name ${body.Name} already exists`);
  const { network, warnings } = planNetwork(deps, body, now);
  deps.store.insert(network);
  try {
    await setUpNetwork(deps, network);
    // Its name was there to be removed from the first moment on.
    if (deps.store.byId(network.id) === undefined)
      throw new TsdError('conflict', `network ${network.name} was removed while it was created`);
  } catch (error) {
    deps.store.markRemoving(network.id);
    await tearDownNetwork(deps, network).then(
      () => deps.store.remove(network.id),
      (cause: unknown) =>
        deps.log.error({ err: cause, network: network.name }, 'a network that failed is removed later'),
    );
    throw error;
  }
  publishNetworkEvent(deps, network, 'create');
  return { Id: network.id, Warning: warnings.join('\n') };
}

function planNetwork(
  { store, addressPools, hostRoutes }: CreateNetworkDeps,
  body: NetworkCreateBody,
  now: string,
): { network: NetworkRecord; warnings: readonly string[] } {
  const id = randomBytes(32).toString('hex');
  const options = body.Options ?? {};
  const { bridgeName, mtu, egress } = parseNetworkOptions(options);
  const owner = store.list().find((network) => network.bridgeName !== null && network.bridgeName === bridgeName);
  if (owner !== undefined)
    throw new TsdError(
      'forbidden',
      `conflicts with network ${owner.name}: networks have same bridge name ${bridgeName}`,
    );
  const families: AddressFamily[] = [];
  if (body.EnableIPv4 ?? true) families.push(4);
  if (body.EnableIPv6 ?? false) families.push(6);
  if (families.length === 0) throw new TsdError('bad_parameter', 'IPv4 or IPv6 must be enabled');
  const { subnets, warnings } = planSubnets(
    { families, configs: body.IPAM?.Config ?? [] },
    { networks: [...store.list(), ...store.removing()], hostRoutes: hostRoutes(), addressPools },
  );
  const network: NetworkRecord = {
    id,
    name: body.Name,
    driver: 'bridge',
    createdAt: now,
    internal: body.Internal ?? false,
    attachable: body.Attachable ?? false,
    ipv4: families.includes(4),
    ipv6: families.includes(6),
    bridgeName: bridgeName ?? derivedBridgeName(id),
    mtu,
    labels: body.Labels ?? {},
    options,
    egress,
    subnets,
  };
  return { network, warnings };
}

/** 15 bytes, the longest that the kernel takes. */
function derivedBridgeName(id: string): string {
  return `tsd-${id.slice(0, 11)}`;
}

function checkName(name: string): void {
  if (isPredefined(name) || name === 'default')
    throw new TsdError('forbidden', `operation is not permitted on predefined ${name} network`);
  if (!NAME.test(name))
    throw new TsdError(
      'bad_parameter',
      `invalid network name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 128 of them at most`,
    );
}

function checkDriver(driver: string): void {
  if (driver === 'bridge') return;
  if (driver === 'host' || driver === 'null')
    throw new TsdError('forbidden', `only one instance of "${driver}" network is allowed`);
  if (['macvlan', 'ipvlan', 'overlay'].includes(driver))
    throw new TsdError('not_implemented', `the network driver ${driver} is not supported by tsd: use bridge`);
  throw new TsdError('not_found', `could not find plugin ${driver} in v1 plugin registry: plugin not found`);
}

function checkUnsupported(body: NetworkCreateBody): void {
  if (body.Ingress || body.ConfigOnly || body.ConfigFrom?.Network || (body.Scope && body.Scope !== 'local'))
    throw new TsdError(
      'not_implemented',
      'Ingress, ConfigOnly, ConfigFrom and other scopes than local belong to Swarm: tsd does not have them',
    );
  const driver = body.IPAM?.Driver || 'default';
  if (driver !== 'default')
    throw new TsdError('not_found', `could not resolve IPAM driver ${driver}: tsd has "default"`);
}
