/** What `stats` shows of a container, from what the daemon tells of it: docker/cli cli/command/container/stats_helpers.go. Pure. */
import type { BlkioStats, ContainerStats, MemoryStats } from '@tsd/shared/api-container-stats';

export interface StatsFigures {
  /** 100 is one processor. */
  readonly cpuPercent: number;
  /** Without the file pages that the kernel would give up first. */
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly memoryPercent: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly processes: number;
}

export function statsFigures(stats: ContainerStats): StatsFigures {
  const memoryBytes = usedMemory(stats.memory_stats);
  const memoryLimitBytes = stats.memory_stats.limit ?? 0;
  const networks = Object.values(stats.networks ?? {});
  return {
    cpuPercent: cpuPercent(stats),
    memoryBytes,
    memoryLimitBytes,
    memoryPercent: memoryLimitBytes === 0 ? 0 : (memoryBytes / memoryLimitBytes) * 100,
    receivedBytes: networks.reduce((sum, { rx_bytes }) => sum + rx_bytes, 0),
    sentBytes: networks.reduce((sum, { tx_bytes }) => sum + tx_bytes, 0),
    readBytes: blockBytes(stats.blkio_stats, 'r'),
    writtenBytes: blockBytes(stats.blkio_stats, 'w'),
    processes: stats.pids_stats.current ?? 0,
  };
}

/** The container's share of the time that all processors had, times the number of processors. */
function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const available = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const processors = (now.online_cpus ?? 0) || (now.cpu_usage.percpu_usage?.length ?? 0);
  return used > 0 && available > 0 ? (used / available) * processors * 100 : 0;
}

/** `total_inactive_file` is version 1's, with what is in cgroups below; `inactive_file` alone is version 2's. */
function usedMemory({ usage = 0, stats = {} }: MemoryStats): number {
  for (const inactive of [stats['total_inactive_file'], stats['inactive_file']])
    if (inactive !== undefined && inactive < usage) return usage - inactive;
  return usage;
}

function blockBytes({ io_service_bytes_recursive: entries }: BlkioStats, operation: 'r' | 'w'): number {
  const matching = (entries ?? []).filter(({ op }) => op.toLowerCase().startsWith(operation));
  return matching.reduce((sum, { value }) => sum + value, 0);
}
