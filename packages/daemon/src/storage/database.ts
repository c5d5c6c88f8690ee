/**
 * Opens the daemon's SQLite database: the only truth about what should exist.
 *
 * One daemon per data root: the connection holds SQLite's exclusive lock (`PRAGMA locking_mode`) from the first access
 * until the process ends, so the kernel releases it with a killed daemon too. WAL with `synchronous = NORMAL` does not
 * fsync at each commit: a commit survives the death of the process, and after a power failure the database is
 * consistent, though the last commits may be missing; reconcile compares with the kernel and the directories then.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import SqliteDatabase from 'better-sqlite3';

export type Database = SqliteDatabase.Database;

/** How long an open waits for a daemon that is just ending to release the lock. */
const BUSY_TIMEOUT_MS = 2000;

/** More than the log grows to: SQLite begins it again after 1,000 pages of 4 KiB. */
const RESERVED_LOG_BYTES = 5 * 1024 * 1024;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

/**
 * Opens the database file (made with mode 0600 where missing) and brings its schema up to date.
 *
 * @throws TsdError `conflict` when another daemon holds it, `internal` when a newer tsd has written it.
 */
export function openDatabase(path: string, migrations: readonly Migration[] = readMigrations()): Database {
  if (path !== ':memory:') closeSync(openSync(path, 'a', 0o600));
  const db = new SqliteDatabase(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = NORMAL');
    db.pragma('foreign_keys = ON');
    // Takes the exclusive lock now, before anything of the data root is touched.
    db.exec('BEGIN IMMEDIATE; COMMIT;');
    migrate(db, path, migrations);
    if (path !== ':memory:') reserveLog(`${path}-wal`);
    return db;
  } catch (error) {
    db.close();
    if (error instanceof SqliteDatabase.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new TsdError(
        'conflict',
        `another tsd daemon uses ${path}: stop it, or give this one a --data-root of its own`,
        { cause: error },
      );
    }
    throw error;
  }
}

/**
 * Takes the space of the write-ahead log before it is needed: a full disk must not keep anyone from removing images and
 * containers, nor an exit from being recorded. SQLite writes over what is there and ends its log at the first frame that is
 * not its own. Where there is no space now, there is no reserve.
 */
function reserveLog(path: string): void {
  const log = openSync(path, 'r+');
  try {
    const zeros = Buffer.alloc(64 * 1024);
    for (let size = fstatSync(log).size; size < RESERVED_LOG_BYTES; size += zeros.length) {
      writeSync(log, zeros, 0, zeros.length, size);
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  } finally {
    closeSync(log);
  }
}

/** The numbered files of migrations/, in order. */
export function readMigrations(directory: URL = new URL('./migrations/', import.meta.url)): readonly Migration[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name, index) => {
      const version = Number.parseInt(name, 10);
      if (version !== index + 1)
        throw new Error(`migrations are numbered without a gap: ${name} is number ${index + 1}`);
      return { version, name, sql: readFileSync(new URL(name, directory), 'utf8') };
    });
}

function migrate(db: Database, path: string, migrations: readonly Migration[]): void {
  const current = Number(db.pragma('user_version', { simple: true }));
  const newest = migrations.at(-1)?.version ?? 0;
  if (current > newest) {
    throw new TsdError(
      'internal',
      `${path} was written by a newer tsd (schema ${current}, this one knows ${newest}): ` +
        'start that version, or give this one a --data-root of its own',
    );
  }
  for (const migration of migrations) {
    if (migration.version <= current) continue;
    db.transaction(() => {
      db.exec(migration.sql);
      db.pragma(`user_version = ${migration.version}`);
    }).immediate();
  }
}
