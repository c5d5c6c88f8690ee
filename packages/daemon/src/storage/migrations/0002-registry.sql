-- What is known of registries (owner: images/) -------------------------------------------------------------------------
-- `layer_digests` are the compressed forms in which layers have arrived or were sent. `kept` says that the bytes lie in
-- the blob store, so that a push sends exactly what was pulled.
ALTER TABLE layer_digests ADD COLUMN media_type TEXT;
ALTER TABLE layer_digests ADD COLUMN size_bytes INTEGER CHECK (size_bytes >= 0);
ALTER TABLE layer_digests ADD COLUMN kept INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1));

-- Repositories in which a compressed form was seen: where a push can mount it from and a repair can fetch it again.
CREATE TABLE blob_sources (
  digest     TEXT NOT NULL REFERENCES layer_digests (digest) ON DELETE CASCADE,
  repository TEXT NOT NULL CHECK (repository <> ''),
  PRIMARY KEY (digest, repository)
) STRICT, WITHOUT ROWID;

-- Manifests and indexes, byte for byte, that lead to an image. Their digests are in `image_digests` where a repository
-- knows the image by them.
CREATE TABLE manifests (
  digest     TEXT NOT NULL PRIMARY KEY CHECK (length(digest) = 71 AND digest GLOB 'sha256:*'),
  image_id   TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  media_type TEXT NOT NULL,
  bytes      BLOB NOT NULL
) STRICT;

CREATE INDEX manifests_by_image ON manifests (image_id);

-- Why a check found the image unusable; NULL for every sound one.
ALTER TABLE images ADD COLUMN broken TEXT;
