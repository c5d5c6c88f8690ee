/** Counters of a container on cgroup version 1: kernel documentation, admin-guide/cgroup-v1. Pure. */
import type {
  CgroupCounters,
  CpuCounters,
  IoCounters,
  IoEntry,
  MemoryCounters,
  PidCounters,
} from './cgroup-counters.ts';
import { parseFlatKeyed } from './flat-keyed.ts';
import { NS_PER_TICK } from './system-cpu.ts';

type V1Controller = 'blkio' | 'cpu' | 'cpuacct' | 'memory' | 'pids';

/** @param read a file of the container's cgroup in the tree of that controller; null where there is none */
export function v1Counters(read: (controller: V1Controller, file: string) => string | null): CgroupCounters {
  return { cpu: cpuCounters(read), memory: memoryCounters(read), pids: pidCounters(read), io: ioCounters(read) };
}

type ReadV1 = Parameters<typeof v1Counters>[0];

function cpuCounters(read: ReadV1): CpuCounters | null {
  const perCpu = read('cpuacct', 'cpuacct.usage_percpu');
  if (perCpu === null) return null;
  const perCpuNs = perCpu.trim().split(/\s+/).map(Number);
  const { user = 0, system = 0 } = parseFlatKeyed(read('cpuacct', 'cpuacct.stat') ?? '');
  const throttling = parseFlatKeyed(read('cpu', 'cpu.stat') ?? '');
  return {
    totalNs: perCpuNs.reduce((sum, ns) => sum + ns, 0),
    perCpuNs,
    userNs: user * NS_PER_TICK,
    systemNs: system * NS_PER_TICK,
    periods: throttling['nr_periods'] ?? 0,
    throttledPeriods: throttling['nr_throttled'] ?? 0,
    throttledNs: throttling['throttled_time'] ?? 0,
  };
}

function memoryCounters(read: ReadV1): MemoryCounters | null {
  const usage = read('memory', 'memory.usage_in_bytes');
  if (usage === null) return null;
  const number = (file: string): number => Number(read('memory', file) ?? 0);
  return {
    usageBytes: Number(usage),
    maxUsageBytes: number('memory.max_usage_in_bytes'),
    // No limit is a number that no memory reaches.
    limitBytes: number('memory.limit_in_bytes'),
    failures: number('memory.failcnt'),
    stats: parseFlatKeyed(read('memory', 'memory.stat') ?? ''),
  };
}

function pidCounters(read: ReadV1): PidCounters | null {
  const current = read('pids', 'pids.current');
  if (current === null) return null;
  const limit = read('pids', 'pids.max')?.trim() ?? 'max';
  return { current: Number(current), limit: limit === 'max' ? null : Number(limit) };
}

/**
 * Those of the policy that counts: throttling, which newer kernels (6.10) let count only once some limit is set on the device, or
 * the scheduler BFQ. Where neither does, the kernel has no numbers on version 1.
 */
function ioCounters(read: ReadV1): IoCounters | null {
  let found: IoCounters | null = null;
  for (const policy of ['throttle', 'bfq']) {
    const text = read('blkio', `blkio.${policy}.io_service_bytes_recursive`);
    if (text === null) continue;
    const bytes = parseBlkio(text);
    if (bytes.length === 0) {
      found ??= { bytes, operations: [] };
      continue;
    }
    return { bytes, operations: parseBlkio(read('blkio', `blkio.${policy}.io_serviced_recursive`) ?? '') };
  }
  return found;
}

/** `8:0 Read 4096` a line, with a sum at the end. */
function parseBlkio(text: string): IoEntry[] {
  return text.split('\n').flatMap((line) => {
    const [, major, minor, operation = '', value] = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line) ?? [];
    if (value === undefined) return [];
    return { major: Number(major), minor: Number(minor), operation: operation.toLowerCase(), value: Number(value) };
  });
}
