/** Puts the parts of networking together: for the composition root alone. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import type { Config } from './config.ts';
import type { ContainerNetworking } from './containers/container-networking.ts';
import type { Log } from './containers/log.ts';
import { createNetworkSharers } from './containers/network-sharers.ts';
import { timestampNow } from './containers/timestamp.ts';
import type { EventPublisher } from './events/engine-events.ts';
import { type AddressPool, defaultAddressPools, parseAddressPool } from './networks/address-pools.ts';
import { createBridges, type HostBridges } from './networks/bridge.ts';
import { createContainerInterfaces } from './networks/container-interfaces.ts';
import { createPortReservations } from './networks/create-port-reservations.ts';
import { createFirewall } from './networks/firewall/create-firewall.ts';
import type { Firewall } from './networks/firewall.ts';
import { createForwardingGuard, type ForwardingGuard } from './networks/forwarding-guard.ts';
import { hostRoutes } from './networks/host-routes.ts';
import { createNameServer } from './networks/name-server/create-name-server.ts';
import { createNameDirectory } from './networks/name-server/name-directory.ts';
import type { NetworkRecord } from './networks/network.ts';
import type { NetworkDeps } from './networks/network-deps.ts';
import { createNetworkStore } from './networks/network-store.ts';
import { createNetworkSysctls } from './networks/network-sysctls.ts';
import { ensurePredefinedNetworks } from './networks/predefined-networks.ts';
import { reconcileNetworks } from './networks/reconcile-networks.ts';
import { type BridgeWatch, watchBridges } from './networks/watch-bridges.ts';
import { type RefusalWatch, watchRefusals } from './networks/watch-refusals.ts';
import { openNetlink } from './os/netlink.ts';
import { decodeLink, encodeListLinks } from './runtime/netlink/links.ts';
import { encodeListRoutes } from './runtime/netlink/routes.ts';
import type { Database } from './storage/database.ts';

export interface Networking {
  /** For the verbs of networks. */
  readonly deps: NetworkDeps;
  /** For the verbs of containers. */
  readonly containers: ContainerNetworking;
  /** Makes bridges and answers names, once the packet filter is laid down. */
  bringUp(): Promise<void>;
  /** Ends the daemon's part. With no container on a bridge nothing needs them any more: the host is left as it was. */
  close(): Promise<void>;
}

interface NetworkingParts {
  readonly config: Config;
  readonly log: Log;
  readonly db: Database;
  readonly containerName: NetworkDeps['containerName'];
  readonly events: EventPublisher;
  /** Connects the containers that run in a network to its bridge, which was made again. */
  readonly reattach: (networkId: string) => Promise<void>;
}

/** A host that cannot have networks gets a daemon whose containers have the host's network, or none. */
export function createNetworking({ config, log, db, containerName, events, reattach }: NetworkingParts): Networking {
  const store = createNetworkStore(db);
  const ports = createPortReservations();
  const directory = createNameDirectory();
  const netlink = openNetlink();
  const sysctls = createNetworkSysctls();
  const forwarding = createForwardingGuard(
    {
      sysctls,
      hasBridges: () => netlink.request(encodeListLinks()).some(({ body }) => decodeLink(body).kind === 'bridge'),
      file: join(config.execRoot, 'forwarding'),
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      isOff: config.ipForwardNoDrop,
      log,
    },
    (families) => firewall.guardForwarding(families),
  );
  const firewall = guardFirewall(
    createFirewall({
      table: tableName(config),
      publishThroughInput: config.publishThroughInput,
      guarded: forwarding.families(),
      log,
    }),
    log,
  );
  const reattaching = new Set<Promise<void>>();
  const remade = (network: NetworkRecord): void => {
    const work: Promise<void> = reattach(network.id)
      .catch((error: unknown) =>
        log.error({ err: error, network: network.name }, 'containers are not on the bridge that was made again'),
      )
      .finally(() => reattaching.delete(work));
    reattaching.add(work);
  };
  const bridges = guardBridges(createBridges({ netlink, sysctls, log, remade }), firewall.problem);
  const names = createNameServer({ directory, learn: (answer) => firewall.learn(answer), log });
  const deps: NetworkDeps = {
    store,
    bridges,
    firewall,
    forwarding,
    names,
    addressPools: addressPools(config),
    hostRoutes: () => hostRoutes(netlink.request(encodeListRoutes())),
    containerName,
    events,
    log,
  };
  ensurePredefinedNetworks(deps, config, timestampNow());
  let refusals: RefusalWatch | undefined;
  let bridgeWatch: BridgeWatch | undefined;
  return {
    deps,
    containers: {
      store,
      ports,
      directory,
      bridges,
      firewall,
      interfaces: createContainerInterfaces({ netlink, sysctls }),
      sharers: createNetworkSharers(),
      transaction: (work) => db.transaction(work)(),
    },
    async bringUp() {
      if (firewall.problem() !== null) return;
      await reconcileNetworks(deps);
      firewall.watch();
      refusals = watchRefusals({ ...deps, firewall });
      bridgeWatch = watchBridges({ store, bridges, log });
    },
    async close() {
      bridgeWatch?.close();
      await Promise.all(reattaching);
      await refusals?.close();
      await names.close();
      const bridged = store.list().filter(({ bridgeName }) => bridgeName !== null);
      const inUse = bridged.some(({ id }) => store.endpointsOf(id).some(({ attachment }) => attachment !== null));
      if (inUse || firewall.problem() !== null) await firewall.close();
      else await removeAll({ bridges, firewall, forwarding, log }, bridged);
      ports.close();
      netlink.close();
    },
  };
}

