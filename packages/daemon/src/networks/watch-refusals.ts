/** Publishes and logs what egress policies refuse, soon after it happens. */
import type { Firewall } from './firewall.ts';
import type { NetworkDeps } from './network-deps.ts';
import { publishNetworkEvent } from './network-events.ts';

/** The kernel counts and does not call: this is how late its counters are read at most. */
const INTERVAL_MS = 1000;

export interface RefusalWatchDeps extends Pick<NetworkDeps, 'store' | 'names' | 'events' | 'log'> {
  readonly firewall: Pick<Firewall, 'egressRefusals' | 'refusedPackets'>;
}

export interface RefusalWatch {
  /** Publishes what was refused since the last time: one event for each container, destination, protocol and port. */
  check(): Promise<void>;
  /** Ends the watch; resolves when nothing is under way. */
  close(): Promise<void>;
}

/** One destination that one container was refused. */
interface Refusal {
  readonly networkId: string;
  /** An address, or a container's id. */
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly port: number | null;
  /** Packets, or queries for a name, so far. */
  readonly count: number;
}

/** Checks every second from now on. */
export function watchRefusals(deps: RefusalWatchDeps): RefusalWatch {
  let known: ReadonlyMap<string, Refusal> = new Map();
  let packets: readonly Refusal[] = [];
  let packetsSeen = 0;
  let checking: Promise<void> | null = null;

  const look = async (): Promise<void> => {
    const packetsNow = await deps.firewall.refusedPackets();
    if (packetsNow !== packetsSeen) {
      packetsSeen = packetsNow;
      packets = await refusedPackets(deps);
    }
    const now = new Map([...packets, ...refusedNames(deps)].map((refusal) => [keyOf(refusal), refusal]));
    for (const [key, refusal] of now) {
      const before = known.get(key)?.count ?? 0;
      // Fewer than before: the table was laid down anew, and its counters with it.
      const count = refusal.count >= before ? refusal.count - before : refusal.count;
      if (count > 0) publish(deps, refusal, count);
    }
    known = now;
  };
  const check = (): Promise<void> => {
    checking ??= look().finally(() => {
      checking = null;
    });
    return checking;
  };
  const timer = setInterval(() => {
    check().catch((error: unknown) => deps.log.warn({ err: error }, 'what egress policies refused could not be read'));
  }, INTERVAL_MS).unref();
  return {
    check,
    async close() {
      clearInterval(timer);
      // The timer that began it tells of its failure.
      await checking?.catch(() => undefined);
    },
  };
}

async function refusedPackets({ firewall, store }: RefusalWatchDeps): Promise<Refusal[]> {
  const ids = new Map(store.list().map(({ id, bridgeName }) => [bridgeName, id]));
  const refusals = await firewall.egressRefusals();
  return refusals.flatMap(({ bridgeName, source, destination, protocol, port, packets }) => {
    const networkId = ids.get(bridgeName);
    return networkId === undefined ? [] : [{ networkId, source, destination, protocol, port, count: packets }];
  });
}

function refusedNames({ names, store }: RefusalWatchDeps): Refusal[] {
  return store.list().flatMap(({ id: networkId }) =>
    names.refusedNames(networkId).map(({ containerId, name, queries }) => ({
      ...{ networkId, source: containerId, destination: name },
      ...{ protocol: 'dns', port: null, count: queries },
    })),
  );
}

function keyOf({ networkId, source, destination, protocol, port }: Refusal): string {
  return [networkId, source, destination, protocol, port].join(' ');
}

function publish(deps: RefusalWatchDeps, refusal: Refusal, count: number): void {
  const network = deps.store.byId(refusal.networkId);
  if (network === undefined) return;
  const { source, destination, protocol, port } = refusal;
  const family = source.includes(':') ? 6 : 4;
  const container = deps.store.endpointByAddress(network.id, family, source)?.containerId ?? source;
  deps.log.info(
    { containerId: container, network: network.name, destination, protocol, port, count },
    'an egress policy refused',
  );
  publishNetworkEvent(deps, network, 'refuse', {
    container,
    destination,
    protocol,
    ...(port === null ? {} : { port: String(port) }),
    count: String(count),
  });
}
