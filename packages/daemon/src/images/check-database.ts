/** The database's part of a system check: SQLite's own checks, and every row of images against its digest and reference. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LayerCounts } from '../storage/check-layer.ts';
import type { Database } from '../storage/database.ts';
import { type OciImageConfig, parseImageConfig } from './image-config.ts';
import type { ImageManifest } from './image-manifests.ts';

/** Faults of one table that are told. */
const MAX_FAULTS = 20;

export interface DatabaseFaults {
  /** What SQLite finds: nothing that tsd could mend. */
  readonly database: readonly { readonly table: string; readonly problem: string }[];
  readonly images: readonly ImageFault[];
  /** Manifests whose bytes are not what their digest says. */
  readonly manifests: readonly { readonly digest: string; readonly imageId: string }[];
  /** Containers whose image has no row. */
  readonly containers: readonly { readonly id: string; readonly imageId: string }[];
}

export type ImageFault =
  /** The configuration is not the one that the id is the digest of. */
  | { readonly kind: 'configuration'; readonly imageId: string }
  /** The references to layers, or the size, are not those of the configuration. */
  | { readonly kind: 'layers'; readonly imageId: string; readonly diffIds: readonly string[] }
  | { readonly kind: 'size'; readonly imageId: string; readonly sizeBytes: number };

/** Reads every row, one at a time, and lets the daemon go on between them. */
export async function checkDatabase(db: Database, signal: AbortSignal): Promise<DatabaseFaults> {
  const database: { table: string; problem: string }[] = [];
  for (const table of tables(db)) {
    await nextTurn(undefined, { signal });
    database.push(...integrityFaults(db, table).map((problem) => ({ table, problem })));
  }
  const images: ImageFault[] = [];
  for (const id of db.prepare<[], string>('SELECT id FROM images ORDER BY id').pluck().all()) {
    await nextTurn(undefined, { signal });
    const fault = checkImage(db, id);
    if (fault !== null) images.push(fault);
  }
  const manifests: { digest: string; imageId: string }[] = [];
  for (const digest of db.prepare<[], string>('SELECT digest FROM manifests ORDER BY digest').pluck().all()) {
    await nextTurn(undefined, { signal });
    const row = selectManifest(db, digest);
    if (row !== undefined && sha256(row.bytes) !== digest) manifests.push({ digest, imageId: row.imageId });
  }
  const containers = db
    .prepare<[], { id: string; imageId: string }>(
      'SELECT id, image_id AS imageId FROM containers WHERE image_id NOT IN (SELECT id FROM images)',
    )
    .all();
  return { database, images, manifests, containers };
}

/** Replaces an image's configuration. @param bytes those that the id is the digest of */
export function mendConfiguration(db: Database, imageId: string, bytes: Buffer): void {
  db.prepare('UPDATE images SET config = ? WHERE id = ?').run(bytes, imageId);
}

/** Makes the references to layers those of the configuration; whether all of the layers have rows. */
export function mendLayerReferences(db: Database, { imageId, diffIds }: ImageFault & { kind: 'layers' }): boolean {
  const hasRow = db.prepare<[string], 1>('SELECT 1 FROM layers WHERE diff_id = ?').pluck();
  if (!diffIds.every((diffId) => hasRow.get(diffId) !== undefined)) return false;
  db.transaction(() => {
    db.prepare('DELETE FROM image_layers WHERE image_id = ?').run(imageId);
    const insert = db.prepare('INSERT INTO image_layers (image_id, position, diff_id) VALUES (?, ?, ?)');
    for (const [position, diffId] of diffIds.entries()) insert.run(imageId, position, diffId);
    mendSize(db, { imageId, sizeBytes: layersSizeBytes(db, imageId) });
  }).immediate();
  return true;
}

