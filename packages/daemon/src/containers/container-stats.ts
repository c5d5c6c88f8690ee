/** A container's counters in Docker's shape. Pure; moby daemon/stats_unix.go. */
import type { BlkioEntry, ContainerStats, CpuStats, MemoryStats, NetworkStats } from '@tsd/shared/api-container-stats';
import type { CgroupCounters, IoEntry } from '../os/cgroup-counters.ts';
import type { LinkCounters } from '../os/link-counters.ts';
import type { SystemCpu } from '../os/system-cpu.ts';
import { ZERO_TIME } from './timestamp.ts';

/** What was read of a running container at one time. */
export interface StatsSample {
  /** RFC 3339. */
  readonly readAt: string;
  readonly cgroups: CgroupCounters;
  readonly system: SystemCpu;
  /** Of its network namespace, by interface; null where it is the host's. */
  readonly links: ReadonlyMap<string, LinkCounters> | null;
}

export interface StatsSubject {
  readonly id: string;
  /** Without Docker's leading slash. */
  readonly name: string;
}

/**
 * @param sample null for a container that does not run: all is 0
 * @param before the sample before that, of the same run
 * @param hostMemoryBytes the limit of what has no lower one
 */
export function containerStats(
  { id, name }: StatsSubject,
  sample: StatsSample | null,
  before: StatsSample | null,
  hostMemoryBytes: number,
): ContainerStats {
  const networks = sample?.links == null ? {} : networkStats(sample.links);
  return {
    read: sample?.readAt ?? ZERO_TIME,
    preread: before?.readAt ?? ZERO_TIME,
    pids_stats: pidsStats(sample),
    blkio_stats: {
      io_service_bytes_recursive: blkioEntries(sample?.cgroups.io?.bytes),
      io_serviced_recursive: blkioEntries(sample?.cgroups.io?.operations),
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuStats(sample),
    precpu_stats: cpuStats(before),
    memory_stats: memoryStats(sample, hostMemoryBytes),
    ...(Object.keys(networks).length === 0 ? {} : { networks }),
    name: `/${name}`,
    id,
  };
}

function pidsStats(sample: StatsSample | null): ContainerStats['pids_stats'] {
  const pids = sample?.cgroups.pids;
  if (pids == null) return {};
  return { current: pids.current, ...(pids.limit === null ? {} : { limit: pids.limit }) };
}

function blkioEntries(entries: readonly IoEntry[] | null | undefined): BlkioEntry[] | null {
  if (entries == null) return null;
  return entries.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value }));
}

function cpuStats(sample: StatsSample | null): CpuStats {
  const cpu = sample?.cgroups.cpu;
  return {
    cpu_usage: {
      total_usage: cpu?.totalNs ?? 0,
      ...(cpu?.perCpuNs == null ? {} : { percpu_usage: [...cpu.perCpuNs] }),
      usage_in_kernelmode: cpu?.systemNs ?? 0,
      usage_in_usermode: cpu?.userNs ?? 0,
    },
    ...(sample === null ? {} : { system_cpu_usage: sample.system.totalNs, online_cpus: sample.system.onlineCpus }),
    throttling_data: {
      periods: cpu?.periods ?? 0,
      throttled_periods: cpu?.throttledPeriods ?? 0,
      throttled_time: cpu?.throttledNs ?? 0,
    },
  };
}

function memoryStats(sample: StatsSample | null, hostMemoryBytes: number): MemoryStats {
  const memory = sample?.cgroups.memory;
  if (memory == null) return {};
  return {
    usage: memory.usageBytes,
    ...(memory.maxUsageBytes === null ? {} : { max_usage: memory.maxUsageBytes }),
    stats: memory.stats,
    ...(memory.failures === 0 ? {} : { failcnt: memory.failures }),
    limit: Math.min(memory.limitBytes ?? hostMemoryBytes, hostMemoryBytes),
  };
}

/** Of the interfaces that networks gave it: what passes through a tunnel or a bridge inside passes through one of them too. */
function networkStats(links: ReadonlyMap<string, LinkCounters>): Record<string, NetworkStats> {
  const networks: Record<string, NetworkStats> = {};
  for (const [name, link] of links) {
    if (!/^eth\d+$/.test(name)) continue;
    networks[name] = {
      rx_bytes: link.receivedBytes,
      rx_packets: link.receivedPackets,
      rx_errors: link.receiveErrors,
      rx_dropped: link.receiveDropped,
      tx_bytes: link.sentBytes,
      tx_packets: link.sentPackets,
      tx_errors: link.sendErrors,
      tx_dropped: link.sendDropped,
    };
  }
  return networks;
}
