/** A container's networks while it runs: given at its start, taken at its end. */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerRules } from '../networks/firewall.ts';
import type { EndpointRecord } from '../networks/network.ts';
import { publishNetworkEvent } from '../networks/network-events.ts';
import type { PlannedInterface } from '../runtime/launch-input.ts';
import {
  bridged,
  containerRules,
  defaultGateways,
  defaultHostIps,
  hostInterface,
  namedEndpoint,
  networkView,
  plannedInterface,
} from './attached-endpoints.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { resolveLinks } from './container-links.ts';
import type { AttachedEndpoint } from './default-gateways.ts';
import { joinedContainer, livingProcess } from './joined-container.ts';
import { type NetworkView, NO_NETWORK } from './network-files.ts';
import { requestedPorts } from './requested-ports.ts';

export type NetworkingDeps = Pick<ContainerDeps, 'events' | 'log' | 'networks' | 'store'>;

export interface JoinedNetwork {
  /** Of the container that was named, which runs. */
  readonly pid: number;
  /** Whose network it is: that container, or the one whose network it shares itself. Its names and files go with it. */
  readonly owner: ContainerRecord;
}

/** What a launch is given of the container's networks. */
export interface LaunchNetworks {
  readonly interfaces: readonly PlannedInterface[];
  /** Whose network is shared; null for nobody's. */
  readonly joined: JoinedNetwork | null;
  readonly view: NetworkView;
  /** Variables of its links. */
  readonly environment: readonly string[];
  /** What the packet filter has to be told; null for nothing. */
  readonly rules: ContainerRules | null;
}

/**
 * Takes addresses and host ports for a container that is to start, and makes its names known. `releaseNetworks` takes it all
 * back, whether this succeeded or not.
 *
 * @throws TsdError `conflict` for an address or port in use and for a container that does not run but should, `not_found` for
 *   a network that is gone, `unavailable` where the host cannot have bridges
 */
export function attachNetworks(deps: NetworkingDeps, record: ContainerRecord): LaunchNetworks {
  const joined = joinedContainer(record.hostConfig.NetworkMode);
  if (joined !== null) {
    const target = runningTarget(deps, record, joined);
    // Before the launch: the target may end meanwhile.
    deps.networks.sharers.add(record.id, target.id);
    const shared = { pid: target.pid, owner: ownerOfNetwork(deps, target) };
    return { interfaces: [], joined: shared, view: NO_NETWORK, environment: [], rules: null };
  }
  const links = resolveLinks(deps, record);
  const { endpoints, ports } = deps.networks.transaction(() => {
    const attached = deps.networks.store
      .endpointsOfContainer(record.id)
      .map((endpoint) => withNetwork(deps, deps.networks.store.attach(record.id, endpoint.networkId)));
    return { endpoints: attached, ports: reservePorts(deps, record, attached) };
  });
  for (const endpoint of bridged(endpoints)) deps.networks.directory.put(namedEndpoint(record, endpoint));
  for (const { network } of endpoints) publishNetworkEvent(deps, network, 'connect', { container: record.id });
  return {
    interfaces: plannedInterfaces(deps, endpoints),
    joined: null,
    view: { ...networkView(record, endpoints), linkLines: links.hostLines },
    environment: links.environment,
    rules: containerRules(record, endpoints, ports),
  };
}

/**
 * Gives everything back that `attachNetworks` took, of a container that has ended. Repeatable. Resolves when the packet filter
 * has forgotten the container. Addresses and ports are free when it returns, as a rule: the kernel reaps the interfaces with
 * the namespace. Where others may live on in that, the interfaces are deleted first, then rules and addresses are given up.
 */
export async function releaseNetworks(
  { events, networks, store }: Pick<NetworkingDeps, 'events' | 'networks' | 'store'>,
  id: string,
): Promise<void> {
  networks.sharers.remove(id);
  networks.directory.drop(id);
  // Without a pid namespace of its own, other processes of the container may outlive the first one.
  if (networks.sharers.isShared(id) || (store.byId(id)?.hostConfig.PidMode ?? '') !== '') {
    await removeInterfaces({ networks }, id);
    await networks.firewall.removeContainer(id);
    networks.sharers.forget(id);
  }
  const released = networks.transaction(() => {
    networks.store.putPorts(id, []);
    return networks.store.release(id);
  });
  for (const network of released) publishNetworkEvent({ events }, network, 'disconnect', { container: id });
  networks.ports.release(id);
  await networks.firewall.removeContainer(id);
}

