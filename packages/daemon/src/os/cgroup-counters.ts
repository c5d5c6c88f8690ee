/** What a container's cgroups count, whichever version they are of. A controller that the host does not have is null. */

export interface CgroupCounters {
  readonly cpu: CpuCounters | null;
  readonly memory: MemoryCounters | null;
  readonly pids: PidCounters | null;
  readonly io: IoCounters | null;
}

/** Processor time since the cgroup was made, nanoseconds. */
export interface CpuCounters {
  readonly totalNs: number;
  /** By processor; null on version 2. */
  readonly perCpuNs: readonly number[] | null;
  readonly userNs: number;
  readonly systemNs: number;
  /** Periods of `--cpus` in which it ran, those in which it had to stop, and for how long. */
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
}

export interface MemoryCounters {
  readonly usageBytes: number;
  /** Null on version 2. */
  readonly maxUsageBytes: number | null;
  /** Null for none. */
  readonly limitBytes: number | null;
  /** How often the limit was hit: memory.failcnt; on version 2 how often that ended in a lack of memory. */
  readonly failures: number;
  /** memory.stat. */
  readonly stats: Readonly<Record<string, number>>;
}

export interface PidCounters {
  readonly current: number;
  /** Null for none. */
  readonly limit: number | null;
}

export interface IoCounters {
  readonly bytes: readonly IoEntry[];
  /** Requests; null on version 2, as Docker has it. */
  readonly operations: readonly IoEntry[] | null;
}

export interface IoEntry {
  readonly major: number;
  readonly minor: number;
  /** `read`, `write`, … */
  readonly operation: string;
  readonly value: number;
}

/** Of a host without cgroups. */
export const NO_COUNTERS: CgroupCounters = { cpu: null, memory: null, pids: null, io: null };
