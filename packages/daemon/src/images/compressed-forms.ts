/** Rows of the compressed forms in which layers have come or were sent, and where registries have them. */
import { TsdError } from '@tsd/shared/errors';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Database } from '../storage/database.ts';

/** One form of a layer as registries hold it. A plain tar is one too: its digest is the diff id. */
export interface CompressedForm {
  readonly digest: string;
  readonly diffId: string;
  readonly mediaType: string | null;
  readonly sizeBytes: number | null;
  /** Whether the blob store has it. */
  readonly kept: boolean;
}

export interface KeptBlob {
  readonly digest: string;
  readonly diffId: string;
  readonly sizeBytes: number;
}

export interface CompressedForms {
  /** Adds what is new about a form, and a repository that has it. @throws TsdError `internal` where a kept one has no file */
  add(form: CompressedForm, repository?: string): void;
  ofLayer(diffId: string): (CompressedForm & { repositories: string[] })[];
  setKept(digest: string, kept: boolean): void;
  isKept(digest: string): boolean;
  kept(): KeptBlob[];
}

interface FormRow {
  readonly digest: string;
  readonly diff_id: string;
  readonly media_type: string | null;
  readonly size_bytes: number | null;
  readonly kept: number;
}

export function createCompressedForms(db: Database, blobStore: Pick<BlobStore, 'has'>): CompressedForms {
  const upsert = db.prepare(
    `INSERT INTO layer_digests (digest, diff_id, media_type, size_bytes, kept) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (digest) DO UPDATE SET media_type = coalesce(excluded.media_type, media_type),
       size_bytes = coalesce(excluded.size_bytes, size_bytes), kept = max(excluded.kept, kept)`,
  );
  const insertSource = db.prepare('INSERT INTO blob_sources (digest, repository) VALUES (?, ?) ON CONFLICT DO NOTHING');
  const columns = 'digest, diff_id, media_type, size_bytes, kept';
  const selectOfLayer = db.prepare<[string], FormRow>(
    `SELECT ${columns} FROM layer_digests WHERE diff_id = ? ORDER BY kept DESC, digest`,
  );
  const selectSources = db
    .prepare<[string], string>('SELECT repository FROM blob_sources WHERE digest = ? ORDER BY repository')
    .pluck();
  const update = db.prepare('UPDATE layer_digests SET kept = ? WHERE digest = ?');
  const selectKept = db.prepare<[string], 1>('SELECT 1 FROM layer_digests WHERE digest = ? AND kept = 1').pluck();
  const selectAllKept = db.prepare<[], FormRow>(`SELECT ${columns} FROM layer_digests WHERE kept = 1 ORDER BY digest`);
  const requireFile = (digest: string): void => {
    if (!blobStore.has(digest)) throw new TsdError('internal', `blob ${digest} is not in the blob store`);
  };
  return {
    add({ digest, diffId, mediaType, sizeBytes, kept }, repository) {
      if (kept) requireFile(digest);
      upsert.run(digest, diffId, mediaType, sizeBytes, kept ? 1 : 0);
      if (repository !== undefined) insertSource.run(digest, repository);
    },
    ofLayer: (diffId) =>
      selectOfLayer.all(diffId).map((row) => ({
        digest: row.digest,
        diffId: row.diff_id,
        mediaType: row.media_type,
        sizeBytes: row.size_bytes,
        kept: row.kept === 1,
        repositories: selectSources.all(row.digest),
      })),
    setKept(digest, kept) {
      if (kept) requireFile(digest);
      update.run(kept ? 1 : 0, digest);
    },
    isKept: (digest) => selectKept.get(digest) !== undefined,
    kept: () =>
      selectAllKept
        .all()
        .map(({ digest, diff_id, size_bytes }) => ({ digest, diffId: diff_id, sizeBytes: size_bytes ?? 0 })),
  };
}
