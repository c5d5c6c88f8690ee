/** The host's networking in memory, for containers' tests: interfaces, rules and host ports. */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerNetworking } from '../src/containers/container-networking.ts';
import { createNetworkSharers } from '../src/containers/network-sharers.ts';
import { parseAddressPool } from '../src/networks/address-pools.ts';
import type { Gateway } from '../src/networks/container-interfaces.ts';
import type { ContainerRules } from '../src/networks/firewall.ts';
import { createNameDirectory, type NameDirectory } from '../src/networks/name-server/name-directory.ts';
import type { PublishedPortRecord } from '../src/networks/network.ts';
import { createNetworkStore } from '../src/networks/network-store.ts';
import { ensurePredefinedNetworks } from '../src/networks/predefined-networks.ts';
import type { PlannedInterface } from '../src/runtime/launch-input.ts';
import type { Database } from '../src/storage/database.ts';

export interface FakeHostNetwork {
  /** Made by connecting; those of launches are in the launch's input. By the host's name. */
  readonly added: Map<string, { readonly pid: number; readonly planned: PlannedInterface }>;
  readonly removed: string[];
  /** Default routes by pid. */
  readonly gateways: Map<number, readonly Gateway[]>;
  /** By container. */
  readonly rules: Map<string, ContainerRules>;
  /** Host ports that other processes have. */
  readonly taken: Set<number>;
  /** Of the daemon that lives. */
  held: Map<string, readonly PublishedPortRecord[]>;
  directory: NameDirectory;
  /** What the next change of the rules fails with. */
  failNextRules: Error | null;
  /** Names of interfaces that somebody deleted. */
  readonly lost: Set<string>;
  /** By pid, of processes in another one's network. */
  readonly shared: Map<number, number>;
  /** What the interfaces' and rules' changes were, in their order. */
  readonly changes: string[];
}

export function createFakeHostNetwork(): FakeHostNetwork {
  return {
    added: new Map(),
    removed: [],
    gateways: new Map(),
    rules: new Map(),
    taken: new Set(),
    held: new Map(),
    directory: createNameDirectory(),
    failNextRules: null,
    lost: new Set(),
    shared: new Map(),
    changes: [],
  };
}

const FIRST_FREE_PORT = 49153;
const BRIDGE_INDEX = 7;

/** A daemon's part: what it holds goes with it. */
export function fakeNetworking(db: Database, host: FakeHostNetwork, isAlive: () => boolean): ContainerNetworking {
  const store = createNetworkStore(db);
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const addressPools = [parseAddressPool('base=172.17.0.0/16,size=16')];
  ensurePredefinedNetworks(
    { store, addressPools, hostRoutes: () => [], log, bridges: { removeAtOnce: () => undefined } },
    { bridgeName: 'tsd0', bip: null, mtu: null, ipv6: false, ip: '0.0.0.0' },
    '2026-01-01T00:00:00.000000000Z',
  );
  host.held = new Map();
  host.directory = createNameDirectory();
  const changeRules = (work: () => void) => {
    const failure = host.failNextRules;
    host.failNextRules = null;
    if (failure !== null) throw failure;
    if (isAlive()) work();
  };
  return {
    store,
    directory: host.directory,
    bridges: { index: () => BRIDGE_INDEX },
    ports: {
      reserve(id, endpoint, requests) {
        const reserved = requests.flatMap(({ hostPorts, hostIps, containerPort, protocol }) =>
          hostIps.map((hostIp) => {
            const others = [...host.held.values()].flat().map(({ hostPort }) => hostPort);
            let hostPort = hostPorts?.first ?? FIRST_FREE_PORT;
            while (hostPorts === null && others.includes(hostPort)) hostPort++;
            if (others.includes(hostPort) || host.taken.has(hostPort))
              throw new TsdError('conflict', `endpoint ${endpoint}: Bind for ${hostIp}:${hostPort} failed`);
            return { hostIp, hostPort, containerPort, protocol };
          }),
        );
        host.held.set(id, reserved);
        return reserved;
      },
      reclaim(id, ports) {
        host.held.set(id, ports);
        return ports
          .filter(({ hostPort }) => host.taken.has(hostPort))
          .map((port) => ({ port, reason: 'address already in use', isTaken: true }));
      },
      release: (id) => void host.held.delete(id),
      close: () => undefined,
    },
    firewall: {
      setContainer: async (id, rules) => changeRules(() => host.rules.set(id, rules)),
      removeContainer: async (id) =>
        changeRules(() => {
          if (host.rules.delete(id)) host.changes.push('rules removed');
        }),
      restore: async (_, rules) =>
        changeRules(() => {
          host.rules.clear();
          for (const [id, own] of rules) host.rules.set(id, own);
        }),
    },
    interfaces: {
      add: (pid, planned) => void host.added.set(planned.hostName, { pid, planned }),
      plug: (planned) => void host.changes.push(`plugged ${planned.name}`),
      remove: async (hostName) => {
        host.added.delete(hostName);
        host.removed.push(hostName);
        host.changes.push('interface removed');
      },
      setGateways: (pid, gateways) => void host.gateways.set(pid, gateways),
      find: (hostName) => (host.lost.has(hostName) ? null : { bridgeIndex: BRIDGE_INDEX }),
      networkOf: (pid) => String(host.shared.get(pid) ?? pid),
    },
    sharers: createNetworkSharers(),
    transaction: (work) => db.transaction(work)(),
  };
}
