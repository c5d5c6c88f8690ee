/** Brings containers' networks together with what is in the database, when the daemon starts. */
import type { ContainerRules } from '../networks/firewall.ts';
import { attachedEndpoints, type NetworkingDeps, plannedInterfaces } from './attach-networks.ts';
import { bridged, containerRules, defaultGateways, hostInterface, namedEndpoint } from './attached-endpoints.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import type { AttachedEndpoint } from './default-gateways.ts';
import { joinedContainer } from './joined-container.ts';

/**
 * Holds the host ports of containers that run, makes their names known, and lays the packet filter down for all of them.
 * Those that do not run have no attachments any more.
 *
 * @throws TsdError where the host refuses the rules
 */
export async function restoreNetworks(deps: NetworkingDeps): Promise<void> {
  const { networks } = deps;
  const rules = new Map<string, ContainerRules>();
  const allPorts = networks.store.allPorts();
  for (const { record, endpoints } of attachedContainers(deps)) {
    const ports = allPorts.get(record.id) ?? [];
    for (const { port, reason, isTaken } of networks.ports.reclaim(record.id, ports)) {
      const what = isTaken ? 'another process has taken a published port' : 'a published port cannot be reserved again';
      deps.log.warn({ containerId: record.id, port, reason }, what);
    }
    for (const endpoint of bridged(endpoints)) networks.directory.put(namedEndpoint(record, endpoint));
    const own = containerRules(record, endpoints, ports);
    if (own !== null) rules.set(record.id, own);
  }
  findSharers(deps);
  await networks.firewall.restore(networks.store.list(), rules);
}

/** Tells from the kernel who uses whose network: the container that was joined may have ended, and another may be in its place. */
function findSharers({ networks, store }: NetworkingDeps): void {
  const sharers = store.list().filter(({ hostConfig }) => joinedContainer(hostConfig.NetworkMode) !== null);
  if (!sharers.some(({ pid }) => pid !== null)) return;
  const networkOf = ({ pid }: ContainerRecord) => (pid === null ? null : networks.interfaces.networkOf(pid));
  const owners = new Map(attachedContainers({ networks, store }).map(({ record }) => [networkOf(record), record.id]));
  owners.delete(null);
  for (const sharer of sharers) {
    const owner = owners.get(networkOf(sharer));
    if (owner !== undefined) networks.sharers.add(sharer.id, owner);
  }
}

/**
 * Puts interfaces of running containers in order whose bridge somebody deleted, or themselves. The bridges are there again.
 *
 * @param networkId only of containers in this network
 */
export async function repairInterfaces(
  deps: NetworkingDeps & Pick<ContainerDeps, 'locks'>,
  networkId?: string,
): Promise<void> {
  const ids =
    networkId === undefined
      ? attachedContainers(deps).map(({ record }) => record.id)
      : deps.networks.store.endpointsOf(networkId).map(({ containerId }) => containerId);
  // A disconnection that is under way has deleted an interface that it still has in the database.
  await Promise.all(ids.map((id) => deps.locks.run(id, async () => repairLocked(deps, id))));
}

function repairLocked(deps: NetworkingDeps, id: string): void {
  const { interfaces } = deps.networks;
  const pid = deps.store.byId(id)?.pid ?? null;
  if (pid === null) return;
  try {
    const endpoints = attachedEndpoints(deps, id);
    const found = plannedInterfaces(deps, endpoints).map((planned) => ({
      planned,
      end: interfaces.find(planned.hostName),
    }));
    const loose = found.filter(({ planned, end }) => end !== null && end.bridgeIndex !== planned.bridgeIndex);
    const gone = found.filter(({ end }) => end === null);
    if (loose.length + gone.length === 0) return;
    deps.log.warn({ containerId: id }, 'repairing the interfaces of a running container');
    for (const { planned } of loose) interfaces.plug(planned);
    if (gone.length === 0) return;
    for (const { planned } of gone) interfaces.add(pid, planned);
    setGateways(deps, pid, endpoints);
  } catch (error) {
    deps.log.error({ containerId: id, err: error }, 'the interfaces of a container could not be repaired');
  }
}

/** Adds the interfaces of some endpoints to a running container, and sets its default routes. */
export function addInterfaces(
  deps: Pick<NetworkingDeps, 'networks'>,
  pid: number,
  endpoints: readonly AttachedEndpoint[],
  added: readonly AttachedEndpoint[],
): void {
  const names = new Set(added.map(({ attachment }) => hostInterface(attachment.id)));
  for (const planned of plannedInterfaces(deps, endpoints)) {
    if (names.has(planned.hostName)) deps.networks.interfaces.add(pid, planned);
  }
  setGateways(deps, pid, endpoints);
}

/** Default routes of a running container: those that follow from its endpoints. */
export function setGateways(
  { networks }: Pick<NetworkingDeps, 'networks'>,
  pid: number,
  endpoints: readonly AttachedEndpoint[],
): void {
  const gateways = defaultGateways(endpoints).flatMap(({ attachment, subnet }) =>
    attachment.interface === null ? [] : [{ interface: attachment.interface, address: subnet.gateway }],
  );
  networks.interfaces.setGateways(pid, gateways);
}

function attachedContainers(
  deps: Pick<NetworkingDeps, 'networks' | 'store'>,
): readonly { readonly record: ContainerRecord; readonly endpoints: readonly AttachedEndpoint[] }[] {
  return deps.store.list().flatMap((record) => {
    const endpoints = attachedEndpoints(deps, record.id);
    return endpoints.length === 0 ? [] : [{ record, endpoints }];
  });
}
