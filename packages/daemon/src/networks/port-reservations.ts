/** Host ports of published container ports: chosen here, and held by bound sockets so that nobody else gets them. */
import type { PublishedPortRecord } from './network.ts';

/** What a container asks for. */
export interface RequestedPort {
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Addresses of the host, one of each family at most: they get the same port. `0.0.0.0` and `::` for all addresses. */
  readonly hostIps: readonly string[];
  /** First and last port to choose from; equal for a certain port; null where any will do. */
  readonly hostPorts: { readonly first: number; readonly last: number } | null;
}

export interface LostPort {
  readonly port: PublishedPortRecord;
  readonly reason: string;
  /** Another process has it. */
  readonly isTaken: boolean;
}

export interface PortReservations {
  /**
   * Reserves a host port for every request, or none at all. Adds to what the container has already.
   *
   * @param endpoint name for messages: `driver failed programming external connectivity on endpoint <endpoint>: …`
   * @returns one record for each host address of each request, in their order
   * @throws TsdError `conflict` with Docker's texts: `Bind for 0.0.0.0:8080 failed: port is already allocated` for a port of
   *   another container, `… address already in use` for one of another process, `… cannot assign requested address`
   */
  reserve(containerId: string, endpoint: string, requests: readonly RequestedPort[]): PublishedPortRecord[];
  /**
   * Takes the ports of a container that ran while the daemon was away.
   *
   * @returns those that cannot be had, with the reason: another process has taken them, or the host has lost their address.
   *   They go on being translated
   */
  reclaim(containerId: string, ports: readonly PublishedPortRecord[]): LostPort[];
  /** Gives all ports of the container back. Does nothing where there are none. */
  release(containerId: string): void;
  /** Closes all sockets. */
  close(): void;
}
