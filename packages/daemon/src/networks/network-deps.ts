/** What the verbs of networks work with. Each names the part that it needs with `Pick`; tests give fakes. */
import type { EventPublisher } from '../events/engine-events.ts';
import type { AddressPool } from './address-pools.ts';
import type { Bridges } from './bridges.ts';
import type { Firewall } from './firewall.ts';
import type { IpPrefix } from './ip-address.ts';
import type { NameServer } from './name-server/name-server.ts';
import type { NetworkRecord } from './network.ts';
import type { NetworkStore } from './network-store.ts';

export interface NetworkLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface NetworkDeps {
  readonly store: NetworkStore;
  readonly bridges: Bridges;
  readonly firewall: Pick<
    Firewall,
    'setNetwork' | 'removeNetwork' | 'redirectNames' | 'egressCounters' | 'egressRefusals'
  >;
  /** To be told of a network before its bridge is made (forwarding-guard.ts). */
  readonly forwarding: { prepare(network: NetworkRecord): Promise<void> };
  readonly names: Pick<NameServer, 'listen' | 'stop' | 'refusedNames'>;
  /** Where subnets come from that nobody named. */
  readonly addressPools: readonly AddressPool[];
  /** What the host reaches already (host-routes.ts). */
  readonly hostRoutes: () => readonly IpPrefix[];
  /** Names of containers, for inspect; undefined for one that is gone. */
  readonly containerName: (id: string) => string | undefined;
  readonly events: EventPublisher;
  readonly log: NetworkLog;
}