/** Deletes the host's ends, and with them those in the container's namespace, whoever is still in there. */
export async function removeInterfaces({ networks }: Pick<NetworkingDeps, 'networks'>, id: string): Promise<void> {
  const names = bridged(attachedEndpoints({ networks }, id)).map(({ attachment }) => hostInterface(attachment.id));
  await Promise.all(names.filter((name) => networks.interfaces.find(name) !== null).map(networks.interfaces.remove));
}

/** The endpoints of a container that runs, as they are now. */
export function attachedEndpoints(deps: Pick<NetworkingDeps, 'networks'>, id: string): readonly AttachedEndpoint[] {
  return deps.networks.store.endpointsOfContainer(id).flatMap((endpoint) => {
    const network = deps.networks.store.byId(endpoint.networkId);
    return endpoint.attachment === null || network === undefined
      ? []
      : [{ endpoint, attachment: endpoint.attachment, network }];
  });
}

/** The interfaces of a launch, with the bridges that they are to be ports of. */
export function plannedInterfaces(
  { networks }: Pick<NetworkingDeps, 'networks'>,
  endpoints: readonly AttachedEndpoint[],
): readonly PlannedInterface[] {
  const gateways = defaultGateways(endpoints);
  return bridged(endpoints).map((endpoint) =>
    plannedInterface(
      endpoint,
      gateways,
      networks.bridges.index(endpoint.network),
      networks.store.portsOf(endpoint.endpoint.containerId).length > 0,
    ),
  );
}

function withNetwork({ networks }: Pick<NetworkingDeps, 'networks'>, endpoint: EndpointRecord): AttachedEndpoint {
  const network = networks.store.byId(endpoint.networkId);
  const { attachment } = endpoint;
  if (network === undefined || attachment === null) throw new Error('an endpoint was attached and is not');
  return { endpoint, attachment, network };
}

/** Takes the host ports that the container is published on, and keeps them in the database. */
export function reservePorts(
  { networks }: Pick<NetworkingDeps, 'networks'>,
  record: ContainerRecord,
  endpoints: readonly AttachedEndpoint[],
): ReturnType<typeof networks.ports.reserve> {
  const gateways = defaultGateways(endpoints);
  const requests = requestedPorts(
    record,
    gateways.map(({ subnet }) => subnet.family),
    defaultHostIps(gateways),
  );
  if (requests.length === 0) return [];
  const ports = networks.ports.reserve(record.id, `${record.name} (${gateways[0]?.attachment.id})`, requests);
  networks.store.putPorts(record.id, ports);
  return ports;
}

/** moby daemon/container_operations.go, getNetworkedContainer. */
function runningTarget(
  { store }: NetworkingDeps,
  record: ContainerRecord,
  reference: string,
): ContainerRecord & { pid: number } {
  const target = store.lookup(reference);
  if (target.id === record.id) throw new TsdError('bad_parameter', 'cannot join own network');
  if (target.status === 'restarting')
    throw new TsdError('conflict', `container ${target.id} is restarting, wait until the container is running`);
  const pid = livingProcess(target);
  if (pid === null) throw new TsdError('conflict', `cannot join network of a non running container: ${target.id}`);
  return { ...target, pid };
}

/** @throws TsdError `conflict` where it has been removed: the files that go with the network are gone */
function ownerOfNetwork({ store }: NetworkingDeps, target: ContainerRecord): ContainerRecord {
  let owner = target;
  for (;;) {
    const next = joinedContainer(owner.hostConfig.NetworkMode);
    if (next === null) return owner;
    const found = store.byId(next);
    if (found === undefined)
      throw new TsdError(
        'conflict',
        `cannot join network of container ${target.id}: it shares the network of a container that is removed: ${next}`,
      );
    owner = found;
  }
}
