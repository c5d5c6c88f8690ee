/**
 * Images, their names and the reference counts of their layers, in SQLite. Rows only: the layers' files are the layer
 * store's, and {@link ImageStore.layers} says when they may go. Every method is one transaction.
 */
import { createHash } from 'node:crypto';
import { TsdError } from '@tsd/shared/errors';
import {
  familiarString,
  type ImageReference,
  isDigest,
  parseReference,
  repositoryName,
  withDefaultTag,
} from '@tsd/shared/image-reference';
import type { Database } from '../storage/database.ts';
import type { LayerStore, StoredLayer } from '../storage/layer-store.ts';
import { type Image, ZERO_TIME } from './image.ts';
import { type OciImageConfig, parseImageConfig } from './image-config.ts';
import { createLayerGate, type LayerGate } from './layer-gate.ts';

/** A layer's row. */
export interface LayerRecord {
  readonly diffId: string;
  readonly tarSizeBytes: number;
  readonly contentSizeBytes: number;
  readonly entryCount: number;
}

export interface NewImage {
  readonly configBytes: Buffer;
  /** Lowest first; their files are in the layer store. */
  readonly layers: readonly LayerRecord[];
  /** Digests of compressed forms in which the layers came, with the layer's diff id. */
  readonly layerDigests?: ReadonlyMap<string, string>;
  readonly tags: readonly ImageReference[];
}

/** An image that lost a name to another one. */
export interface ReplacedTag {
  readonly reference: ImageReference;
  readonly imageId: string;
}

export interface AddedImage {
  readonly image: Image;
  /** The names that it was given. */
  readonly tags: readonly ImageReference[];
  readonly replaced: readonly ReplacedTag[];
}

export interface ImageStore {
  /** Guards the layers' files; work that ingests layers runs inside `layers.hold`. */
  readonly layers: LayerGate;
  /**
   * The image that a user means: a name, a name with digest, a complete id or an unambiguous beginning of one.
   * @throws TsdError `not_found` "No such image: x", `bad_parameter` for an invalid or ambiguous reference.
   */
  resolve(reference: string): Image;
  /** By complete id, also one that was removed by force and lives on in containers; null when there is none. */
  get(imageId: string): Image | null;
  /** Every image that users see, newest first. */
  list(): Image[];
  /** How many images users see. */
  count(): number;
  /** The tags of a repository, with the images they point to. */
  repositoryTags(reference: ImageReference): { readonly reference: ImageReference; readonly imageId: string }[];
  /** All names of an image: tags, then digests. */
  references(imageId: string): ImageReference[];
  /** Commits images, their layers' rows and their tags: all or none. Adding one that exists adds the tags. */
  add(images: readonly NewImage[]): AddedImage[];
  /** Points a name at the image; the name's former image, if it was another one. */
  tag(imageId: string, reference: ImageReference): ReplacedTag | null;
  /** Removes one name. Returns whether it was there. */
  untag(reference: ImageReference): boolean;
  /**
   * Deletes the image's row and names and the rows of layers that nothing else needs; the caller then gives those to
   * `layers.discard`. With `keepHidden` the row and the layers stay for containers, and only users no longer see it.
   */
  remove(imageId: string, options: { keepHidden: boolean }): LayerRecord[];
  /** Ids of images that only containers keep. */
  hidden(): string[];
  /** The layer known under a digest, be it of its tar or of a compressed form; null when none is stored. */
  findLayer(digest: string): LayerRecord | null;
  /** The image's layers, lowest first. */
  imageLayers(imageId: string): LayerRecord[];
  /** Diff ids of all rows. */
  layerIds(): string[];
}

export interface ImageStoreDeps {
  readonly db: Database;
  readonly layerStore: Pick<LayerStore, 'has' | 'remove'>;
  readonly onLayerError: (diffId: string, error: unknown) => void;
}

