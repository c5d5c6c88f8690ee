/** The rows that give images their names: tags, and manifest digests under which registries know them. */
import { TsdError } from '@tsd/shared/errors';
import { type ImageReference, parseReference, repositoryName, withDefaultTag } from '@tsd/shared/image-reference';
import type { Database } from '../storage/database.ts';

/** A name and the image that has it. */
export interface NamedImage {
  readonly reference: ImageReference;
  readonly imageId: string;
}

export interface ImageNames {
  /** The image that has the name; `latest` where it says neither tag nor digest. A digest wins over a tag. */
  find(reference: ImageReference): string | undefined;
  /** Sorted by complete name. */
  tagsOf(imageId: string): ImageReference[];
  digestsOf(imageId: string): ImageReference[];
  allTags(): NamedImage[];
  allDigests(): NamedImage[];
  /** The tags of one repository. */
  inRepository(reference: ImageReference): NamedImage[];
  /** Points a tag at an image; the one that had it, if it was another. @throws TsdError `bad_parameter` for a digest. */
  setTag(imageId: string, reference: ImageReference): NamedImage | null;
  /** Notes that a repository knows the image by a manifest's digest. */
  setDigest(imageId: string, repository: string, digest: string): void;
  /** Whether the name was there. */
  remove(reference: ImageReference): boolean;
  removeAll(imageId: string): void;
}

interface NameRow {
  readonly image_id: string;
  readonly repository: string;
  readonly name: string;
}

export function createImageNames(db: Database): ImageNames {
  const tags = nameTable(db, 'image_tags', 'tag');
  const digests = nameTable(db, 'image_digests', 'digest');
  const upsertTag = db.prepare(
    'INSERT INTO image_tags (repository, tag, image_id) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET image_id = excluded.image_id',
  );
  const upsertDigest = db.prepare(
    'INSERT INTO image_digests (repository, digest, image_id) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET image_id = excluded.image_id',
  );
  return {
    find(reference) {
      const { tag, digest } = withDefaultTag(reference);
      const repository = repositoryName(reference);
      if (digest !== undefined) return digests.find(repository, digest);
      return tag === undefined ? undefined : tags.find(repository, tag);
    },
    tagsOf: (imageId) => tags.of(imageId).map(({ reference }) => reference),
    digestsOf: (imageId) => digests.of(imageId).map(({ reference }) => reference),
    allTags: () => tags.all(),
    allDigests: () => digests.all(),
    inRepository: (reference) => tags.inRepository(repositoryName(reference)),
    setTag(imageId, reference) {
      const { tag, digest } = withDefaultTag(reference);
      if (tag === undefined || digest !== undefined) {
        throw new TsdError('bad_parameter', 'refusing to create a tag with a digest reference');
      }
      const repository = repositoryName(reference);
      const former = tags.find(repository, tag);
      if (former === imageId) return null;
      upsertTag.run(repository, tag, imageId);
      return former === undefined ? null : { reference: withDefaultTag(reference), imageId: former };
    },
    setDigest(imageId, repository, digest) {
      upsertDigest.run(repository, digest, imageId);
    },
    remove(reference) {
      const { tag, digest } = withDefaultTag(reference);
      const repository = repositoryName(reference);
      return digest === undefined ? tags.remove(repository, tag ?? '') : digests.remove(repository, digest);
    },
    removeAll(imageId) {
      tags.removeAll(imageId);
      digests.removeAll(imageId);
    },
  };
}

/** Statements on one of the two tables; they differ in the name of one column. */
function nameTable(db: Database, table: 'image_tags' | 'image_digests', column: 'tag' | 'digest') {
  const rows = `SELECT image_id, repository, ${column} AS name FROM ${table}`;
  const order = `ORDER BY repository, ${column}`;
  const find = db
    .prepare<[string, string], string>(`SELECT image_id FROM ${table} WHERE repository = ? AND ${column} = ?`)
    .pluck();
  const of = db.prepare<[string], NameRow>(`${rows} WHERE image_id = ? ${order}`);
  const inRepository = db.prepare<[string], NameRow>(`${rows} WHERE repository = ? ${order}`);
  const all = db.prepare<[], NameRow>(`${rows} ${order}`);
  const remove = db.prepare(`DELETE FROM ${table} WHERE repository = ? AND ${column} = ?`);
  const removeAll = db.prepare(`DELETE FROM ${table} WHERE image_id = ?`);
  const named = ({ image_id, repository, name }: NameRow): NamedImage => ({
    reference: { ...parseReference(repository), [column]: name },
    imageId: image_id,
  });
  return {
    find: (repository: string, name: string): string | undefined => find.get(repository, name),
    of: (imageId: string): NamedImage[] => of.all(imageId).map(named),
    inRepository: (repository: string): NamedImage[] => inRepository.all(repository).map(named),
    all: (): NamedImage[] => all.all().map(named),
    remove: (repository: string, name: string): boolean => remove.run(repository, name).changes > 0,
    removeAll: (imageId: string): void => {
      removeAll.run(imageId);
    },
  };
}
