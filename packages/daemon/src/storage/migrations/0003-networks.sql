-- Networks (owner: networks/) -----------------------------------------------------------------------------------------
-- `bridge`, `host` and `none` are rows too, with ids that never change. Drawn in docs/database-schema.md.
-- A row is written before its bridge is made and deleted after the bridge is gone, so no bridge is without a row.
CREATE TABLE networks (
  id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
  name        TEXT    NOT NULL UNIQUE CHECK (name <> ''),
  driver      TEXT    NOT NULL CHECK (driver IN ('bridge', 'host', 'null')),
  created_at  TEXT    NOT NULL,
  internal    INTEGER NOT NULL DEFAULT 0 CHECK (internal IN (0, 1)),
  attachable  INTEGER NOT NULL DEFAULT 0 CHECK (attachable IN (0, 1)),
  ipv4        INTEGER NOT NULL DEFAULT 1 CHECK (ipv4 IN (0, 1)),
  ipv6        INTEGER NOT NULL DEFAULT 0 CHECK (ipv6 IN (0, 1)),
  -- The kernel's limit of an interface's name is 15 bytes.
  bridge_name TEXT    UNIQUE CHECK (length(bridge_name) BETWEEN 1 AND 15),
  mtu         INTEGER CHECK (mtu BETWEEN 68 AND 65535),
  labels      TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(labels)),
  options     TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(options)),
  egress      TEXT    CHECK (json_valid(egress)),
  -- Being removed: nobody sees it any more, and boot finishes the removal.
  removing    INTEGER NOT NULL DEFAULT 0 CHECK (removing IN (0, 1)),
  CHECK ((driver = 'bridge') = (bridge_name IS NOT NULL))
) STRICT;

-- At most one of each family; `host` and `none` have none. Addresses are in their canonical text (RFC 5952).
CREATE TABLE network_subnets (
  network_id          TEXT    NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  family              INTEGER NOT NULL CHECK (family IN (4, 6)),
  subnet              TEXT    NOT NULL,
  gateway             TEXT    NOT NULL,
  ip_range            TEXT,
  -- Addresses that users keep for themselves, by name.
  auxiliary_addresses TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(auxiliary_addresses)),
  PRIMARY KEY (network_id, family)
) STRICT, WITHOUT ROWID;

-- What a container asked for lives as long as the container; id and addresses live from a start to the exit after it.
CREATE TABLE endpoints (
  container_id TEXT    NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
  -- No foreign key: a network can be removed while stopped containers are configured for it. Their start then fails.
  network_id   TEXT    NOT NULL CHECK (length(network_id) = 64),
  network_name TEXT    NOT NULL CHECK (network_name <> ''),
  -- Order in which the container was connected, from 0.
  position     INTEGER NOT NULL CHECK (position >= 0),
  -- The EndpointSettings as requested.
  config       TEXT    NOT NULL CHECK (json_valid(config)),
  -- A new one at each start: interface names are made of it, and the last run's may still be on its way out.
  id           TEXT    UNIQUE CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
  mac          TEXT,
  ipv4         TEXT,
  ipv6         TEXT,
  -- Inside the container: eth0, eth1, …
  interface    TEXT,
  -- What the user asked for stays reserved while the container is stopped.
  requested_ipv4 TEXT GENERATED ALWAYS AS (config ->> '$.IPAMConfig.IPv4Address') VIRTUAL,
  requested_ipv6 TEXT GENERATED ALWAYS AS (config ->> '$.IPAMConfig.IPv6Address') VIRTUAL,
  PRIMARY KEY (container_id, network_id),
  UNIQUE (network_id, ipv4),
  UNIQUE (network_id, ipv6),
  UNIQUE (network_id, mac),
  UNIQUE (container_id, interface),
  CHECK (id IS NOT NULL OR coalesce(mac, ipv4, ipv6, interface) IS NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX endpoints_by_requested_ipv4 ON endpoints (network_id, requested_ipv4) WHERE requested_ipv4 IS NOT NULL;
CREATE INDEX endpoints_by_requested_ipv6 ON endpoints (network_id, requested_ipv6) WHERE requested_ipv6 IS NOT NULL;

-- Host ports of running containers. They survive the daemon, so that the next one reserves them again.
CREATE TABLE published_ports (
  container_id   TEXT    NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
  container_port INTEGER NOT NULL CHECK (container_port BETWEEN 1 AND 65535),
  protocol       TEXT    NOT NULL CHECK (protocol IN ('tcp', 'udp', 'sctp')),
  host_ip        TEXT    NOT NULL,
  host_port      INTEGER NOT NULL CHECK (host_port BETWEEN 1 AND 65535),
  PRIMARY KEY (protocol, host_ip, host_port)
) STRICT, WITHOUT ROWID;

CREATE INDEX published_ports_by_container ON published_ports (container_id);
