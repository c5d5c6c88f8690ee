/** Looks after the bridges while the daemon runs: one that somebody deletes is made again. */
import type { HostBridges } from './bridge.ts';
import type { NetworkDeps } from './network-deps.ts';

/** How soon it is noticed. The look at a bridge is a system call of a few microseconds. */
const INTERVAL_MS = 1000;

export interface BridgeWatchDeps extends Pick<NetworkDeps, 'store' | 'log'> {
  readonly bridges: Pick<HostBridges, 'ensure' | 'isLost'>;
}

export interface BridgeWatch {
  /** Looks at all bridges once. What goes wrong is logged, and tried again the next time. */
  check(): void;
  close(): void;
}

/** Looks every second from now on. */
export function watchBridges({ store, bridges, log }: BridgeWatchDeps): BridgeWatch {
  // Told of once.
  const failed = new Set<string>();
  const restore = (network: Parameters<typeof bridges.ensure>[0]): void => {
    try {
      bridges.ensure(network);
      failed.delete(network.id);
      log.warn({ network: network.name }, 'the bridge of a network was deleted: it is made again');
    } catch (error) {
      if (!failed.has(network.id))
        log.error(
          { err: error, network: network.name },
          'the bridge of a network was deleted and cannot be made again',
        );
      failed.add(network.id);
    }
  };
  const check = (): void => {
    for (const network of store.list()) if (bridges.isLost(network)) restore(network);
  };
  const timer = setInterval(() => {
    try {
      check();
    } catch (error) {
      log.error({ err: error }, 'the bridges could not be looked after');
    }
  }, INTERVAL_MS).unref();
  return { check, close: () => clearInterval(timer) };
}
