/** The name server of containers: what it is given, and what it does (RFC 1034, 1035). */
import type { LearntAnswer } from '../firewall.ts';
import type { NameDirectory } from './name-directory.ts';

/**
 * Where the name server listens, unless the port is taken. Not 53, which containers ask: that one is left to servers of the
 * host and to published ports, and the packet filter leads here. Below the ports that the kernel chooses from.
 */
export const NAME_SERVER_PORT = 25_353;

export interface NameServer {
  /**
   * Serves the network's containers on its gateway's address, over UDP and TCP, until `stop`. Call it once the bridge has the
   * address; a network with two families has two addresses. An address that is served already stays as it is.
   *
   * @returns the port that queries to 53 must be redirected to
   * @throws Error of the system where the address cannot be bound
   */
  listen(networkId: string, address: string): Promise<{ readonly port: number }>;
  /** Ends the service of all of the network's addresses. Does nothing where there is none. */
  stop(networkId: string): Promise<void>;
  /** The names that egress policies kept from the network's containers in the last hour. */
  refusedNames(networkId: string): RefusedNamesReport;
  /** Ends everything; queries under way get no answer. */
  close(): Promise<void>;
}

export interface RefusedName {
  readonly containerId: string;
  readonly name: string;
  readonly queries: number;
}

export interface RefusedNamesReport {
  readonly listed: readonly RefusedName[];
  /** What was beyond the names that are kept of each container. */
  readonly unlisted: readonly Omit<RefusedName, 'name'>[];
}

export interface NameServerDeps {
  readonly directory: NameDirectory;
  /** Firewall.learn; awaited before the answer is sent. */
  readonly learn: (answer: LearntAnswer) => Promise<void>;
  readonly log: NameServerLog;
  /** Apart from {@link NAME_SERVER_PORT}, from /etc/resolv.conf and from the servers' port for tests. */
  readonly port?: number;
  readonly resolvConfPath?: string;
  readonly serverPort?: number;
}

export interface NameServerLog {
  warn(fields: object, message: string): void;
}
