-- Networks (owner: networks/) -----------------------------------------------------------------------------------------
-- The endpoints of 0003, with unique indexes of what there is only: a NULL in an index is one more page to write for each
-- create, start, exit and removal of a container.
CREATE TABLE endpoints_with_partial_indexes (
  container_id TEXT    NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
  -- No foreign key: a network can be removed while stopped containers are configured for it. Their start then fails.
  network_id   TEXT    NOT NULL CHECK (length(network_id) = 64),
  network_name TEXT    NOT NULL CHECK (network_name <> ''),
  -- Order in which the container was connected, from 0.
  position     INTEGER NOT NULL CHECK (position >= 0),
  -- The EndpointSettings as requested.
  config       TEXT    NOT NULL CHECK (json_valid(config)),
  -- A new one at each start: interface names are made of it, and the last run's may still be on its way out.
  id           TEXT    CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
  mac          TEXT,
  ipv4         TEXT,
  ipv6         TEXT,
  -- Inside the container: eth0, eth1, …
  interface    TEXT,
  -- What the user asked for stays reserved while the container is stopped.
  requested_ipv4 TEXT GENERATED ALWAYS AS (config ->> '$.IPAMConfig.IPv4Address') VIRTUAL,
  requested_ipv6 TEXT GENERATED ALWAYS AS (config ->> '$.IPAMConfig.IPv6Address') VIRTUAL,
  PRIMARY KEY (container_id, network_id),
  CHECK (id IS NOT NULL OR coalesce(mac, ipv4, ipv6, interface) IS NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO endpoints_with_partial_indexes
    (container_id, network_id, network_name, position, config, id, mac, ipv4, ipv6, interface)
  SELECT container_id, network_id, network_name, position, config, id, mac, ipv4, ipv6, interface FROM endpoints;
DROP TABLE endpoints;
ALTER TABLE endpoints_with_partial_indexes RENAME TO endpoints;
CREATE INDEX endpoints_by_network ON endpoints (network_id);
CREATE UNIQUE INDEX endpoints_by_id ON endpoints (id) WHERE id IS NOT NULL;
CREATE UNIQUE INDEX endpoints_by_ipv4 ON endpoints (network_id, ipv4) WHERE ipv4 IS NOT NULL;
CREATE UNIQUE INDEX endpoints_by_ipv6 ON endpoints (network_id, ipv6) WHERE ipv6 IS NOT NULL;
CREATE UNIQUE INDEX endpoints_by_mac ON endpoints (network_id, mac) WHERE mac IS NOT NULL;
CREATE UNIQUE INDEX endpoints_by_interface ON endpoints (container_id, interface) WHERE interface IS NOT NULL;
CREATE INDEX endpoints_by_requested_ipv4 ON endpoints (network_id, requested_ipv4) WHERE requested_ipv4 IS NOT NULL;
CREATE INDEX endpoints_by_requested_ipv6 ON endpoints (network_id, requested_ipv6) WHERE requested_ipv6 IS NOT NULL;
