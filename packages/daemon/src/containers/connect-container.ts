/** POST /networks/{id}/connect and …/disconnect: the container's side. Moby: daemon/container_operations.go. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import { TsdError } from '@tsd/shared/errors';
import { checkEndpointConfig } from '../networks/endpoint-config.ts';
import type { EndpointRecord, NetworkRecord } from '../networks/network.ts';
import { publishNetworkEvent } from '../networks/network-events.ts';
import { attachedEndpoints, type NetworkingDeps, releaseNetworks, reservePorts } from './attach-networks.ts';
import {
  bridged,
  containerRules,
  defaultGateways,
  hostInterface,
  namedEndpoint,
  networkView,
} from './attached-endpoints.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerFiles } from './container-paths.ts';
import type { AttachedEndpoint } from './default-gateways.ts';
import { checkTogether, SHARED_NETWORK } from './endpoint-request.ts';
import { joinedContainer } from './joined-container.ts';
import { isRunning } from './lifecycle.ts';
import { networkFiles, ownHostLines, readHostFile } from './network-files.ts';
import { addInterfaces, setGateways } from './restore-networks.ts';

export type ConnectDeps = NetworkingDeps & Pick<ContainerDeps, 'locks' | 'roots'>;

/**
 * Connects a container to a network: one that runs at once, another from its next start on.
 *
 * @throws TsdError `not_found`, `forbidden` when it is connected already, `bad_parameter` and `conflict` with Docker's texts
 */
export async function connectContainer(
  deps: ConnectDeps,
  reference: string,
  network: NetworkRecord,
  settings: EndpointSettings,
): Promise<void> {
  const { id } = deps.store.lookup(reference);
  await deps.locks.run(id, async () => {
    const record = changeable(deps, id);
    const config = checkEndpointConfig(network, settings);
    const others = deps.networks.store.endpointsOfContainer(id).filter(({ networkId }) => networkId !== network.id);
    checkTogether([network, ...others.flatMap(({ networkId }) => deps.networks.store.byId(networkId) ?? [])]);
    const present = deps.networks.store.endpoint(id, network.id);
    if (present?.attachment)
      throw new TsdError('forbidden', `endpoint with name ${record.name} already exists in network ${network.name}`);
    if (isRunning(record.status) && record.pid !== null) {
      await connectRunning(deps, { ...record, pid: record.pid }, network, config);
    } else {
      deps.networks.store.putEndpoint(id, network, config);
    }
    publishNetworkEvent(deps, network, 'connect', { container: id });
  });
}

/**
 * Disconnects a container, running or not.
 *
 * @param networkReference name or id; the network may be gone while a stopped container is still configured for it
 * @throws TsdError `not_found`, `conflict` when it is not connected
 */
export async function disconnectContainer(
  deps: ConnectDeps,
  reference: string,
  networkReference: string,
): Promise<void> {
  const { id } = deps.store.lookup(reference);
  await deps.locks.run(id, async () => {
    const record = changeable(deps, id);
    const endpoint = findEndpoint(deps, record, networkReference);
    const network = deps.networks.store.byId(endpoint.networkId);
    if (network?.driver === 'host') throw new TsdError('conflict', HOST_NETWORK);
    if (endpoint.attachment !== null && record.pid !== null) {
      await disconnectRunning(deps, { ...record, pid: record.pid }, endpoint);
    } else {
      deps.networks.store.dropEndpoint(id, endpoint.networkId);
    }
    if (network !== undefined) publishNetworkEvent(deps, network, 'disconnect', { container: id });
  });
}

const HOST_NETWORK = 'container cannot be disconnected from host network or connected to host network';

type RunningRecord = ContainerRecord & { readonly pid: number };

function changeable({ store }: ConnectDeps, id: string): ContainerRecord {
  const record = store.lookup(id);
  if (record.status === 'removing' || record.status === 'dead')
    throw new TsdError(
      'conflict',
      `Container ${id} is marked for removal and cannot be connected or disconnected to the network`,
    );
  if (joinedContainer(record.hostConfig.NetworkMode) !== null) throw new TsdError('conflict', SHARED_NETWORK);
  if (record.hostConfig.NetworkMode === 'host') throw new TsdError('conflict', HOST_NETWORK);
  return record;
}

function findEndpoint({ networks }: ConnectDeps, record: ContainerRecord, reference: string): EndpointRecord {
  const endpoints = networks.store.endpointsOfContainer(record.id);
  const found =
    endpoints.find(({ networkId, networkName }) => networkId === reference || networkName === reference) ??
    endpoints.find(({ networkId }) => networkId === networks.store.lookup(reference).id);
  if (found !== undefined) return found;
  const { name } = networks.store.lookup(reference);
  throw new TsdError('conflict', `container ${record.id} is not connected to the network ${name}`);
}

