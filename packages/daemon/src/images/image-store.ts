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
  withDefaultTag,
} from '@tsd/shared/image-reference';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Database } from '../storage/database.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import { type CompressedForm, createCompressedForms, type KeptBlob } from './compressed-forms.ts';
import { type Image, ZERO_TIME } from './image.ts';
import { type OciImageConfig, parseImageConfig } from './image-config.ts';
import { createImageManifests, type ImageManifest } from './image-manifests.ts';
import { createImageNames, type NamedImage } from './image-names.ts';
import { createLayerPins, type LayerPins } from './layer-pins.ts';
import { createLayerRecords, type LayerRecord } from './layer-records.ts';

export interface NewImage {
  readonly configBytes: Buffer;
  /** Lowest first; their files are in the layer store. */
  readonly layers: readonly LayerRecord[];
  /** Compressed forms in which the layers came; the blobs of kept ones are in the blob store. */
  readonly layerDigests?: readonly CompressedForm[];
  /** Where it was pulled from. */
  readonly source?: ImageSource;
  readonly tags: readonly ImageReference[];
}

export interface ImageSource {
  /** Canonical, `docker.io/library/alpine`: it has the manifests and every compressed form. */
  readonly repository: string;
  /** From the index, where there was one, to the image's manifest. */
  readonly manifests: readonly ImageManifest[];
  /** What `repository@digest` names: the index's where there was one. */
  readonly digest: string;
}

export interface AddedImage {
  readonly image: Image;
  /** The names that it was given. */
  readonly tags: readonly ImageReference[];
  /** Names that another image lost to it. */
  readonly replaced: readonly NamedImage[];
}

export interface ImageStore {
  /** Guards the files of layers and blobs: work that brings them in, or relies on them, runs inside `layers.hold`. */
  readonly layers: LayerPins;
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
  repositoryTags(reference: ImageReference): NamedImage[];
  /** All names of an image: tags, then digests. */
  references(imageId: string): ImageReference[];
  /** Commits images, their layers' rows and their tags: all or none. Adding one that exists adds the tags. */
  add(images: readonly NewImage[]): AddedImage[];
  /** Points a name at the image; the name's former image, if it was another one. */
  tag(imageId: string, reference: ImageReference): NamedImage | null;
  /** Removes one name. Returns whether it was there. */
  untag(reference: ImageReference): boolean;
  /**
   * Deletes the image's row and names and the rows of layers that nothing else needs; the caller then gives those to
   * `layers.discard`. With `keepHidden` the row and the layers stay for containers, and only users no longer see it.
   */
  remove(imageId: string, options: { keepHidden: boolean }): LayerRecord[];
  /** Commits all that `work` does with this store, or nothing of it. */
  atomically<T>(work: () => T): T;
  /** Ids of images that only containers keep. */
  hidden(): string[];
  /** The layer known under a digest, be it of its tar or of a compressed form; null when none is stored. */
  findLayer(digest: string): LayerRecord | null;
  /** The image's layers, lowest first. */
  imageLayers(imageId: string): LayerRecord[];
  /** Diff ids of all rows. */
  layerIds(): string[];
  /** The forms in which a layer has come or was sent, kept ones first, with the repositories that have them. */
  compressedForms(diffId: string): (CompressedForm & { repositories: string[] })[];
  /**
   * Notes a form of a stored layer, and a repository that has it. The blob of a kept one is in the blob store, and pinned.
   */
  addCompressedForm(form: CompressedForm, repository?: string): void;
  /** Before the blob of a form that is no longer kept is removed: give its digest to `layers.discard` afterwards. */
  setKept(digest: string, kept: boolean): void;
  keptBlobs(): KeptBlob[];
  /** The manifests that are known to lead to the image, indexes first. */
  manifests(imageId: string): ImageManifest[];
  /** Notes that a repository has a manifest of the image, which gives it the name `repository@digest`. */
  addManifest(imageId: string, manifest: ImageManifest, repository: string): void;
  /** Marks an image that no container can be started from, or, with null, a sound one. */
  setBroken(imageId: string, reason: string | null): void;
}

export interface ImageStoreDeps {
  readonly db: Database;
  readonly layerStore: Pick<LayerStore, 'has' | 'remove'>;
  readonly blobStore: Pick<BlobStore, 'has' | 'remove'>;
  /** Told of a layer or blob whose files could not be removed. */
  readonly onLayerError: (digest: string, error: unknown) => void;
}

interface ImageRow {
  readonly id: string;
  readonly config: Buffer;
  readonly size_bytes: number;
  readonly last_tagged_at: string | null;
  readonly broken: string | null;
}

/** Stands in for one that cannot be read, so that the image can be listed, removed and repaired all the same. */
const UNREADABLE_CONFIG: OciImageConfig = {
  architecture: '',
  os: 'linux',
  config: {},
  rootfs: { type: 'layers', diff_ids: [] },
  history: [],
};

