/** GET /containers/{id}/stats of the Docker Engine API. */
import { type Static, Type } from 'typebox';
import { MapOf } from './api-schema.ts';

/** Nanoseconds, since the container's start; `system_cpu_usage` is the whole host's time on all its processors, since it was booted. */
export const CpuStatsSchema = Type.Object({
  cpu_usage: Type.Object({
    total_usage: Type.Integer(),
    /** By processor; on cgroup version 1 only. */
    percpu_usage: Type.Optional(Type.Array(Type.Integer())),
    usage_in_kernelmode: Type.Integer(),
    usage_in_usermode: Type.Integer(),
  }),
  system_cpu_usage: Type.Optional(Type.Integer()),
  online_cpus: Type.Optional(Type.Integer()),
  throttling_data: Type.Object({
    periods: Type.Integer(),
    throttled_periods: Type.Integer(),
    throttled_time: Type.Integer(),
  }),
});
export type CpuStats = Static<typeof CpuStatsSchema>;

/** Bytes. `stats` is memory.stat, whose keys differ between the versions of cgroups. */
export const MemoryStatsSchema = Type.Object({
  usage: Type.Optional(Type.Integer()),
  max_usage: Type.Optional(Type.Integer()),
  stats: Type.Optional(MapOf(Type.Integer())),
  failcnt: Type.Optional(Type.Integer()),
  /** The container's, or else the host's memory. */
  limit: Type.Optional(Type.Integer()),
});
export type MemoryStats = Static<typeof MemoryStatsSchema>;

/** What a block device carried: bytes or requests. */
export const BlkioEntrySchema = Type.Object({
  major: Type.Integer(),
  minor: Type.Integer(),
  /** `read`, `write`, … */
  op: Type.String(),
  value: Type.Integer(),
});
export type BlkioEntry = Static<typeof BlkioEntrySchema>;

const BlkioListSchema = Type.Union([Type.Array(BlkioEntrySchema), Type.Null()]);

export const BlkioStatsSchema = Type.Object({
  io_service_bytes_recursive: BlkioListSchema,
  /** On cgroup version 1 only; the other lists are of schedulers that Linux has no more. */
  io_serviced_recursive: BlkioListSchema,
  io_queue_recursive: BlkioListSchema,
  io_service_time_recursive: BlkioListSchema,
  io_wait_time_recursive: BlkioListSchema,
  io_merged_recursive: BlkioListSchema,
  io_time_recursive: BlkioListSchema,
  sectors_recursive: BlkioListSchema,
});
export type BlkioStats = Static<typeof BlkioStatsSchema>;

/** What one interface of the container received (rx) and sent (tx). */
export const NetworkStatsSchema = Type.Object({
  rx_bytes: Type.Integer(),
  rx_packets: Type.Integer(),
  rx_errors: Type.Integer(),
  rx_dropped: Type.Integer(),
  tx_bytes: Type.Integer(),
  tx_packets: Type.Integer(),
  tx_errors: Type.Integer(),
  tx_dropped: Type.Integer(),
});
export type NetworkStats = Static<typeof NetworkStatsSchema>;

/** One line of the answer. Times are RFC 3339; `0001-01-01T00:00:00Z` for none. `precpu_stats` is `cpu_stats` at `preread`. */
export const ContainerStatsSchema = Type.Object({
  read: Type.String(),
  preread: Type.String(),
  /** A missing limit is none. */
  pids_stats: Type.Object({ current: Type.Optional(Type.Integer()), limit: Type.Optional(Type.Integer()) }),
  blkio_stats: BlkioStatsSchema,
  /** For containers of Windows, as `storage_stats`. */
  num_procs: Type.Integer(),
  storage_stats: Type.Object({}),
  cpu_stats: CpuStatsSchema,
  precpu_stats: CpuStatsSchema,
  memory_stats: MemoryStatsSchema,
  /** By the name of the interface in the container; missing where it has none of its own. */
  networks: Type.Optional(MapOf(NetworkStatsSchema)),
  /** With Docker's leading slash. */
  name: Type.String(),
  id: Type.String(),
});
export type ContainerStats = Static<typeof ContainerStatsSchema>;
