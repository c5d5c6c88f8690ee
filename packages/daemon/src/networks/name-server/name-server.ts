/** The name server of containers: what it is given, and what it does (RFC 1034, 1035). */
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
  /** Ends everything; queries under way get no answer. */
  close(): Promise<void>;
}

/** Which names of the outside a container may ask for, and who is told what it was answered. */
export interface EgressNames {
  /** Whether a container may have the name resolved; `name` is in lower case, without the dot at its end. */
  permits(containerId: string, name: string): boolean;
  /**
   * Called before the answer is sent, from the cache too: the container will connect to the addresses at once.
   *
   * @param ttlSeconds how long the container may use them without asking again
   */
  answered(containerId: string, name: string, addresses: readonly string[], ttlSeconds: number): void;
}

export interface NameServerDeps {
  readonly directory: NameDirectory;
  readonly egress: EgressNames;
  /** For tests; 53, and /etc/resolv.conf. */
  readonly port?: number;
  readonly resolvConfPath?: string;
  readonly log: NameServerLog;
}

export interface NameServerLog {
  warn(fields: object, message: string): void;
}
