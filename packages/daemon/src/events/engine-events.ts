/** What happened to containers, images and networks: told to those who listen, and the newest kept for those who ask later. */
import type { EventType } from '@tsd/shared/api-events';

export interface EngineEvent {
  readonly type: EventType;
  /** As Docker names it: `start`, `die`, `untag`, … */
  readonly action: string;
  /** What it happened to; empty for what concerns many (`prune`). */
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface TimedEvent extends EngineEvent {
  /** Unix time, nanoseconds; no two events have the same. */
  readonly timeNs: bigint;
}

export interface EventPublisher {
  publish(event: EngineEvent): void;
}

export interface EngineEvents extends EventPublisher {
  /** The newest, oldest first; of refusals as many as of all others. */
  recent(): readonly TimedEvent[];
  /** Calls `listener`, which must not throw, for each event from now on, until the function that this returns is called. */
  listen(listener: (event: TimedEvent) => void): () => void;
}

/** As many as moby keeps (daemon/events, eventsLimit). They go with the daemon. */
const MAX_RECENT = 256;
/** What a container can cause at any rate has a share of its own, and pushes nothing else out. */
const AT_ANY_RATE: ReadonlySet<string> = new Set(['refuse']);

export function createEngineEvents(): EngineEvents {
  const kept: { readonly usual: TimedEvent[]; readonly atAnyRate: TimedEvent[] } = { usual: [], atAnyRate: [] };
  const listeners = new Set<(event: TimedEvent) => void>();
  let lastNs = 0n;
  return {
    publish(event) {
      const nowNs = BigInt(Date.now()) * 1_000_000n;
      lastNs = nowNs > lastNs ? nowNs : lastNs + 1n;
      const timed = { ...event, timeNs: lastNs };
      const events = AT_ANY_RATE.has(event.action) ? kept.atAnyRate : kept.usual;
      if (events.push(timed) > MAX_RECENT) events.shift();
      for (const listener of listeners) listener(timed);
    },
    recent: () => [...kept.usual, ...kept.atAnyRate].sort((a, b) => (a.timeNs < b.timeNs ? -1 : 1)),
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
