/** Reads the counters of containers that somebody watches, once a second each, whoever many watch. */
import { totalmem } from 'node:os';
import type { EngineEvents } from '../events/engine-events.ts';
import { readLinkCounters, sharesNetwork } from '../os/link-counters.ts';
import { readSystemCpu, type SystemCpu } from '../os/system-cpu.ts';
import type { Supervisor } from '../runtime/supervisor.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerStats, type StatsSample } from './container-stats.ts';
import { timestampNow } from './timestamp.ts';

export interface StatsUpdate {
  /** JSON and a line feed. */
  readonly line: string;
  /** Whether the processor time of a whole interval can be told from it; of a container that does not run it is known. */
  readonly spansInterval: boolean;
}

/** Neither may throw. */
export interface StatsWatcher {
  update(update: StatsUpdate): void;
  /** The container is gone: nothing more comes. */
  removed(): void;
}

export interface StatsCollector {
  /** Tells of the container once a second until the function that this returns is called: at once, if nobody watched it before. */
  watch(id: string, watcher: StatsWatcher): () => void;
  /** What is so now, without an earlier sample. */
  now(id: string): StatsUpdate;
}

export type StatsDeps = Pick<ContainerDeps, 'cgroups' | 'log' | 'running' | 'store'> & {
  readonly events: Pick<EngineEvents, 'listen'>;
};

const INTERVAL_MS = 1000;
/** Containers that are read within this time share a reading of the host, which takes long where processors are many. */
const SAME_TIME_MS = 10;

interface Watched {
  readonly id: string;
  readonly watchers: Set<StatsWatcher>;
  readonly timer: NodeJS.Timeout;
  last: RunSample | null;
  /** Whether the last reading failed: it is said once. */
  failed: boolean;
}

/** A sample, and whose run it is of. */
interface RunSample extends StatsSample {
  readonly supervisor: Supervisor;
  /** The network is the host's. */
  readonly onHostNetwork: boolean;
}

export function createStatsCollector(deps: StatsDeps, intervalMs = INTERVAL_MS): StatsCollector {
  const hostMemoryBytes = totalmem();
  const system = sharedReading(readSystemCpu);
  const watched = new Map<string, Watched>();
  let stopListening: (() => void) | undefined;

  const sampleOf = (id: string, last: RunSample | null): RunSample | null => {
    const supervisor = deps.running.get(id)?.supervisor;
    if (supervisor === undefined) return null;
    const { pid } = supervisor;
    const onHostNetwork = last?.supervisor === supervisor ? last.onHostNetwork : sharesNetwork(pid);
    const cgroups = deps.cgroups.counters(id);
    const links = onHostNetwork ? null : readLinkCounters(pid);
    return { supervisor, onHostNetwork, readAt: timestampNow(), cgroups, system: system(), links };
  };
  const updateOf = (id: string, sample: RunSample | null, before: RunSample | null): StatsUpdate => {
    const name = deps.store.byId(id)?.name ?? '';
    const stats = containerStats({ id, name }, sample, before, hostMemoryBytes);
    return { line: `${JSON.stringify(stats)}\n`, spansInterval: sample === null || before !== null };
  };
  const read = (one: Watched): void => {
    try {
      const sample = sampleOf(one.id, one.last);
      const update = updateOf(one.id, sample, one.last?.supervisor === sample?.supervisor ? one.last : null);
      one.last = sample;
      one.failed = false;
      for (const watcher of one.watchers) watcher.update(update);
    } catch (error) {
      if (!one.failed) deps.log.error({ containerId: one.id, err: error }, "a container's counters could not be read");
      one.failed = true;
    }
  };
  // However many are due at the same time, requests are answered in between.
  const due = takingTurns<Watched>((one) => {
    if (one.watchers.size > 0) read(one);
  });
  const begin = (id: string): Watched => {
    const timer = setInterval(() => due(one), intervalMs);
    const one: Watched = { id, watchers: new Set(), timer, last: null, failed: false };
    watched.set(id, one);
    due(one);
    stopListening ??= deps.events.listen(({ type, action, id: destroyed }) => {
      if (type === 'container' && action === 'destroy') end(destroyed);
    });
    return one;
  };
  const end = (id: string): void => {
    const one = watched.get(id);
    if (one === undefined) return;
    clearInterval(one.timer);
    watched.delete(id);
    if (watched.size === 0) {
      stopListening?.();
      stopListening = undefined;
    }
    const watchers = [...one.watchers];
    one.watchers.clear();
    for (const watcher of watchers) watcher.removed();
  };

  return {
    watch(id, watcher) {
      const one = watched.get(id) ?? begin(id);
      one.watchers.add(watcher);
      return () => {
        if (one.watchers.delete(watcher) && one.watchers.size === 0) end(id);
      };
    },
    now: (id) => updateOf(id, sampleOf(id, null), null),
  };
}

/** Does the work of each that was given, one in a turn of the event loop; one that still waits is not taken twice. */
function takingTurns<T>(work: (item: T) => void): (item: T) => void {
  const waiting = new Set<T>();
  const turn = (): void => {
    const [next] = waiting;
    if (next === undefined) return;
    waiting.delete(next);
    if (waiting.size > 0) setImmediate(turn);
    work(next);
  };
  return (item) => {
    if (waiting.size === 0) setImmediate(turn);
    waiting.add(item);
  };
}

function sharedReading(read: () => SystemCpu): () => SystemCpu {
  let value: SystemCpu | undefined;
  let readAtMs = 0;
  return () => {
    const nowMs = performance.now();
    if (value === undefined || nowMs - readAtMs > SAME_TIME_MS) {
      value = read();
      readAtMs = nowMs;
    }
    return value;
  };
}
