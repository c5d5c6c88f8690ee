/** Publishes and logs what egress policies refuse, soon after it happens. */
import type { Firewall } from './firewall.ts';
import type { NetworkRecord } from './network.ts';
import type { NetworkDeps } from './network-deps.ts';
import { publishNetworkEvent } from './network-events.ts';
import { takeInTurn } from './take-in-turn.ts';

/** The kernel counts and does not call: this is how late its counters are read at most. */
const INTERVAL_MS = 1000;
/** As many of one network are told one by one at a time, its containers in turn; the rest is told as one sum. */
const MAX_TOLD = 20;

export interface RefusalWatchDeps extends Pick<NetworkDeps, 'store' | 'names' | 'events' | 'log'> {
  readonly firewall: Pick<Firewall, 'egressRefusals' | 'refusedPackets'>;
}

export interface RefusalWatch {
  /**
   * Publishes what was refused since the last time: one event for each container, destination, protocol and port, and one for
   * all that is beyond twenty of a network.
   */
  check(): Promise<void>;
  /** Ends the watch; resolves when nothing is under way. */
  close(): Promise<void>;
}

/** What one container was refused. */
interface Refusal {
  readonly networkId: string;
  /** An address, or a container's id. */
  readonly source: string;
  /** null for all that is counted without its destination. */
  readonly target: { readonly destination: string; readonly protocol: string; readonly port: number | null } | null;
  /** Packets, or queries for names, so far. */
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
    const news = [...now].flatMap(([key, refusal]) => {
      const before = known.get(key)?.count ?? 0;
      // Fewer than before: the table was laid down anew, and its counters with it.
      const count = refusal.count >= before ? refusal.count - before : refusal.count;
      return count > 0 ? [{ ...refusal, count }] : [];
    });
    known = now;
    for (const [networkId, ofNetwork] of Map.groupBy(news, (refusal) => refusal.networkId)) {
      const network = deps.store.byId(networkId);
      if (network !== undefined) tell(deps, network, ofNetwork);
    }
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
  const { listed, unlisted } = await firewall.egressRefusals();
  const ofNetwork = (bridgeName: string, refusal: Omit<Refusal, 'networkId'>): Refusal[] => {
    const networkId = ids.get(bridgeName);
    return networkId === undefined ? [] : [{ networkId, ...refusal }];
  };
  return [
    ...listed.flatMap(({ bridgeName, source, packets, ...target }) =>
      ofNetwork(bridgeName, { source, target, count: packets }),
    ),
    ...unlisted.flatMap(({ bridgeName, source, packets }) =>
      ofNetwork(bridgeName, { source, target: null, count: packets }),
    ),
  ];
}

function refusedNames({ names, store }: RefusalWatchDeps): Refusal[] {
  return store.list().flatMap(({ id: networkId }): Refusal[] => {
    const { listed, unlisted } = names.refusedNames(networkId);
    return [
      ...listed.map(({ containerId, name, queries }) => ({
        ...{ networkId, source: containerId, count: queries },
        target: { destination: name, protocol: 'dns', port: null },
      })),
      ...unlisted.map(({ containerId, queries }) => ({ networkId, source: containerId, target: null, count: queries })),
    ];
  });
}

function keyOf({ networkId, source, target }: Refusal): string {
  return [networkId, source, target?.destination, target?.protocol, target?.port].join(' ');
}

function tell(deps: RefusalWatchDeps, network: NetworkRecord, news: readonly Refusal[]): void {
  const named = news.filter(({ target }) => target !== null);
  const told = takeInTurn(named, ({ source }) => source, MAX_TOLD);
  for (const refusal of told) tellOne(deps, network, refusal);
  const sum = (refusals: readonly Refusal[]) => refusals.reduce((total, { count }) => total + count, 0);
  const count = sum(news) - sum(told);
  if (count === 0) return;
  const containers = new Set(news.filter((refusal) => !told.includes(refusal)).map(({ source }) => source)).size;
  deps.log.info({ network: network.name, containers, count }, 'an egress policy refused more than is told one by one');
  publishNetworkEvent(deps, network, 'refuse', { more: 'true', containers: String(containers), count: String(count) });
}

function tellOne(deps: RefusalWatchDeps, network: NetworkRecord, { source, target, count }: Refusal): void {
  if (target === null) return;
  const { destination, protocol, port } = target;
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
