/** The layers' rows and their reference counts: how many images stand on each. */
import { TsdError } from '@tsd/shared/errors';
import type { Database } from '../storage/database.ts';
import type { LayerStore, StoredLayer } from '../storage/layer-store.ts';

/** A layer's row. */
export interface LayerRecord {
  readonly diffId: string;
  readonly tarSizeBytes: number;
  readonly contentSizeBytes: number;
  readonly entryCount: number;
}

export interface LayerRecords {
  has(diffId: string): boolean;
  /** The layer known under a digest, be it of its tar or of a compressed form. */
  find(digest: string): LayerRecord | undefined;
  /** The image's layers, lowest first. */
  ofImage(imageId: string): LayerRecord[];
  /** Notes that an image stands on these. @throws TsdError `internal` when a layer's files are not there. */
  attach(imageId: string, layers: readonly LayerRecord[]): void;
  /** Deletes those of the rows that no image stands on any longer, and returns them. */
  deleteUnused(layers: readonly LayerRecord[]): LayerRecord[];
  ids(): string[];
}

const COLUMNS =
  'l.diff_id AS diffId, l.tar_size_bytes AS tarSizeBytes, l.content_size_bytes AS contentSizeBytes, l.entry_count AS entryCount';

export function createLayerRecords(db: Database, layerStore: Pick<LayerStore, 'has'>): LayerRecords {
  const select = db.prepare<[string], LayerRecord>(`SELECT ${COLUMNS} FROM layers l WHERE l.diff_id = ?`);
  const selectByDigest = db.prepare<[string], LayerRecord>(
    `SELECT ${COLUMNS} FROM layers l JOIN layer_digests d USING (diff_id) WHERE d.digest = ?`,
  );
  const selectOfImage = db.prepare<[string], LayerRecord>(
    `SELECT ${COLUMNS} FROM image_layers i JOIN layers l USING (diff_id) WHERE i.image_id = ? ORDER BY i.position`,
  );
  const insert = db.prepare(
    'INSERT INTO layers (diff_id, tar_size_bytes, content_size_bytes, entry_count) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const attachLayer = db.prepare(
    'INSERT INTO image_layers (image_id, position, diff_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const deleteUnused = db.prepare(
    'DELETE FROM layers WHERE diff_id = ? AND NOT EXISTS (SELECT 1 FROM image_layers i WHERE i.diff_id = layers.diff_id)',
  );
  const selectIds = db.prepare<[], string>('SELECT diff_id FROM layers ORDER BY diff_id').pluck();
  return {
    has: (diffId) => select.get(diffId) !== undefined,
    find: (digest) => select.get(digest) ?? selectByDigest.get(digest),
    ofImage: (imageId) => selectOfImage.all(imageId),
    attach(imageId, layers) {
      for (const [position, layer] of layers.entries()) {
        if (!layerStore.has(layer.diffId)) {
          throw new TsdError('internal', `layer ${layer.diffId} is not in the layer store: load the image again`);
        }
        insert.run(layer.diffId, layer.tarSizeBytes, layer.contentSizeBytes, layer.entryCount);
        attachLayer.run(imageId, position, layer.diffId);
      }
    },
    deleteUnused(layers) {
      const distinct = new Map(layers.map((layer) => [layer.diffId, layer]));
      return [...distinct.values()].filter((layer) => deleteUnused.run(layer.diffId).changes > 0);
    },
    ids: () => selectIds.all(),
  };
}

/** The row's form of what ingest reports. */
export function layerRecord({ diffId, tarSizeBytes, contentSizeBytes, entryCount }: StoredLayer): LayerRecord {
  return { diffId, tarSizeBytes, contentSizeBytes, entryCount };
}