export function mendSize(
  db: Database,
  { imageId, sizeBytes }: { readonly imageId: string; readonly sizeBytes: number },
): void {
  db.prepare('UPDATE images SET size_bytes = ? WHERE id = ?').run(sizeBytes, imageId);
}

/** Puts the right bytes in, or, with null, forgets the manifest. */
export function mendManifest(db: Database, digest: string, manifest: ImageManifest | null): void {
  if (manifest === null) db.prepare('DELETE FROM manifests WHERE digest = ?').run(digest);
  else db.prepare('UPDATE manifests SET bytes = ? WHERE digest = ?').run(manifest.bytes, digest);
}

export function mendLayerCounts(db: Database, diffId: string, counts: LayerCounts): void {
  const { tarSizeBytes, contentSizeBytes, entryCount } = counts;
  db.transaction(() => {
    db.prepare('UPDATE layers SET tar_size_bytes = ?, content_size_bytes = ?, entry_count = ? WHERE diff_id = ?').run(
      tarSizeBytes,
      contentSizeBytes,
      entryCount,
      diffId,
    );
    for (const imageId of imagesOn(db, diffId)) mendSize(db, { imageId, sizeBytes: layersSizeBytes(db, imageId) });
  }).immediate();
}

/** Ids of the images that stand on a layer, hidden ones too. */
export function imagesOn(db: Database, diffId: string): string[] {
  return db
    .prepare<[string], string>('SELECT DISTINCT image_id FROM image_layers WHERE diff_id = ? ORDER BY image_id')
    .pluck()
    .all(diffId);
}

function checkImage(db: Database, imageId: string): ImageFault | null {
  const row = db
    .prepare<[string], { config: Buffer; size_bytes: number }>('SELECT config, size_bytes FROM images WHERE id = ?')
    .get(imageId);
  if (row === undefined) return null;
  const config = sha256(row.config) === imageId ? parsed(row.config) : null;
  if (config === null) return { kind: 'configuration', imageId };
  const diffIds = config.rootfs.diff_ids;
  const referred = db
    .prepare<[string], string>('SELECT diff_id FROM image_layers WHERE image_id = ? ORDER BY position')
    .pluck()
    .all(imageId);
  if (diffIds.join() !== referred.join()) return { kind: 'layers', imageId, diffIds };
  const sizeBytes = layersSizeBytes(db, imageId);
  return sizeBytes === row.size_bytes ? null : { kind: 'size', imageId, sizeBytes };
}

function parsed(config: Buffer): OciImageConfig | null {
  try {
    return parseImageConfig(config);
  } catch {
    return null; // Whoever stored it had parsed it.
  }
}

function layersSizeBytes(db: Database, imageId: string): number {
  return (
    db
      .prepare<[string], number>(
        'SELECT coalesce(sum(l.content_size_bytes), 0) FROM image_layers i JOIN layers l USING (diff_id) WHERE i.image_id = ?',
      )
      .pluck()
      .get(imageId) ?? 0
  );
}

function selectManifest(db: Database, digest: string): { imageId: string; bytes: Buffer } | undefined {
  return db
    .prepare<[string], { imageId: string; bytes: Buffer }>(
      'SELECT image_id AS imageId, bytes FROM manifests WHERE digest = ?',
    )
    .get(digest);
}

function tables(db: Database): string[] {
  return db.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
}

/** Structure, indexes and constraints of one table, then its foreign keys. https://sqlite.org/pragma.html */
function integrityFaults(db: Database, table: string): string[] {
  const name = `"${table.replaceAll('"', '""')}"`;
  const structure = db.pragma(`integrity_check(${name})`) as { integrity_check: string }[];
  const keys = db.pragma(`foreign_key_check(${name})`) as { rowid: number | null; parent: string }[];
  return [
    ...structure.map((row) => row.integrity_check).filter((said) => said !== 'ok'),
    ...keys.map(({ parent }) => `a row refers to one of ${parent} that is not there`),
  ].slice(0, MAX_FAULTS);
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
