/**
 * Which networks a new container joins, and what it asks of each (moby daemon/container_operations.go, runconfig). Pure but
 * for looking networks up.
 */
import type { ContainerCreateBody } from '@tsd/shared/api-containers';
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import { TsdError } from '@tsd/shared/errors';
import { checkEndpointConfig } from '../networks/endpoint-config.ts';
import { DEFAULT_NETWORK, type NetworkRecord } from '../networks/network.ts';
import type { NetworkStore } from '../networks/network-store.ts';
import type { HostConfig } from './container.ts';
import { joinedContainer } from './joined-container.ts';

export interface RequestedEndpoint {
  readonly network: NetworkRecord;
  readonly config: EndpointSettings;
}

/**
 * The endpoints in their order, the network mode's first; none where another container's network is shared.
 *
 * @throws TsdError `bad_parameter` and `conflict` with Docker's texts
 */
export function requestedEndpoints(
  body: Pick<ContainerCreateBody, 'MacAddress' | 'NetworkingConfig'>,
  hostConfig: Pick<HostConfig, 'NetworkMode'>,
  networks: Pick<NetworkStore, 'lookup' | 'byName'>,
): readonly RequestedEndpoint[] {
  const wanted = Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {});
  const mode = hostConfig.NetworkMode;
  if (joinedContainer(mode) !== null) {
    // Docker's client names the mode among the networks too.
    if (wanted.some(([name]) => name !== mode)) throw new TsdError('bad_parameter', SHARED_NETWORK);
    return [];
  }
  const primary = lookup(networks, mode);
  const configs = new Map<NetworkRecord, EndpointSettings>([[primary, {}]]);
  for (const [name, settings] of wanted) configs.set(lookup(networks, name), settings ?? {});
  checkTogether([...configs.keys()]);
  if (body.MacAddress) withOldMac(configs, primary, body.MacAddress);
  return [...configs].map(([network, config]) => ({ network, config: checkEndpointConfig(network, config) }));
}

export const SHARED_NETWORK =
  'container sharing network namespace with another container or host cannot be connected to any other network';

/** @throws TsdError `bad_parameter` where the networks cannot be joined together (moby runconfig/errors.go) */
export function checkTogether(networks: readonly Pick<NetworkRecord, 'driver'>[]): void {
  if (networks.length < 2) return;
  if (networks.some(({ driver }) => driver === 'host')) throw new TsdError('bad_parameter', SHARED_NETWORK);
  if (networks.some(({ driver }) => driver === 'null'))
    throw new TsdError(
      'bad_parameter',
      'container cannot be connected to multiple networks with one of the networks in private (none) mode',
    );
}

/**
 * Docker's three names of the default network are one. Not `not_found`: Docker's client takes that for the image's, and pulls.
 */
function lookup(networks: Pick<NetworkStore, 'lookup' | 'byName'>, name: string): NetworkRecord {
  const predefined = networks.byName(name === 'default' || name === '' ? DEFAULT_NETWORK : name);
  if (predefined !== undefined) return predefined;
  try {
    return networks.lookup(name);
  } catch (error) {
    if (error instanceof TsdError && error.code === 'not_found')
      throw new TsdError('bad_parameter', error.message, { cause: error });
    throw error;
  }
}

/** `MacAddress` beside the networks: how API versions before 1.44 ask for it. */
function withOldMac(configs: Map<NetworkRecord, EndpointSettings>, primary: NetworkRecord, mac: string): void {
  const config = configs.get(primary);
  if (config?.MacAddress && config.MacAddress !== mac)
    throw new TsdError(
      'bad_parameter',
      'the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty',
    );
  configs.set(primary, { ...config, MacAddress: mac });
}
