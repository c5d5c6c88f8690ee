-- Images (owner: images/) ---------------------------------------------------------------------------------------------
-- An image is its configuration's bytes, kept exactly: the id is their digest. Drawn in docs/database-schema.md.
CREATE TABLE images (
  id              TEXT    NOT NULL PRIMARY KEY
                            CHECK (length(id) = 71 AND id GLOB 'sha256:*' AND substr(id, 8) NOT GLOB '*[^0-9a-f]*'),
  config          BLOB    NOT NULL,
  -- Sum of its layers' content_size_bytes.
  size_bytes      INTEGER NOT NULL CHECK (size_bytes >= 0),
  stored_at       TEXT    NOT NULL,
  last_tagged_at  TEXT,
  -- Removed by force while containers made from it exist: hidden from users, kept until the last of them is gone.
  removed         INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1))
) STRICT;

-- One row per layer that some image refers to. Its files live in the layer store under the same diff id; the row is
-- written after the files and deleted before them, so files without a row are left-overs.
CREATE TABLE layers (
  diff_id            TEXT    NOT NULL PRIMARY KEY
                               CHECK (length(diff_id) = 71 AND diff_id GLOB 'sha256:*'
                                 AND substr(diff_id, 8) NOT GLOB '*[^0-9a-f]*'),
  tar_size_bytes     INTEGER NOT NULL CHECK (tar_size_bytes >= 0),
  content_size_bytes INTEGER NOT NULL CHECK (content_size_bytes >= 0),
  entry_count        INTEGER NOT NULL CHECK (entry_count >= 0)
) STRICT;

-- Digests under which a layer has arrived compressed: what need not be fetched or read again.
CREATE TABLE layer_digests (
  digest  TEXT NOT NULL PRIMARY KEY CHECK (length(digest) = 71),
  diff_id TEXT NOT NULL REFERENCES layers (diff_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX layer_digests_by_layer ON layer_digests (diff_id);

-- The reference count of a layer is its number of rows here. Position 0 is the lowest layer.
CREATE TABLE image_layers (
  image_id TEXT    NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  position INTEGER NOT NULL CHECK (position >= 0),
  diff_id  TEXT    NOT NULL REFERENCES layers (diff_id),
  PRIMARY KEY (image_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX image_layers_by_layer ON image_layers (diff_id);

-- `repository` is canonical (docker.io/library/alpine).
CREATE TABLE image_tags (
  repository TEXT NOT NULL CHECK (repository <> ''),
  tag        TEXT NOT NULL CHECK (tag <> ''),
  image_id   TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX image_tags_by_image ON image_tags (image_id);

-- Manifest digests under which registries know the image.
CREATE TABLE image_digests (
  repository TEXT NOT NULL CHECK (repository <> ''),
  digest     TEXT NOT NULL CHECK (length(digest) = 71 AND digest GLOB 'sha256:*'),
  image_id   TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
  PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX image_digests_by_image ON image_digests (image_id);

-- Containers (owner: containers/) -------------------------------------------------------------------------------------
-- One row per container, from the commit point of create to that of remove. Drawn in docs/database-schema.md.
-- Times are RFC 3339 in UTC with nine decimals, so that they sort as text.
CREATE TABLE containers (
  id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
  name            TEXT    NOT NULL UNIQUE CHECK (name <> ''),
  status          TEXT    NOT NULL CHECK (status IN
                            ('created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead')),
  -- No foreign key: an image may be removed by force while a container made from it still exists.
  image_id        TEXT    NOT NULL,
  image_reference TEXT    NOT NULL,
  config          TEXT    NOT NULL CHECK (json_valid(config)),
  host_config     TEXT    NOT NULL CHECK (json_valid(host_config)),
  -- First host id of the 65,536 that are this container's alone; NULL without a user namespace.
  id_range        INTEGER UNIQUE CHECK (id_range IS NULL OR (id_range >= 1073741824 AND id_range % 65536 = 0)),
  created_at      TEXT    NOT NULL,
  started_at      TEXT,
  finished_at     TEXT,
  -- Host pid of the container's first process while it runs, with field 22 of /proc/PID/stat: pids are reused.
  pid             INTEGER CHECK (pid IS NULL OR pid > 0),
  pid_start_ticks INTEGER,
  exit_code       INTEGER NOT NULL DEFAULT 0,
  exit_signal     INTEGER,
  oom_killed      INTEGER NOT NULL DEFAULT 0 CHECK (oom_killed IN (0, 1)),
  error           TEXT    NOT NULL DEFAULT '',
  restart_count   INTEGER NOT NULL DEFAULT 0,
  -- A user stopped it: restart policies leave it alone until the next start.
  stop_requested  INTEGER NOT NULL DEFAULT 0 CHECK (stop_requested IN (0, 1)),
  CHECK ((status IN ('running', 'paused')) = (pid IS NOT NULL))
) STRICT;

CREATE INDEX containers_by_creation ON containers (created_at);
CREATE INDEX containers_by_image ON containers (image_id);