interface ImageRow {
  readonly id: string;
  readonly config: Buffer;
  readonly size_bytes: number;
  readonly last_tagged_at: string | null;
}

interface NameRow {
  readonly image_id: string;
  readonly repository: string;
  readonly name: string;
}

const COLUMNS = 'id, config, size_bytes, last_tagged_at';
const LAYER_COLUMNS =
  'l.diff_id AS diffId, l.tar_size_bytes AS tarSizeBytes, l.content_size_bytes AS contentSizeBytes, l.entry_count AS entryCount';

export function createImageStore({ db, layerStore, onLayerError }: ImageStoreDeps): ImageStore {
  const configs = new Map<string, OciImageConfig>();

  const selectImage = db.prepare<[string], ImageRow>(`SELECT ${COLUMNS} FROM images WHERE id = ?`);
  const selectVisible = db.prepare<[], ImageRow>(`SELECT ${COLUMNS} FROM images WHERE removed = 0`);
  const selectByPrefix = db.prepare<[string, string], { id: string }>(
    'SELECT id FROM images WHERE removed = 0 AND id >= ? AND id < ? LIMIT 2',
  );
  const selectTagged = db
    .prepare<[string, string], string>('SELECT image_id FROM image_tags WHERE repository = ? AND tag = ?')
    .pluck();
  const selectDigested = db
    .prepare<[string, string], string>('SELECT image_id FROM image_digests WHERE repository = ? AND digest = ?')
    .pluck();
  const selectTags = db.prepare<[string | null], NameRow>(
    'SELECT image_id, repository, tag AS name FROM image_tags WHERE image_id = ifnull(?, image_id) ORDER BY repository, tag',
  );
  const selectDigests = db.prepare<[string | null], NameRow>(
    'SELECT image_id, repository, digest AS name FROM image_digests WHERE image_id = ifnull(?, image_id) ORDER BY repository, digest',
  );
  const selectLayer = db.prepare<[string], LayerRecord>(`SELECT ${LAYER_COLUMNS} FROM layers l WHERE l.diff_id = ?`);
  const selectLayerByDigest = db.prepare<[string], LayerRecord>(
    `SELECT ${LAYER_COLUMNS} FROM layers l JOIN layer_digests d USING (diff_id) WHERE d.digest = ?`,
  );
  const selectImageLayers = db.prepare<[string], LayerRecord>(
    `SELECT ${LAYER_COLUMNS} FROM image_layers i JOIN layers l USING (diff_id) WHERE i.image_id = ? ORDER BY i.position`,
  );

  const rowToImage = (row: ImageRow, tags: readonly NameRow[], digests: readonly NameRow[]): Image => {
    let config = configs.get(row.id);
    if (config === undefined) {
      config = parseImageConfig(row.config);
      configs.set(row.id, config);
    }
    return {
      id: row.id,
      config,
      configBytes: row.config,
      diffIds: config.rootfs.diff_ids,
      repoTags: tags.map((name) => familiarString(tagReference(name))),
      repoDigests: digests.map((name) => familiarString(digestReference(name))),
      sizeBytes: row.size_bytes,
      createdAt: config.created ?? ZERO_TIME,
      lastTaggedAt: row.last_tagged_at,
    };
  };
  const get = (imageId: string): Image | null => {
    const row = selectImage.get(imageId);
    return row === undefined ? null : rowToImage(row, selectTags.all(imageId), selectDigests.all(imageId));
  };
  // The range holds exactly the one complete id.
  const visible = (imageId: string | undefined): Image | null => {
    if (imageId === undefined || selectByPrefix.get(imageId, `${imageId}~`) === undefined) return null;
    return get(imageId);
  };
  const setTag = (imageId: string, reference: ImageReference): ReplacedTag | null => {
    const { tag } = withDefaultTag(reference);
    if (tag === undefined) throw new TsdError('bad_parameter', 'refusing to create a tag with a digest reference');
    const former = selectTagged.get(repositoryName(reference), tag);
    if (former === imageId) return null;
    db.prepare(
      'INSERT INTO image_tags (repository, tag, image_id) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET image_id = excluded.image_id',
    ).run(repositoryName(reference), tag, imageId);
    db.prepare('UPDATE images SET last_tagged_at = ? WHERE id = ?').run(new Date().toISOString(), imageId);
    return former === undefined ? null : { reference: withDefaultTag(reference), imageId: former };
  };
  const insertLayer = (layer: LayerRecord): void => {
    if (!layerStore.has(layer.diffId)) {
      throw new TsdError('internal', `layer ${layer.diffId} is not in the layer store: load the image again`);
    }
    db.prepare(
      'INSERT INTO layers (diff_id, tar_size_bytes, content_size_bytes, entry_count) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    ).run(layer.diffId, layer.tarSizeBytes, layer.contentSizeBytes, layer.entryCount);
  };

  const addOne = ({ configBytes, layers, layerDigests, tags }: NewImage): AddedImage => {
    const id = `sha256:${createHash('sha256').update(configBytes).digest('hex')}`;
    const config = parseImageConfig(configBytes);
    if (config.rootfs.diff_ids.join() !== layers.map((layer) => layer.diffId).join()) {
      throw new TsdError('internal', `image ${id} was given layers that its configuration does not name`);
    }
    for (const layer of layers) insertLayer(layer);
    for (const [digest, diffId] of layerDigests ?? []) {
      db.prepare('INSERT INTO layer_digests (digest, diff_id) VALUES (?, ?) ON CONFLICT DO NOTHING').run(
        digest,
        diffId,
      );
    }
    const known = selectImage.get(id) !== undefined;
    if (known) {
      db.prepare('UPDATE images SET removed = 0 WHERE id = ?').run(id);
    } else {
      const sizeBytes = layers.reduce((sum, layer) => sum + layer.contentSizeBytes, 0);
      db.prepare('INSERT INTO images (id, config, size_bytes, stored_at) VALUES (?, ?, ?, ?)').run(
        id,
        configBytes,
        sizeBytes,
        new Date().toISOString(),
      );
      const insert = db.prepare('INSERT INTO image_layers (image_id, position, diff_id) VALUES (?, ?, ?)');
      for (const [position, layer] of layers.entries()) insert.run(id, position, layer.diffId);
    }
    const replaced = tags.map((tag) => setTag(id, tag)).filter((former) => former !== null);
    const image = get(id);
    if (image === null) throw new TsdError('internal', `image ${id} vanished while it was stored`);
    return { image, tags, replaced };
  };

  return {
    layers: createLayerGate({
      isReferenced: (diffId) => selectLayer.get(diffId) !== undefined,
      remove: (diffId) => layerStore.remove(diffId),
      onError: onLayerError,
    }),

    resolve(reference) {
      const named = parseUnlessId(reference);
      const byName = (): string | undefined => {
        if (named === null) return undefined;
        const { tag, digest } = withDefaultTag(named);
        if (digest !== undefined) return selectDigested.get(repositoryName(named), digest);
        return tag === undefined ? undefined : selectTagged.get(repositoryName(named), tag);
      };
      const image = visible(byName()) ?? visible(findByIdPrefix(reference));
      if (image !== null) return image;
      throw new TsdError(
        'not_found',
        `No such image: ${named === null ? reference : familiarString(withDefaultTag(named))}`,
      );
    },

    get,

    list() {
      const tags = Map.groupBy(selectTags.all(null), (name) => name.image_id);
      const digests = Map.groupBy(selectDigests.all(null), (name) => name.image_id);
      return selectVisible
        .all()
        .map((row) => rowToImage(row, tags.get(row.id) ?? [], digests.get(row.id) ?? []))
        .map((image) => ({ image, createdMs: Date.parse(image.createdAt) }))
        .sort((a, b) => b.createdMs - a.createdMs || (a.image.id < b.image.id ? -1 : 1))
        .map(({ image }) => image);
    },

    count: () => db.prepare<[], number>('SELECT count(*) FROM images WHERE removed = 0').pluck().get() ?? 0,

    repositoryTags(reference) {
      const repository = repositoryName(reference);
      return db
        .prepare<[string], NameRow>(
          'SELECT image_id, repository, tag AS name FROM image_tags WHERE repository = ? ORDER BY tag',
        )
        .all(repository)
        .map((name) => ({ reference: tagReference(name), imageId: name.image_id }));
    },

    references(imageId) {
      return [...selectTags.all(imageId).map(tagReference), ...selectDigests.all(imageId).map(digestReference)];
    },

    add: db.transaction((images: readonly NewImage[]) => images.map(addOne)).immediate,

    tag: db.transaction(setTag).immediate,

    untag(reference) {
      const { tag, digest } = withDefaultTag(reference);
      const statement =
        digest === undefined
          ? db.prepare('DELETE FROM image_tags WHERE repository = ? AND tag = ?')
          : db.prepare('DELETE FROM image_digests WHERE repository = ? AND digest = ?');
      return statement.run(repositoryName(reference), digest ?? tag).changes > 0;
    },

    remove: db.transaction((imageId: string, { keepHidden }: { keepHidden: boolean }): LayerRecord[] => {
      if (keepHidden) {
        db.prepare('DELETE FROM image_tags WHERE image_id = ?').run(imageId);
        db.prepare('DELETE FROM image_digests WHERE image_id = ?').run(imageId);
        db.prepare('UPDATE images SET removed = 1 WHERE id = ?').run(imageId);
        return [];
      }
      const layers = new Map(selectImageLayers.all(imageId).map((layer) => [layer.diffId, layer]));
      db.prepare('DELETE FROM images WHERE id = ?').run(imageId);
      configs.delete(imageId);
      const deleteUnused = db.prepare(
        'DELETE FROM layers WHERE diff_id = ? AND NOT EXISTS (SELECT 1 FROM image_layers WHERE image_layers.diff_id = layers.diff_id)',
      );
      return [...layers.values()].filter((layer) => deleteUnused.run(layer.diffId).changes > 0);
    }).immediate,

    hidden: () => db.prepare<[], string>('SELECT id FROM images WHERE removed = 1').pluck().all(),

    findLayer(digest) {
      const layer = selectLayer.get(digest) ?? selectLayerByDigest.get(digest);
      return layer !== undefined && layerStore.has(layer.diffId) ? layer : null;
    },

    imageLayers: (imageId) => selectImageLayers.all(imageId),

    layerIds: () => db.prepare<[], string>('SELECT diff_id FROM layers ORDER BY diff_id').pluck().all(),
  };

  function findByIdPrefix(text: string): string | undefined {
    const hex = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return undefined;
    // '~' sorts after every hexadecimal digit.
    const matches = selectByPrefix.all(`sha256:${hex}`, `sha256:${hex}~`);
    if (matches.length > 1) {
      throw new TsdError(
        'bad_parameter',
        `image id ${text} is ambiguous: several images begin with it, give more digits`,
      );
    }
    return matches[0]?.id;
  }
}

/** The row's form of what ingest reports. */
export function layerRecord({ diffId, tarSizeBytes, contentSizeBytes, entryCount }: StoredLayer): LayerRecord {
  return { diffId, tarSizeBytes, contentSizeBytes, entryCount };
}

/** Null for a complete id, with or without `sha256:`, which is no name. */
function parseUnlessId(text: string): ImageReference | null {
  return isDigest(text) || isDigest(`sha256:${text}`) ? null : parseReference(text);
}

function tagReference({ repository, name }: NameRow): ImageReference {
  return { ...parseReference(repository), tag: name };
}

function digestReference({ repository, name }: NameRow): ImageReference {
  return { ...parseReference(repository), digest: name };
}
