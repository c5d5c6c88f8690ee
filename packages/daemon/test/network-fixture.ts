/** Networks and rows of containers for tests, without a kernel. */
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import type { NetworkRecord } from '../src/networks/network.ts';
import { createNetworkStore, type NetworkStore } from '../src/networks/network-store.ts';
import { type Database, openDatabase } from '../src/storage/database.ts';

/** `a` → aaaa…: ids that read well. */
export function idOf(digit: string): string {
  return digit.repeat(64).slice(0, 64);
}

export function networkRecord(changes: Partial<NetworkRecord> = {}): NetworkRecord {
  return {
    id: idOf('1'),
    name: 'n1',
    driver: 'bridge',
    createdAt: '2026-01-01T00:00:00.000000000Z',
    internal: false,
    attachable: false,
    ipv4: true,
    ipv6: false,
    bridgeName: 'tsd-1',
    mtu: null,
    labels: {},
    options: {},
    egress: null,
    subnets: [{ family: 4, subnet: '172.18.0.0/16', gateway: '172.18.0.1', ipRange: null, auxiliaryAddresses: {} }],
    ...changes,
  };
}

export interface NetworkWorld {
  readonly db: Database;
  readonly store: NetworkStore;
  /** Adds a container's row. */
  addContainer(id: string): void;
  removeContainer(id: string): void;
  /** A container with an endpoint that is attached. */
  attach(id: string, network: NetworkRecord, config?: EndpointSettings): ReturnType<NetworkStore['attach']>;
}

export function networkWorld(path = ':memory:'): NetworkWorld {
  const db = openDatabase(path);
  const store = createNetworkStore(db);
  const insert = db.prepare(
    `INSERT INTO containers (id, name, status, image_id, image_reference, config, host_config, created_at)
     VALUES (?, ?, 'created', '', '', '{}', '{}', '')`,
  );
  const world: NetworkWorld = {
    db,
    store,
    addContainer: (id) => void insert.run(id, `c-${id}`),
    removeContainer: (id) => void db.prepare('DELETE FROM containers WHERE id = ?').run(id),
    attach(id, network, config = {}) {
      world.addContainer(id);
      store.putEndpoint(id, network, config);
      return store.attach(id, network.id);
    },
  };
  return world;
}
