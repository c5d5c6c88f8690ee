/** What the verbs of networks need of the kernel; networks/bridge.ts does it. */
import type { NetworkRecord } from './network.ts';

export interface Bridges {
  /**
   * Makes the network's bridge, or brings one that is there into line with the record: addresses, MTU, up. Repeatable.
   *
   * @throws TsdError where the host refuses; nothing half-made is left
   */
  ensure(network: NetworkRecord): void;
  /** Deletes the bridge; does nothing where there is none. */
  remove(network: NetworkRecord): Promise<void>;
  /** The same, and gone when it returns: some ten milliseconds in which nothing else happens. */
  removeAtOnce(network: NetworkRecord): void;
}
