/**
 * The containers of the database. The daemon holds the database's exclusive lock, so the records are read once, at the
 * start, and kept; every change goes to the database first. Names, ids and states are therefore answered from memory.
 */
import { TsdError } from '@tsd/shared/errors';
import type { Database } from '../storage/database.ts';
import type { ContainerConfig, ContainerRecord, HostConfig } from './container.ts';
import { joinsNamespace } from './joined-namespaces.ts';
import type { ContainerStatus } from './lifecycle.ts';

/** What of a record may change after its creation. */
export type ContainerChanges = Partial<
  Pick<
    ContainerRecord,
    | 'name'
    | 'status'
    | 'startedAt'
    | 'finishedAt'
    | 'pid'
    | 'pidStartTicks'
    | 'exitCode'
    | 'exitSignal'
    | 'oomKilled'
    | 'error'
    | 'restartCount'
    | 'stopRequested'
  >
>;

export interface ContainerStore {
  /**
   * Writes the record together with what `alongside` writes of the container elsewhere: all of it, or nothing.
   *
   * @throws TsdError `conflict` when the name is taken
   */
  insert(record: ContainerRecord, alongside?: () => void): void;
  /** Writes the changes and returns the record with them. The container exists. */
  update(id: string, changes: ContainerChanges): ContainerRecord;
  /** The commit point of a removal. Does nothing when the container is gone. */
  delete(id: string): void;
  byId(id: string): ContainerRecord | undefined;
  byName(name: string): ContainerRecord | undefined;
  /**
   * By full id, else name (with or without a leading slash), else unambiguous beginning of an id.
   * @throws TsdError `not_found`, or `bad_parameter` when several ids begin so
   */
  lookup(reference: string): ContainerRecord;
  /** All of them, the newest first. */
  list(): readonly ContainerRecord[];
  /** Those made from an image, the oldest first. */
  ofImage(imageId: string): readonly ContainerRecord[];
  count(): number;
}

interface ContainerRow {
  id: string;
  name: string;
  status: ContainerStatus;
  image_id: string;
  image_reference: string;
  config: string;
  host_config: string;
  id_range: number | null;
  joined_id_range: number | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  pid: number | null;
  pid_start_ticks: number | null;
  exit_code: number;
  exit_signal: number | null;
  oom_killed: number;
  error: string;
  restart_count: number;
  stop_requested: number;
}

const INSERT = `
  INSERT INTO containers (id, name, status, image_id, image_reference, config, host_config, id_range, joined_id_range, created_at,
    started_at, finished_at, pid, pid_start_ticks, exit_code, exit_signal, oom_killed, error, restart_count, stop_requested)
  VALUES (@id, @name, @status, @image_id, @image_reference, @config, @host_config, @id_range, @joined_id_range, @created_at,
    @started_at, @finished_at, @pid, @pid_start_ticks, @exit_code, @exit_signal, @oom_killed, @error, @restart_count,
    @stop_requested)`;

const UPDATE = `
  UPDATE containers SET name = ?, status = ?, started_at = ?, finished_at = ?, pid = ?, pid_start_ticks = ?,
    exit_code = ?, exit_signal = ?, oom_killed = ?, error = ?, restart_count = ?, stop_requested = ? WHERE id = ?`;

