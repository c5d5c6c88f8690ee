/** Rows of the manifests and indexes that lead to images, byte for byte as a registry gave or took them. */
import type { Database } from '../storage/database.ts';
import { MEDIA_TYPE } from './oci-descriptor.ts';

export interface ImageManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface ImageManifests {
  /** An index leads to the image that was taken from it last. */
  add(imageId: string, manifest: ImageManifest): void;
  /** Indexes first. */
  ofImage(imageId: string): ImageManifest[];
}

export function createImageManifests(db: Database): ImageManifests {
  const upsert = db.prepare(
    `INSERT INTO manifests (digest, image_id, media_type, bytes) VALUES (?, ?, ?, ?)
     ON CONFLICT (digest) DO UPDATE SET image_id = excluded.image_id`,
  );
  const select = db.prepare<[string], ImageManifest>(
    'SELECT digest, media_type AS mediaType, bytes FROM manifests WHERE image_id = ? ORDER BY rowid',
  );
  return {
    add(imageId, { digest, mediaType, bytes }) {
      upsert.run(digest, imageId, mediaType, bytes);
    },
    ofImage(imageId) {
      const found = select.all(imageId);
      return [...found.filter(isIndex), ...found.filter((manifest) => !isIndex(manifest))];
    },
  };
}

function isIndex({ mediaType }: ImageManifest): boolean {
  return mediaType === MEDIA_TYPE.index || mediaType === MEDIA_TYPE.dockerManifestList;
}
