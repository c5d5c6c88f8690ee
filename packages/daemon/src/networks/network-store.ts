/**
 * Networks, endpoints and published ports in the database. Networks are few and only this store changes them, so they are
 * kept in memory; endpoints and ports are read from the tables, since their rows go with their containers'.
 */
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import { TsdError } from '@tsd/shared/errors';
import type { Database } from '../storage/database.ts';
import { createAddressAllocator } from './address-allocator.ts';
import { attachEndpoint } from './attach-endpoint.ts';
import { endpointRows } from './endpoint-rows.ts';
import type { AddressFamily, EndpointRecord, NetworkRecord, PublishedPortRecord } from './network.ts';
import { networkRows } from './network-rows.ts';
import { publishedPortRows } from './published-port-rows.ts';

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
  /** The same of every container, for lists: by container. */
  allEndpoints(): ReadonlyMap<string, readonly EndpointRecord[]>;
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
  /** Gives the addresses of all of the container's endpoints back, and returns the networks of those that had some. Repeatable. */
  release(containerId: string): readonly NetworkRecord[];

  /** Writes the host ports of a container that starts, in place of those it had. */
  putPorts(containerId: string, ports: readonly PublishedPortRecord[]): void;
  portsOf(containerId: string): readonly PublishedPortRecord[];
  /** By container, for a daemon that starts. */
  allPorts(): ReadonlyMap<string, readonly PublishedPortRecord[]>;
}

export function createNetworkStore(db: Database): NetworkStore {
  const rows = networkRows(db);
  const endpoints = endpointRows(db);
  const ports = publishedPortRows(db);
  const allocator = createAddressAllocator();
  // Insertion order is creation order.
  const byId = new Map<string, NetworkRecord>();
  const removing = new Map<string, NetworkRecord>();
  for (const { network, isRemoving } of rows.read()) (isRemoving ? removing : byId).set(network.id, network);

  const byName = (name: string) => [...byId.values()].find((network) => network.name === name);

  return {
    insert(network) {
      const isTaken = byName(network.name) ?? [...removing.values()].some(({ name }) => name === network.name);
      if (isTaken) throw new TsdError('conflict', `network with name ${network.name} already exists`);
      rows.insert(network);
      byId.set(network.id, network);
    },
    update(network) {
      rows.update(network);
      byId.set(network.id, network);
    },
    markRemoving(id) {
      const network = byId.get(id);
      if (network === undefined) return;
      rows.markRemoving(id);
      byId.delete(id);
      removing.set(id, network);
    },
    remove(id) {
      rows.delete(id);
      byId.delete(id);
      removing.delete(id);
    },
    removing: () => [...removing.values()],
    list: () => [...byId.values()],
    byId: (id) => byId.get(id),
    byName,
    lookup(reference) {
      const exact = byId.get(reference) ?? byName(reference);
      if (exact !== undefined) return exact;
      const found = /^[0-9a-f]{1,63}$/.test(reference) ? list(byId).filter(({ id }) => id.startsWith(reference)) : [];
      if (found.length > 1)
        throw new TsdError(
          'bad_parameter',
          `network ${reference} is ambiguous (${found.length} matches found on ID prefix)`,
        );
      if (found[0] !== undefined) return found[0];
      throw new TsdError('not_found', `network ${reference} not found`);
    },

    endpointsOf: endpoints.ofNetwork,
    endpointsOfContainer: endpoints.ofContainer,
    allEndpoints: () => Map.groupBy(endpoints.all(), ({ containerId }) => containerId),
    endpoint: endpoints.get,
    endpointByAddress: endpoints.byAddress,
    putEndpoint(containerId, network, config) {
      endpoints.put(containerId, network.id, network.name, config);
      return existing(endpoints.get(containerId, network.id));
    },
    dropEndpoint: endpoints.delete,

    attach: db.transaction((containerId: string, networkId: string) => {
      const endpoint = endpoints.get(containerId, networkId);
      const network = byId.get(networkId);
      if (endpoint === undefined || network === undefined)
        throw new TsdError('not_found', `network ${endpoint?.networkName ?? networkId} not found`);
      if (endpoint.attachment !== null) return endpoint;
      const attachment = attachEndpoint({ endpoint, network, rows: endpoints, allocator });
      endpoints.setAttachment(containerId, networkId, attachment);
      return { ...endpoint, attachment };
    }),
    release: (containerId) => endpoints.clearAttachments(containerId).flatMap((id) => byId.get(id) ?? []),

    putPorts: ports.put,
    portsOf: ports.ofContainer,
    allPorts: ports.all,
  };
}

function list(networks: ReadonlyMap<string, NetworkRecord>): readonly NetworkRecord[] {
  return [...networks.values()];
}

/** Written a moment ago. */
function existing(endpoint: EndpointRecord | undefined): EndpointRecord {
  if (endpoint === undefined) throw new Error('the endpoint is not in the database');
  return endpoint;
}
