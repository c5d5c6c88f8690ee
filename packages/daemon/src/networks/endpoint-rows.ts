/** The table `endpoints`, row by row. */
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import type { Database } from '../storage/database.ts';
import type { AddressFamily, Attachment, EndpointRecord } from './network.ts';

export interface EndpointRows {
  all(): EndpointRecord[];
  ofNetwork(networkId: string): EndpointRecord[];
  ofContainer(containerId: string): EndpointRecord[];
  get(containerId: string, networkId: string): EndpointRecord | undefined;
  byAddress(networkId: string, family: AddressFamily, address: string): EndpointRecord | undefined;
  byMac(networkId: string, mac: string): EndpointRecord | undefined;
  /** Whether an endpoint has the address, or asked for it. */
  isSpokenFor(networkId: string, family: AddressFamily, address: string): boolean;
  put(containerId: string, networkId: string, networkName: string, config: EndpointSettings): void;
  delete(containerId: string, networkId: string): void;
  setAttachment(containerId: string, networkId: string, attachment: Attachment): void;
  /** Returns the ids of the networks that it was attached to. */
  clearAttachments(containerId: string): string[];
}

interface EndpointRow {
  container_id: string;
  network_id: string;
  network_name: string;
  position: number;
  config: string;
  id: string | null;
  mac: string | null;
  ipv4: string | null;
  ipv6: string | null;
  interface: string | null;
}

const COLUMNS = 'container_id, network_id, network_name, position, config, id, mac, ipv4, ipv6, interface';

const PUT = `
  INSERT INTO endpoints (container_id, network_id, network_name, config, position)
  VALUES (@containerId, @networkId, @networkName, @config,
    (SELECT coalesce(max(position) + 1, 0) FROM endpoints WHERE container_id = @containerId))
  ON CONFLICT (container_id, network_id) DO UPDATE SET config = excluded.config`;

export function endpointRows(db: Database): EndpointRows {
  const select = (where: string) =>
    db.prepare<string[], EndpointRow>(`SELECT ${COLUMNS} FROM endpoints WHERE ${where}`);
  const all = select('true ORDER BY container_id, position');
  const ofNetwork = select('network_id = ? ORDER BY container_id');
  const ofContainer = select('container_id = ? ORDER BY position');
  const one = select('container_id = ? AND network_id = ?');
  const byAddress = { 4: select('network_id = ? AND ipv4 = ?'), 6: select('network_id = ? AND ipv6 = ?') };
  const byMac = select('network_id = ? AND mac = ?');
  const byRequest = {
    4: select('network_id = ? AND requested_ipv4 = ?'),
    6: select('network_id = ? AND requested_ipv6 = ?'),
  };
  const putRow = db.prepare(PUT);
  const deleteRow = db.prepare('DELETE FROM endpoints WHERE container_id = ? AND network_id = ?');
  const attach = db.prepare(
    'UPDATE endpoints SET id = ?, mac = ?, ipv4 = ?, ipv6 = ?, interface = ? WHERE container_id = ? AND network_id = ?',
  );
  const clear = db
    .prepare<string[], string>(
      `UPDATE endpoints SET id = NULL, mac = NULL, ipv4 = NULL, ipv6 = NULL, interface = NULL
       WHERE id IS NOT NULL AND container_id = ? RETURNING network_id`,
    )
    .pluck();
  const first = (row: EndpointRow | undefined) => (row === undefined ? undefined : recordOf(row));
  return {
    all: () => all.all().map(recordOf),
    ofNetwork: (networkId) => ofNetwork.all(networkId).map(recordOf),
    ofContainer: (containerId) => ofContainer.all(containerId).map(recordOf),
    get: (containerId, networkId) => first(one.get(containerId, networkId)),
    byAddress: (networkId, family, address) => first(byAddress[family].get(networkId, address)),
    byMac: (networkId, mac) => first(byMac.get(networkId, mac)),
    isSpokenFor: (networkId, family, address) =>
      byAddress[family].get(networkId, address) !== undefined ||
      byRequest[family].get(networkId, address) !== undefined,
    put: (containerId, networkId, networkName, config) =>
      void putRow.run({ containerId, networkId, networkName, config: JSON.stringify(config) }),
    delete: (containerId, networkId) => void deleteRow.run(containerId, networkId),
    setAttachment: (containerId, networkId, { id, mac, ipv4, ipv6, interface: interfaceName }) =>
      void attach.run(id, mac, ipv4, ipv6, interfaceName, containerId, networkId),
    clearAttachments: (containerId) => clear.all(containerId),
  };
}

function recordOf(row: EndpointRow): EndpointRecord {
  const { id, mac, ipv4, ipv6 } = row;
  return {
    containerId: row.container_id,
    networkId: row.network_id,
    networkName: row.network_name,
    position: row.position,
    config: JSON.parse(row.config) as EndpointSettings,
    attachment: id === null ? null : { id, mac, ipv4, ipv6, interface: row.interface },
  };
}
