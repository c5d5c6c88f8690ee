/** Counters of a container on cgroup version 2: kernel documentation, admin-guide/cgroup-v2. Pure. */
import type { CgroupCounters, CpuCounters, IoCounters, MemoryCounters, PidCounters } from './cgroup-counters.ts';
import { parseFlatKeyed } from './flat-keyed.ts';

/** @param read a file of the container's cgroup; null where there is none */
export function v2Counters(read: (file: string) => string | null): CgroupCounters {
  return { cpu: cpuCounters(read), memory: memoryCounters(read), pids: pidCounters(read), io: ioCounters(read) };
}

type ReadV2 = Parameters<typeof v2Counters>[0];

const NS_PER_US = 1000;

function cpuCounters(read: ReadV2): CpuCounters | null {
  const text = read('cpu.stat');
  if (text === null) return null;
  const stat = parseFlatKeyed(text);
  const at = (key: string): number => stat[key] ?? 0;
  return {
    totalNs: at('usage_usec') * NS_PER_US,
    perCpuNs: null,
    userNs: at('user_usec') * NS_PER_US,
    systemNs: at('system_usec') * NS_PER_US,
    periods: at('nr_periods'),
    throttledPeriods: at('nr_throttled'),
    throttledNs: at('throttled_usec') * NS_PER_US,
  };
}

function memoryCounters(read: ReadV2): MemoryCounters | null {
  const usage = read('memory.current');
  if (usage === null) return null;
  return {
    usageBytes: Number(usage),
    maxUsageBytes: null,
    limitBytes: parseLimit(read('memory.max')),
    failures: parseFlatKeyed(read('memory.events') ?? '')['oom'] ?? 0,
    stats: parseFlatKeyed(read('memory.stat') ?? ''),
  };
}

function pidCounters(read: ReadV2): PidCounters | null {
  const current = read('pids.current');
  return current === null ? null : { current: Number(current), limit: parseLimit(read('pids.max')) };
}

function parseLimit(text: string | null): number | null {
  return text === null || text.trim() === 'max' ? null : Number(text);
}

/** `8:0 rbytes=4096 wbytes=0 rios=1 …` a line, and a device without counters by itself. */
function ioCounters(read: ReadV2): IoCounters | null {
  const text = read('io.stat');
  if (text === null) return null;
  const bytes = text.split('\n').flatMap((line) => {
    const [, major, minor, counters = ''] = /^(\d+):(\d+) (.*)$/.exec(line) ?? [];
    const at = (key: string): number => Number(new RegExp(`\\b${key}=(\\d+)`).exec(counters)?.[1] ?? 0);
    if (!counters.includes('=')) return [];
    const device = { major: Number(major), minor: Number(minor) };
    return [
      { ...device, operation: 'read', value: at('rbytes') },
      { ...device, operation: 'write', value: at('wbytes') },
    ];
  });
  return { bytes, operations: null };
}