export function createImageStore({ db, layerStore, blobStore, onLayerError }: ImageStoreDeps): ImageStore {
  const names = createImageNames(db);
  const layerRecords = createLayerRecords(db, layerStore);
  const forms = createCompressedForms(db, blobStore);
  const manifests = createImageManifests(db);
  const layers = createLayerPins({
    layers: {
      isReferenced: (diffId) => layerRecords.has(diffId),
      remove: (diffId) => layerStore.remove(diffId),
    },
    blobs: {
      isReferenced: (digest) => forms.isKept(digest),
      remove: (digest) => blobStore.remove(digest),
    },
    onError: onLayerError,
  });
  const configs = new Map<string, OciImageConfig>();

  const columns = 'id, config, size_bytes, last_tagged_at, broken';
  const select = db.prepare<[string], ImageRow>(`SELECT ${columns} FROM images WHERE id = ?`);
  const selectVisible = db.prepare<[], ImageRow>(`SELECT ${columns} FROM images WHERE removed = 0`);
  const selectIdRange = db.prepare<[string, string], { id: string }>(
    'SELECT id FROM images WHERE removed = 0 AND id >= ? AND id < ? LIMIT 2',
  );
  const countVisible = db.prepare<[], number>('SELECT count(*) FROM images WHERE removed = 0').pluck();
  const selectHidden = db.prepare<[], string>('SELECT id FROM images WHERE removed = 1').pluck();
  const insert = db.prepare('INSERT INTO images (id, config, size_bytes, stored_at) VALUES (?, ?, ?, ?)');
  const setRemoved = db.prepare('UPDATE images SET removed = ? WHERE id = ?');
  const setTagTime = db.prepare('UPDATE images SET last_tagged_at = ? WHERE id = ?');
  const setConfig = db.prepare('UPDATE images SET config = ? WHERE id = ?');
  const selectBroken = db.prepare<[], string>('SELECT id FROM images WHERE broken IS NOT NULL').pluck();
  const setBroken = db.prepare('UPDATE images SET broken = ? WHERE id = ?');
  const deleteImage = db.prepare('DELETE FROM images WHERE id = ?');

  /** Null for one that the disk has damaged: it was read before it was stored. */
  const readConfig = (row: Pick<ImageRow, 'id' | 'config'>): OciImageConfig | null => {
    try {
      const config = configs.get(row.id) ?? parseImageConfig(row.config);
      configs.set(row.id, config);
      return config;
    } catch (error) {
      if (error instanceof TsdError) return null;
      throw error;
    }
  };
  const toImage = (row: ImageRow, tags: readonly ImageReference[], digests: readonly ImageReference[]): Image => {
    const readable = readConfig(row);
    const config = readable ?? UNREADABLE_CONFIG;
    return {
      id: row.id,
      config,
      configBytes: row.config,
      diffIds: config.rootfs.diff_ids,
      repoTags: tags.map(familiarString),
      repoDigests: digests.map(familiarString),
      sizeBytes: row.size_bytes,
      createdAt: config.created ?? ZERO_TIME,
      lastTaggedAt: row.last_tagged_at,
      broken: row.broken ?? (readable === null ? 'its configuration is damaged' : null),
    };
  };
  const get = (imageId: string): Image | null => {
    const row = select.get(imageId);
    return row === undefined ? null : toImage(row, names.tagsOf(imageId), names.digestsOf(imageId));
  };
  /** Ids of visible images that begin so, two at most. */
  const idsFrom = (prefix: string): string[] =>
    // '~' sorts after every hexadecimal digit.
    selectIdRange.all(prefix, `${prefix}~`).map(({ id }) => id);
  const findByIdPrefix = (text: string): string | undefined => {
    const hex = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return undefined;
    const [id, another] = idsFrom(`sha256:${hex}`);
    if (another === undefined) return id;
    throw new TsdError('bad_parameter', `image id ${text} is ambiguous: several begin with it, give more digits`);
  };
  const setTag = (imageId: string, reference: ImageReference): NamedImage | null => {
    const former = names.setTag(imageId, reference);
    setTagTime.run(new Date().toISOString(), imageId);
    return former;
  };
  /** Whether everything of it is there. */
  const isWhole = (imageId: string): boolean => {
    const config = select.get(imageId)?.config;
    return (
      config !== undefined &&
      sha256(config) === imageId &&
      layerRecords.ofImage(imageId).every(({ diffId }) => layerStore.has(diffId))
    );
  };
  const addOne = ({ configBytes, layers, layerDigests = [], source, tags }: NewImage): AddedImage => {
    const id = sha256(configBytes);
    const config = parseImageConfig(configBytes);
    if (config.rootfs.diff_ids.join() !== layers.map((layer) => layer.diffId).join()) {
      throw new TsdError('internal', `image ${id} was given layers that its configuration does not name`);
    }
    if (select.get(id) === undefined) {
      const sizeBytes = layers.reduce((sum, layer) => sum + layer.contentSizeBytes, 0);
      insert.run(id, configBytes, sizeBytes, new Date().toISOString());
    } else {
      setRemoved.run(0, id);
      setConfig.run(configBytes, id);
    }
    layerRecords.attach(id, layers);
    // What has come may be all that broken images lacked.
    for (const broken of selectBroken.all()) if (isWhole(broken)) setBroken.run(null, broken);
    for (const form of layerDigests) forms.add(form, source?.repository);
    if (source !== undefined) {
      for (const manifest of source.manifests) manifests.add(id, manifest);
      names.setDigest(id, source.repository, source.digest);
    }
    const replaced = tags.map((tag) => setTag(id, tag)).filter((former) => former !== null);
    const image = get(id);
    if (image === null) throw new TsdError('internal', `image ${id} vanished while it was stored`);
    return { image, tags, replaced };
  };
  const remove = db.transaction((imageId: string, { keepHidden }: { keepHidden: boolean }) => {
    if (keepHidden) {
      names.removeAll(imageId);
      setRemoved.run(1, imageId);
      return { removed: [], blobs: [] };
    }
    const ofImage = layerRecords.ofImage(imageId);
    const kept = new Map(ofImage.map(({ diffId }) => [diffId, forms.ofLayer(diffId).filter((form) => form.kept)]));
    deleteImage.run(imageId);
    configs.delete(imageId);
    const removed = layerRecords.deleteUnused(ofImage);
    return { removed, blobs: removed.flatMap(({ diffId }) => kept.get(diffId) ?? []).map(({ digest }) => digest) };
  }).immediate;

  return {
    layers,

    resolve(reference) {
      const named = parseUnlessId(reference);
      const byName = named === null ? undefined : names.find(named);
      // A hidden image has no names, so whatever a name finds is visible.
      const image = get(byName ?? findByIdPrefix(reference) ?? '');
      if (image !== null) return image;
      const shown = named === null ? reference : familiarString(withDefaultTag(named));
      throw new TsdError('not_found', `No such image: ${shown}`);
    },

    get,

    list() {
      const tags = Map.groupBy(names.allTags(), (name) => name.imageId);
      const digests = Map.groupBy(names.allDigests(), (name) => name.imageId);
      const referencesIn = (found: readonly NamedImage[] = []): ImageReference[] =>
        found.map(({ reference }) => reference);
      return selectVisible
        .all()
        .map((row) => toImage(row, referencesIn(tags.get(row.id)), referencesIn(digests.get(row.id))))
        .map((image) => ({ image, createdMs: Date.parse(image.createdAt) }))
        .sort((a, b) => b.createdMs - a.createdMs || (a.image.id < b.image.id ? -1 : 1))
        .map(({ image }) => image);
    },

    count: () => countVisible.get() ?? 0,
    repositoryTags: (reference) => names.inRepository(reference),
    references: (imageId) => [...names.tagsOf(imageId), ...names.digestsOf(imageId)],
    add: db.transaction((images: readonly NewImage[]) => images.map(addOne)).immediate,
    tag: db.transaction(setTag).immediate,
    untag: (reference) => names.remove(reference),

    remove(imageId, options) {
      const { removed, blobs } = remove(imageId, options);
      // They go with the layers' files, which the caller discards.
      layers.doom(blobs);
      return removed;
    },

    atomically: (work) => db.transaction(work).immediate(),
    hidden: () => selectHidden.all(),

    findLayer(digest) {
      const layer = layerRecords.find(digest);
      return layer !== undefined && layerStore.has(layer.diffId) ? layer : null;
    },

    imageLayers: (imageId) => layerRecords.ofImage(imageId),
    layerIds: () => layerRecords.ids(),
    compressedForms: (diffId) => forms.ofLayer(diffId),
    addCompressedForm: db.transaction((form: CompressedForm, repository?: string) => forms.add(form, repository))
      .immediate,
    setKept: (digest, kept) => forms.setKept(digest, kept),
    keptBlobs: () => forms.kept(),
    manifests: (imageId) => manifests.ofImage(imageId),
    addManifest: db.transaction((imageId: string, manifest: ImageManifest, repository: string) => {
      manifests.add(imageId, manifest);
      names.setDigest(imageId, repository, manifest.digest);
    }).immediate,
    setBroken(imageId, reason) {
      setBroken.run(reason, imageId);
    },
  };
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Null for a complete id, with or without `sha256:`, which is no name. */
function parseUnlessId(text: string): ImageReference | null {
  return isDigest(text) || isDigest(`sha256:${text}`) ? null : parseReference(text);
}