async function connectRunning(
  deps: ConnectDeps,
  record: RunningRecord,
  network: NetworkRecord,
  config: EndpointSettings,
): Promise<void> {
  const { networks } = deps;
  const { id, pid } = record;
  const before = attachedEndpoints(deps, id);
  const had = networks.store.endpoint(id, network.id);
  const hadPorts = networks.store.portsOf(id).length > 0;
  try {
    networks.transaction(() => {
      networks.store.putEndpoint(id, network, config);
      networks.store.attach(id, network.id);
    });
    const after = attachedEndpoints(deps, id);
    // Before the interface is made: one of a published container is made otherwise.
    if (!hadPorts) reservePorts(deps, record, after);
    addInterfaces(
      deps,
      pid,
      after,
      after.filter((one) => one.network.id === network.id),
    );
    await filterAgain(deps, record, after);
    if (!stillRuns(deps, id)) throw new TsdError('conflict', `container ${id} ended while it was connected`);
    for (const endpoint of bridged(after)) networks.directory.put(namedEndpoint(record, endpoint));
    rewriteFiles(deps, record, before, after);
  } catch (error) {
    await undoConnect(deps, record, network.id, { endpoints: before, hadPorts });
    if (had !== undefined) networks.store.putEndpoint(id, network, had.config);
    throw error;
  }
}

/** Takes back what was done of a connection; what cannot be taken back is logged, since the first error matters. */
async function undoConnect(
  deps: ConnectDeps,
  record: RunningRecord,
  networkId: string,
  before: { readonly endpoints: readonly AttachedEndpoint[]; readonly hadPorts: boolean },
): Promise<void> {
  const { networks } = deps;
  const { id } = record;
  const endpoint = networks.store.endpoint(id, networkId);
  if (endpoint === undefined) return;
  try {
    if (!before.hadPorts) networks.store.putPorts(id, []);
    await removeEndpoint(deps, record, endpoint);
    if (stillRuns(deps, id)) await filterAgain(deps, record, before.endpoints);
    if (!before.hadPorts) networks.ports.release(id);
    if (!stillRuns(deps, id)) await releaseNetworks(deps, id);
  } catch (error) {
    deps.log.error({ containerId: record.id, err: error }, 'a connection that failed could not be taken back');
  }
}

async function disconnectRunning(deps: ConnectDeps, record: RunningRecord, endpoint: EndpointRecord): Promise<void> {
  const before = attachedEndpoints(deps, record.id);
  const after = before.filter(({ network }) => network.id !== endpoint.networkId);
  // Nothing is sent to the address any more before somebody else can have it.
  if (defaultGateways(after).length === 0) {
    deps.networks.store.putPorts(record.id, []);
    deps.networks.ports.release(record.id);
  }
  await filterAgain(deps, record, after);
  await removeEndpoint(deps, record, endpoint);
  if (!stillRuns(deps, record.id)) {
    // As if it had been disconnected after its end.
    await releaseNetworks(deps, record.id);
    return;
  }
  setGateways(deps, record.pid, after);
  rewriteFiles(deps, record, before, after);
}

/**
 * An exit waits for no lock: whatever was awaited, the container may have ended meanwhile, and may have had everything taken from
 * it. What is given to it after that nobody takes back, so this is to be asked first. No other run has begun: that needs the lock.
 */
function stillRuns({ store }: ConnectDeps, id: string): boolean {
  const record = store.byId(id);
  return record !== undefined && isRunning(record.status);
}

async function removeEndpoint(
  { networks }: ConnectDeps,
  record: RunningRecord,
  { networkId, attachment }: EndpointRecord,
): Promise<void> {
  networks.directory.drop(record.id, networkId);
  if (attachment !== null) await networks.interfaces.remove(hostInterface(attachment.id));
  networks.store.dropEndpoint(record.id, networkId);
}

/** Published ports follow the way out, and the container's own egress policy its addresses. */
async function filterAgain(
  { networks }: ConnectDeps,
  record: ContainerRecord,
  endpoints: readonly AttachedEndpoint[],
): Promise<void> {
  const rules = containerRules(record, endpoints, networks.store.portsOf(record.id));
  if (rules === null) await networks.firewall.removeContainer(record.id);
  else await networks.firewall.setContainer(record.id, rules);
}

/**
 * /etc/hosts line by line, since the container may have added its own; /etc/resolv.conf only while it is as the engine wrote
 * it. In place: the files are mounted in the container.
 */
function rewriteFiles(
  { roots }: ConnectDeps,
  record: ContainerRecord,
  before: readonly AttachedEndpoint[],
  after: readonly AttachedEndpoint[],
): void {
  const files = containerFiles(roots, record.id);
  const views = { before: networkView(record, before), after: networkView(record, after) };
  const old = ownHostLines(record.config, views.before);
  const own = ownHostLines(record.config, views.after);
  const kept = readFileSync(files.hosts, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !old.includes(line));
  writeFileSync(files.hosts, `${[...kept, ...own].join('\n')}\n`);
  const resolvConf = networkFiles(record, views.before, readHostFile).resolvConf;
  if (readFileSync(files.resolvConf, 'utf8') === resolvConf)
    writeFileSync(files.resolvConf, networkFiles(record, views.after, readHostFile).resolvConf);
}
