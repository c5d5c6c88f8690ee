/** Names that egress policies kept from containers, counted, for an hour; as many of each container as anybody reads. */
import type { RefusedNamesReport } from './name-server.ts';

export interface RefusedNames {
  add(networkId: string, containerId: string, name: string): void;
  of(networkId: string): RefusedNamesReport;
  /** The network's service has ended. */
  forget(networkId: string): void;
}

/** A container can ask for any number of names; what is beyond is counted without its name. */
const MAX_NAMES = 200;
/** Of one network: those that were refused something last. */
const MAX_CONTAINERS = 500;
const KEPT_MS = 3_600_000;

interface Count {
  readonly queries: number;
  readonly atMs: number;
}

interface ContainerCounts {
  /** The one that was refused longest ago first. */
  readonly names: Map<string, Count>;
  unlisted: Count;
}

/** `now`: a clock in milliseconds that nobody sets. */
export function createRefusedNames(now: () => number): RefusedNames {
  const networks = new Map<string, Map<string, ContainerCounts>>();
  const isOld = ({ atMs }: Count): boolean => now() - atMs >= KEPT_MS;
  const oneMore = (count: Count | undefined): Count => ({
    queries: count === undefined || isOld(count) ? 1 : count.queries + 1,
    atMs: now(),
  });
  const dropOld = ({ names }: ContainerCounts): void => {
    for (const [name, count] of names) {
      if (!isOld(count)) break;
      names.delete(name);
    }
  };
  return {
    add(networkId, containerId, name) {
      const containers = networks.get(networkId) ?? new Map<string, ContainerCounts>();
      networks.set(networkId, containers);
      const counts = containers.get(containerId) ?? { names: new Map(), unlisted: { queries: 0, atMs: now() } };
      moveToEnd(containers, containerId, counts, MAX_CONTAINERS);
      dropOld(counts);
      const known = counts.names.get(name);
      if (known === undefined && counts.names.size >= MAX_NAMES) counts.unlisted = oneMore(counts.unlisted);
      else moveToEnd(counts.names, name, oneMore(known), MAX_NAMES);
    },
    of(networkId) {
      const containers = [...(networks.get(networkId) ?? [])];
      return {
        listed: containers.flatMap(([containerId, counts]) => {
          dropOld(counts);
          return [...counts.names].map(([name, { queries }]) => ({ containerId, name, queries }));
        }),
        unlisted: containers.flatMap(([containerId, { unlisted }]) =>
          unlisted.queries === 0 || isOld(unlisted) ? [] : [{ containerId, queries: unlisted.queries }],
        ),
      };
    },
    forget: (networkId) => void networks.delete(networkId),
  };
}

/** The newest is at the end; what is too much goes from the front. */
function moveToEnd<Value>(map: Map<string, Value>, key: string, value: Value, maxSize: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= maxSize) break;
    map.delete(oldest);
  }
}
