/** The name server of containers: what it is given, and what it does (RFC 1034, 1035). */
import type { LearntAnswer } from '../firewall.ts';
import type { NameDirectory } from './name-directory.ts';

export interface NameServer {
  /**
   * Serves the network's containers on its gateway's address, over UDP and TCP, until `stop`. Call it once the bridge has the
   * address; a network with two families has two addresses. An address that is served already stays as it is.
   *
   * @returns 53, or where another process of the host has that port, the one that queries to 53 must be redirected to
   * @throws Error of the system where the address cannot be bound
   */
  listen(networkId: string, address: string): Promise<{ readonly port: number }>;
  /** Ends the service of all of the network's addresses. Does nothing where there is none. */
  stop(networkId: string): Promise<void>;
  /** The newest names that egress policies kept from the network's containers. */
  refusedNames(networkId: string): readonly RefusedName[];
  /** Ends everything; queries under way get no answer. */
  close(): Promise<void>;
}

export interface RefusedName {
  readonly containerId: string;
  readonly name: string;
  readonly queries: number;
}

export interface NameServerDeps {
  readonly directory: NameDirectory;
  /** Firewall.learn; awaited before the answer is sent. */
  readonly learn: (answer: LearntAnswer) => Promise<void>;
  readonly log: NameServerLog;
  /** Apart from 53, from /etc/resolv.conf and from the servers' port for tests. */
  readonly port?: number;
  readonly resolvConfPath?: string;
  readonly serverPort?: number;
}

export interface NameServerLog {
  warn(fields: object, message: string): void;
}
