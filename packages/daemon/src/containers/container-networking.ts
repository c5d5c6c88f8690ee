/** What the verbs of containers need of the host's networks. */
import type { HostBridges } from '../networks/bridge.ts';
import type { ContainerInterfaces } from '../networks/container-interfaces.ts';
import type { Firewall } from '../networks/firewall.ts';
import type { NameDirectory } from '../networks/name-server/name-directory.ts';
import type { NetworkStore } from '../networks/network-store.ts';
import type { PortReservations } from '../networks/port-reservations.ts';
import type { NetworkSharers } from './network-sharers.ts';

export interface ContainerNetworking {
  readonly store: NetworkStore;
  readonly ports: PortReservations;
  readonly firewall: Pick<Firewall, 'setContainer' | 'removeContainer' | 'restore'>;
  readonly directory: NameDirectory;
  readonly interfaces: ContainerInterfaces;
  readonly sharers: NetworkSharers;
  /** Throws `unavailable` where the host cannot have bridges, with the reason and the remedy. */
  readonly bridges: Pick<HostBridges, 'index'>;
  /** All of what `work` writes, or none of it. */
  transaction<T>(work: () => T): T;
}
