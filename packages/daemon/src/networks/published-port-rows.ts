/** The table `published_ports`. */
import type { Database } from '../storage/database.ts';
import type { PublishedPortRecord } from './network.ts';

export interface PublishedPortRows {
  /** In place of those that the container had. */
  put(containerId: string, ports: readonly PublishedPortRecord[]): void;
  ofContainer(containerId: string): PublishedPortRecord[];
  all(): Map<string, PublishedPortRecord[]>;
}

interface PortRow extends PublishedPortRecord {
  readonly containerId: string;
}

const COLUMNS =
  'container_id AS containerId, container_port AS containerPort, protocol, host_ip AS hostIp, host_port AS hostPort';

export function publishedPortRows(db: Database): PublishedPortRows {
  const insert = db.prepare<PortRow>(
    'INSERT INTO published_ports (container_id, container_port, protocol, host_ip, host_port) ' +
      'VALUES (@containerId, @containerPort, @protocol, @hostIp, @hostPort)',
  );
  const clear = db.prepare('DELETE FROM published_ports WHERE container_id = ?');
  const ofContainer = db.prepare<[string], PortRow>(
    `SELECT ${COLUMNS} FROM published_ports WHERE container_id = ? ORDER BY container_port, protocol, host_ip, host_port`,
  );
  const all = db.prepare<[], PortRow>(`SELECT ${COLUMNS} FROM published_ports ORDER BY container_id, container_port`);
  return {
    put: db.transaction((containerId: string, ports: readonly PublishedPortRecord[]) => {
      clear.run(containerId);
      for (const { containerPort, protocol, hostIp, hostPort } of ports)
        insert.run({ containerId, containerPort, protocol, hostIp, hostPort });
    }),
    ofContainer: (containerId) => ofContainer.all(containerId).map(recordOf),
    all: () =>
      new Map(
        [...Map.groupBy(all.all(), ({ containerId }) => containerId)].map(([id, rows]) => [id, rows.map(recordOf)]),
      ),
  };
}

function recordOf({ containerPort, protocol, hostIp, hostPort }: PortRow): PublishedPortRecord {
  return { containerPort, protocol, hostIp, hostPort };
}
