/** The tables `networks` and `network_subnets`, row by row. */
import type { Database } from '../storage/database.ts';
import type { AddressFamily, EgressPolicy, NetworkDriver, NetworkRecord, NetworkSubnet } from './network.ts';

export interface NetworkRows {
  insert(network: NetworkRecord): void;
  update(network: NetworkRecord): void;
  markRemoving(id: string): void;
  delete(id: string): void;
  /** The oldest first. */
  read(): { readonly network: NetworkRecord; readonly isRemoving: boolean }[];
}

interface NetworkRow {
  id: string;
  name: string;
  driver: NetworkDriver;
  created_at: string;
  internal: number;
  attachable: number;
  ipv4: number;
  ipv6: number;
  bridge_name: string | null;
  mtu: number | null;
  labels: string;
  options: string;
  egress: string | null;
  removing: number;
}

interface SubnetRow {
  network_id: string;
  family: AddressFamily;
  subnet: string;
  gateway: string;
  ip_range: string | null;
  auxiliary_addresses: string;
}

const INSERT = `
  INSERT INTO networks (id, name, driver, created_at, internal, attachable, ipv4, ipv6, bridge_name, mtu, labels, options, egress)
  VALUES (@id, @name, @driver, @created_at, @internal, @attachable, @ipv4, @ipv6, @bridge_name, @mtu, @labels, @options, @egress)`;

const UPDATE = `
  UPDATE networks SET internal = @internal, attachable = @attachable, ipv4 = @ipv4, ipv6 = @ipv6, bridge_name = @bridge_name,
    mtu = @mtu, labels = @labels, options = @options, egress = @egress WHERE id = @id`;

export function networkRows(db: Database): NetworkRows {
  const insertRow = db.prepare(INSERT);
  const updateRow = db.prepare(UPDATE);
  const insertSubnet = db.prepare(
    'INSERT INTO network_subnets (network_id, family, subnet, gateway, ip_range, auxiliary_addresses) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const deleteSubnets = db.prepare('DELETE FROM network_subnets WHERE network_id = ?');
  const putSubnets = ({ id, subnets }: NetworkRecord): void => {
    for (const { family, subnet, gateway, ipRange, auxiliaryAddresses } of subnets) {
      insertSubnet.run(id, family, subnet, gateway, ipRange, JSON.stringify(auxiliaryAddresses));
    }
  };
  return {
    insert: db.transaction((network: NetworkRecord) => {
      insertRow.run(rowOf(network));
      putSubnets(network);
    }),
    update: db.transaction((network: NetworkRecord) => {
      updateRow.run(rowOf(network));
      deleteSubnets.run(network.id);
      putSubnets(network);
    }),
    markRemoving: (id) => void db.prepare('UPDATE networks SET removing = 1 WHERE id = ?').run(id),
    delete: (id) => void db.prepare('DELETE FROM networks WHERE id = ?').run(id),
    read() {
      const subnets = Map.groupBy(
        db.prepare<[], SubnetRow>('SELECT * FROM network_subnets ORDER BY network_id, family').all(),
        ({ network_id }) => network_id,
      );
      return db
        .prepare<[], NetworkRow>('SELECT * FROM networks ORDER BY created_at, rowid')
        .all()
        .map((row) => ({
          network: recordOf(row, (subnets.get(row.id) ?? []).map(subnetOf)),
          isRemoving: row.removing === 1,
        }));
    },
  };
}

function rowOf(network: NetworkRecord): Omit<NetworkRow, 'removing'> {
  return {
    id: network.id,
    name: network.name,
    driver: network.driver,
    created_at: network.createdAt,
    internal: network.internal ? 1 : 0,
    attachable: network.attachable ? 1 : 0,
    ipv4: network.ipv4 ? 1 : 0,
    ipv6: network.ipv6 ? 1 : 0,
    bridge_name: network.bridgeName,
    mtu: network.mtu,
    labels: JSON.stringify(network.labels),
    options: JSON.stringify(network.options),
    egress: network.egress === null ? null : JSON.stringify(network.egress),
  };
}

function recordOf(row: NetworkRow, subnets: readonly NetworkSubnet[]): NetworkRecord {
  return {
    id: row.id,
    name: row.name,
    driver: row.driver,
    createdAt: row.created_at,
    internal: row.internal === 1,
    attachable: row.attachable === 1,
    ipv4: row.ipv4 === 1,
    ipv6: row.ipv6 === 1,
    bridgeName: row.bridge_name,
    mtu: row.mtu,
    labels: JSON.parse(row.labels) as Record<string, string>,
    options: JSON.parse(row.options) as Record<string, string>,
    egress: row.egress === null ? null : (JSON.parse(row.egress) as EgressPolicy),
    subnets,
  };
}

function subnetOf(row: SubnetRow): NetworkSubnet {
  return {
    family: row.family,
    subnet: row.subnet,
    gateway: row.gateway,
    ipRange: row.ip_range,
    auxiliaryAddresses: JSON.parse(row.auxiliary_addresses) as Record<string, string>,
  };
}
