import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Migration, openDatabase, readMigrations } from '../src/storage/database.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-database-'));
t.teardown(() => rmSync(directory, { recursive: true }));

t.test('a new database has every migration, is private, WAL and checks its foreign keys', (t) => {
  const path = join(directory, 'new.db');
  const db = openDatabase(path);
  t.equal(db.pragma('user_version', { simple: true }), readMigrations().length);
  t.equal(db.pragma('journal_mode', { simple: true }), 'wal');
  t.equal(db.pragma('synchronous', { simple: true }), 1);
  t.equal(db.pragma('foreign_keys', { simple: true }), 1);
  t.equal(statSync(path).mode & 0o777, 0o600);
  db.close();
  t.end();
});

t.test('every table is STRICT', (t) => {
  const db = openDatabase(':memory:');
  const tables = db
    .prepare(`SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'`)
    .all();
  t.ok(tables.length > 0);
  for (const table of tables as { name: string; strict: number }[]) t.equal(table.strict, 1, table.name);
  db.close();
  t.end();
});

t.test('a second open of the same file is refused and says why', (t) => {
  const path = join(directory, 'locked.db');
  const db = openDatabase(path);
  t.throws(() => openDatabase(path), { code: 'conflict', message: /another tsd daemon uses .*locked\.db/ });
  db.close();
  openDatabase(path).close();
  t.end();
});

t.test('a database of a newer tsd is refused', (t) => {
  const path = join(directory, 'newer.db');
  const db = openDatabase(path);
  db.pragma('user_version = 99');
  db.close();
  t.throws(() => openDatabase(path), { code: 'internal', message: /newer tsd \(schema 99/ });
  t.end();
});

t.test('migrations apply in order, once, and a failing one leaves nothing of itself', (t) => {
  const path = join(directory, 'migrations.db');
  const first: Migration = { version: 1, name: '0001-a.sql', sql: 'CREATE TABLE a (x INTEGER) STRICT;' };
  const second: Migration = {
    version: 2,
    name: '0002-b.sql',
    sql: 'CREATE TABLE b (x INTEGER) STRICT; INSERT INTO a VALUES (1);',
  };
  const broken: Migration = { version: 3, name: '0003-c.sql', sql: 'CREATE TABLE c (x INTEGER) STRICT; NONSENSE;' };
  openDatabase(path, [first]).close();
  t.throws(() => openDatabase(path, [first, second, broken]), /syntax error/);
  const db = openDatabase(path, [first, second]);
  t.equal(db.pragma('user_version', { simple: true }), 2);
  t.same(db.prepare('SELECT count(*) AS n FROM a').get(), { n: 1 });
  t.throws(() => db.prepare('SELECT * FROM c'), /no such table/);
  db.close();
  t.end();
});

t.test('endpoints of before their indexes were partial are kept, and still unique', (t) => {
  const path = join(directory, 'endpoints.db');
  const container = 'c'.repeat(64);
  const network = 'd'.repeat(64);
  const before = openDatabase(path, readMigrations().slice(0, 4));
  before
    .prepare(
      `INSERT INTO containers (id, name, status, image_id, image_reference, config, host_config, created_at)
       VALUES (?, 'c', 'created', 'sha256:1', 'i', '{}', '{}', '2026-11-29T00:00:00Z')`,
    )
    .run(container);
  const put = (
    db: typeof before,
    networkId: string,
    id: string | null,
    ipv4: string | null,
    name: string | null,
  ): void => {
    db.prepare(
      `INSERT INTO endpoints (container_id, network_id, network_name, position, config, id, ipv4, interface)
       VALUES (?, ?, 'n', 0, '{"IPAMConfig":{"IPv4Address":"10.0.0.9"}}', ?, ?, ?)`,
    ).run(container, networkId, id, ipv4, name);
  };
  put(before, network, 'e'.repeat(64), '10.0.0.2', 'eth0');
  put(before, 'f'.repeat(64), null, null, null);
  before.close();

  const db = openDatabase(path);
  t.strictSame(
    db.prepare('SELECT network_id, id, ipv4, interface, requested_ipv4 FROM endpoints ORDER BY network_id').all(),
    [
      { network_id: network, id: 'e'.repeat(64), ipv4: '10.0.0.2', interface: 'eth0', requested_ipv4: '10.0.0.9' },
      { network_id: 'f'.repeat(64), id: null, ipv4: null, interface: null, requested_ipv4: '10.0.0.9' },
    ],
  );
  const other = 'a'.repeat(64);
  t.throws(() => put(db, other, 'e'.repeat(64), null, null), /UNIQUE constraint failed: endpoints.id/);
  t.throws(() => put(db, other, '1'.repeat(64), null, 'eth0'), /UNIQUE constraint failed: endpoints.container_id/);
  t.throws(
    () =>
      db.prepare("UPDATE endpoints SET network_id = ?, id = ?, ipv4 = '10.0.0.2' WHERE id IS NULL").run(network, other),
    /UNIQUE constraint failed: endpoints/,
  );
  put(db, other, null, null, null);
  db.close();
  t.end();
});