export function createContainerStore(db: Database): ContainerStore {
  const insertRow = db.prepare<ContainerRow>(INSERT);
  const updateRow = db.prepare(UPDATE);
  const deleteRow = db.prepare<[string]>('DELETE FROM containers WHERE id = ?');
  const insertWith = db.transaction((record: ContainerRecord, alongside?: () => void) => {
    insertRow.run(rowOf(record));
    alongside?.();
  });
  // Insertion order is creation order.
  const byId = new Map<string, ContainerRecord>();
  const idByName = new Map<string, string>();
  const idsByImage = new Map<string, Set<string>>();
  const keep = (record: ContainerRecord): void => {
    byId.set(record.id, record);
    idByName.set(record.name, record.id);
    const ofImage = idsByImage.get(record.imageId) ?? new Set();
    idsByImage.set(record.imageId, ofImage.add(record.id));
  };
  for (const row of db.prepare<[], ContainerRow>('SELECT * FROM containers ORDER BY created_at, rowid').iterate()) {
    keep(recordOf(row));
  }

  function checkNameIsFree(name: string, id: string): void {
    const owner = idByName.get(name);
    if (owner !== undefined && owner !== id) throw nameConflict(name, owner);
  }

  const store: ContainerStore = {
    insert(record, alongside) {
      checkNameIsFree(record.name, record.id);
      insertWith(record, alongside);
      keep(record);
    },
    update(id, changes) {
      const before = byId.get(id);
      if (before === undefined) throw new Error(`the container ${id} is not in the database`);
      const after: ContainerRecord = { ...before, ...changes };
      checkNameIsFree(after.name, id);
      updateRow.run(
        after.name,
        after.status,
        after.startedAt,
        after.finishedAt,
        after.pid,
        after.pidStartTicks,
        after.exitCode,
        after.exitSignal,
        after.oomKilled ? 1 : 0,
        after.error,
        after.restartCount,
        after.stopRequested ? 1 : 0,
        id,
      );
      byId.set(id, after);
      if (after.name !== before.name) {
        idByName.delete(before.name);
        idByName.set(after.name, id);
      }
      return after;
    },
    delete(id) {
      deleteRow.run(id);
      const record = byId.get(id);
      if (record === undefined) return;
      byId.delete(id);
      idByName.delete(record.name);
      const ofImage = idsByImage.get(record.imageId);
      ofImage?.delete(id);
      if (ofImage?.size === 0) idsByImage.delete(record.imageId);
    },
    byId: (id) => byId.get(id),
    byName(name) {
      const id = idByName.get(name);
      return id === undefined ? undefined : byId.get(id);
    },
    lookup(reference) {
      const exact = byId.get(reference) ?? store.byName(reference.replace(/^\//, ''));
      if (exact !== undefined) return exact;
      if (/^[0-9a-f]{1,63}$/.test(reference)) {
        const found = [...byId.keys()].filter((id) => id.startsWith(reference));
        if (found.length > 1) {
          throw new TsdError('bad_parameter', `multiple IDs found with provided prefix: ${reference}`);
        }
        const record = found[0] === undefined ? undefined : byId.get(found[0]);
        if (record !== undefined) return record;
      }
      throw new TsdError('not_found', `No such container: ${reference}`);
    },
    list: () => [...byId.values()].reverse(),
    ofImage: (imageId) =>
      [...(idsByImage.get(imageId) ?? [])].map((id) => byId.get(id)).filter((record) => record !== undefined),
    count: () => byId.size,
  };
  return store;
}

/** Docker's answer to a name that is in use. */
export function nameConflict(name: string, ownerId: string): TsdError {
  return new TsdError(
    'conflict',
    `Conflict. The container name "/${name}" is already in use by container "${ownerId}". ` +
      'You have to remove (or rename) that container to be able to reuse that name.',
  );
}

function recordOf(row: ContainerRow): ContainerRecord {
  return {
    id: row.id,
    name: row.name,
    status: row.status,
    imageId: row.image_id,
    imageReference: row.image_reference,
    config: JSON.parse(row.config) as ContainerConfig,
    hostConfig: JSON.parse(row.host_config) as HostConfig,
    idRange: row.id_range ?? row.joined_id_range,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    pid: row.pid,
    pidStartTicks: row.pid_start_ticks,
    exitCode: row.exit_code,
    exitSignal: row.exit_signal,
    oomKilled: row.oom_killed === 1,
    error: row.error,
    restartCount: row.restart_count,
    stopRequested: row.stop_requested === 1,
  };
}

function rowOf(record: ContainerRecord): ContainerRow {
  return {
    id: record.id,
    name: record.name,
    status: record.status,
    image_id: record.imageId,
    image_reference: record.imageReference,
    config: JSON.stringify(record.config),
    host_config: JSON.stringify(record.hostConfig),
    id_range: joinsNamespace(record.hostConfig) ? null : record.idRange,
    joined_id_range: joinsNamespace(record.hostConfig) ? record.idRange : null,
    created_at: record.createdAt,
    started_at: record.startedAt,
    finished_at: record.finishedAt,
    pid: record.pid,
    pid_start_ticks: record.pidStartTicks,
    exit_code: record.exitCode,
    exit_signal: record.exitSignal,
    oom_killed: record.oomKilled ? 1 : 0,
    error: record.error,
    restart_count: record.restartCount,
    stop_requested: record.stopRequested ? 1 : 0,
  };
}
