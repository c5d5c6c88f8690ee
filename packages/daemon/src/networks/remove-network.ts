/** DELETE /networks/{id} and POST /networks/prune. */
import type { NetworkPruneResponse } from '@tsd/shared/api-networks';
import { TsdError } from '@tsd/shared/errors';
import { type Filters, matchesLabels } from '@tsd/shared/filters';
import { isPredefined, type NetworkRecord } from './network.ts';
import type { NetworkDeps } from './network-deps.ts';
import { publishNetworkEvent } from './network-events.ts';
import { tearDownNetwork } from './set-up-network.ts';

export type RemoveNetworkDeps = Pick<
  NetworkDeps,
  'store' | 'bridges' | 'firewall' | 'names' | 'containerName' | 'events' | 'log'
>;

/**
 * Removes the network. Stopped containers that are configured for it stay, and no longer start.
 *
 * @throws TsdError `not_found`, `forbidden` for a predefined one and where running containers are in it (Docker's texts)
 */
export async function removeNetwork(deps: RemoveNetworkDeps, reference: string): Promise<void> {
  const network = deps.store.lookup(reference);
  if (isPredefined(network.name))
    throw new TsdError('forbidden', `${network.name} is a pre-defined network and cannot be removed`);
  const active = deps.store.endpointsOf(network.id).filter(({ attachment }) => attachment !== null);
  if (active.length > 0) {
    const list = active.map(
      ({ containerId }) => `name:"${deps.containerName(containerId) ?? ''}" id:"${containerId.slice(0, 12)}"`,
    );
    throw new TsdError(
      'forbidden',
      `error while removing network: network ${network.name} has active endpoints (${list.join(', ')})`,
    );
  }
  // Nobody can join any more, and boot goes on from here.
  deps.store.markRemoving(network.id);
  await finishRemoval(deps, network);
  publishNetworkEvent(deps, network, 'destroy');
}

/** The rest of a removal, also of one that an earlier daemon began. */
export async function finishRemoval(
  deps: Omit<RemoveNetworkDeps, 'containerName' | 'events'>,
  network: NetworkRecord,
): Promise<void> {
  await tearDownNetwork(deps, network);
  deps.store.remove(network.id);
}

/**
 * Removes the networks that no running container is in, but for the predefined ones.
 *
 * @param until only those created before this time (RFC 3339, nine decimals); null for all
 */
export async function pruneNetworks(
  deps: RemoveNetworkDeps,
  filters: Filters,
  until: string | null,
): Promise<NetworkPruneResponse> {
  const removed: string[] = [];
  for (const network of deps.store.list()) {
    if (isPredefined(network.name) || !matchesLabels(filters, network.labels)) continue;
    if (until !== null && network.createdAt >= until) continue;
    if (deps.store.endpointsOf(network.id).some(({ attachment }) => attachment !== null)) continue;
    try {
      await removeNetwork(deps, network.id);
      removed.push(network.name);
    } catch (error) {
      deps.log.warn({ err: error, network: network.name }, 'a network could not be pruned');
    }
  }
  deps.events.publish({ type: 'network', action: 'prune', id: '', attributes: { reclaimed: '0' } });
  return { NetworksDeleted: removed.length === 0 ? null : removed };
}
