/**
 * Networks, endpoints and published ports in the database. Networks are few and only this store changes them, so they are
 * kept in memory; endpoints and ports are read from the tables, since their rows go with their containers'.
 */
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import type { AddressFamily, EndpointRecord, NetworkRecord, PublishedPortRecord } from './network.ts';

export interface NetworkStore {
  /** @throws TsdError `conflict` when the name is taken */
  insert(network: NetworkRecord): void;
  /** Replaces the network's settings; its id, name and driver stay. */
  update(network: NetworkRecord): void;
  /** Hides the network from every list and lookup; its name stays taken until `remove`. */
  markRemoving(id: string): void;
  /** The commit point of a removal. Does nothing when the network is gone. */
  remove(id: string): void;
  /** Marked, and not removed yet: an earlier daemon was killed in between. */
  removing(): readonly NetworkRecord[];

  /** All of them, the oldest first. */
  list(): readonly NetworkRecord[];
  byId(id: string): NetworkRecord | undefined;
  byName(name: string): NetworkRecord | undefined;
  /**
   * By full id, else name, else unambiguous beginning of an id.
   * @throws TsdError `not_found`, or `bad_parameter` when several ids begin so
   */
  lookup(reference: string): NetworkRecord;

  /** Of running and stopped containers, in the order of container ids. */
  endpointsOf(networkId: string): readonly EndpointRecord[];
  /** In the order in which they were connected. */
  endpointsOfContainer(containerId: string): readonly EndpointRecord[];
  endpoint(containerId: string, networkId: string): EndpointRecord | undefined;
  /** Whose address it is now, for instance a query's source. */
  endpointByAddress(networkId: string, family: AddressFamily, address: string): EndpointRecord | undefined;
  /** Writes what the container asks of the network, after its other endpoints; an attachment that it has stays. */
  putEndpoint(containerId: string, network: NetworkRecord, config: EndpointSettings): EndpointRecord;
  dropEndpoint(containerId: string, networkId: string): void;

  /**
   * Attaches the endpoint: a new id, interface name, MAC and addresses, those that were asked for or free ones; an address
   * is given to one endpoint at a time, used again as late as possible, and kept by the row until it is released. One that is
   * attached already is returned as it is.
   *
   * @throws TsdError `not_found` where the network or endpoint is gone, `conflict` where an address is in use or none is free
   */
  attach(containerId: string, networkId: string): EndpointRecord;
  /** Gives the addresses of one endpoint, or of all of the container's, back. Repeatable. */
  release(containerId: string, networkId?: string): void;

  /** Writes the host ports of a container that starts, in place of those it had. */
  putPorts(containerId: string, ports: readonly PublishedPortRecord[]): void;
  portsOf(containerId: string): readonly PublishedPortRecord[];
  /** By container, for a daemon that starts. */
  allPorts(): ReadonlyMap<string, readonly PublishedPortRecord[]>;
}