interface NetworkingOnHost {
  readonly bridges: HostBridges;
  readonly firewall: Firewall;
  readonly forwarding: ForwardingGuard;
  readonly log: Log;
}

async function removeAll(
  { bridges, firewall, forwarding, log }: NetworkingOnHost,
  networks: readonly Parameters<HostBridges['remove']>[0][],
): Promise<void> {
  const settle = async (...removals: readonly Promise<void>[]): Promise<void> => {
    for (const removal of await Promise.allSettled(removals)) {
      if (removal.status === 'rejected') log.error({ err: removal.reason }, 'the networks could not be taken down');
    }
  };
  await settle(...networks.map((network) => bridges.remove(network)));
  await settle(forwarding.release());
  await settle(firewall.close().then(() => firewall.cleanUp()));
}

interface GuardedFirewall extends Firewall {
  /** Why there are no rules; null where there are. */
  problem(): string | null;
}

/** Without its rules no bridge may carry anything: what does not lay them down at the start keeps networks from being used. */
function guardFirewall(firewall: Firewall, log: Log): GuardedFirewall {
  let problem: string | null = null;
  return {
    ...firewall,
    problem: () => problem,
    async restore(networks, containers) {
      try {
        await firewall.restore(networks, containers);
      } catch (error) {
        problem = problemText(error);
        log.warn({ err: error }, `containers have no networks but host and none: ${problem}`);
      }
    },
    setNetwork: async (network) => {
      if (problem !== null) throw unavailable(problem);
      await firewall.setNetwork(network);
    },
    removeNetwork: async (id) => {
      if (problem === null) await firewall.removeNetwork(id);
    },
    removeContainer: async (id) => {
      if (problem === null) await firewall.removeContainer(id);
    },
  };
}

function problemText(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/EPERM|Operation not permitted/.test(text))
    return `the daemon may not change the packet filter (${text}): it needs CAP_NET_ADMIN`;
  return text;
}

function guardBridges(bridges: HostBridges, problem: () => string | null): HostBridges {
  const check = (): void => {
    const reason = problem();
    if (reason !== null) throw unavailable(reason);
  };
  return {
    ...bridges,
    ensure(network) {
      check();
      bridges.ensure(network);
    },
    index(network) {
      check();
      return bridges.index(network);
    },
  };
}

function unavailable(problem: string): TsdError {
  return new TsdError(
    'unavailable',
    `this host cannot have container networks: ${problem}; --network host and --network none work`,
  );
}

/** Those of the settings; a family that they leave out has the default ones. */
function addressPools({ defaultAddressPools: given, dataRoot }: Config): readonly AddressPool[] {
  const pools = given.map(parseAddressPool);
  const families = new Set(pools.map(({ base }) => base.family));
  return [...pools, ...defaultAddressPools(dataRoot).filter(({ base }) => !families.has(base.family))];
}

/** Each data root has a table of its own. */
function tableName({ dataRoot }: Config): string {
  if (dataRoot === '/var/lib/tsd') return 'tsd';
  return `tsd_${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`;
}
