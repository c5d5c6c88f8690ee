/** A container's limits as control group files: one decision for both versions, with Docker's words for what cannot be. */
import { TsdError } from '@tsd/shared/errors';
import type { HostFacts } from './host-facts.ts';
import type { LaunchHostConfig } from './launch-input.ts';

/** A value to write; `controller` says which version 1 tree holds the file. */
export interface CgroupWrite {
  readonly controller: 'blkio' | 'cpu' | 'cpuset' | 'memory' | 'pids';
  readonly file: string;
  readonly value: string;
}

export interface CgroupLimits {
  readonly writes: readonly CgroupWrite[];
  readonly warnings: readonly string[];
}

const MIN_MEMORY_BYTES = 6 * 1024 * 1024;
const CPU_PERIOD_US = 100_000;
const UNMOUNTED = 'or the cgroup is not mounted.';

type Facts = Pick<HostFacts, 'cgroups' | 'cgroupFiles' | 'cpusetCpus' | 'cpusetMems' | 'processors'>;

/** Numbers of a list such as `0-2,5`, cpuset(7). Null where it is malformed. */
export function parseCpuList(list: string): ReadonlySet<number> | null {
  const numbers = new Set<number>();
  for (const part of list.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return null;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return null;
    for (let number = first; number <= last; number += 1) numbers.add(number);
  }
  return numbers;
}

/**
 * The files and values for a container's limits, in the order in which the kernel accepts them, and a warning for each
 * limit that this host cannot apply (moby daemon_unix.go, verifyPlatformContainerResources).
 * @throws TsdError for a value that Docker refuses.
 */
export function cgroupLimits(hostConfig: LaunchHostConfig, facts: Facts): CgroupLimits {
  const writes: CgroupWrite[] = [];
  const warnings: string[] = [];
  const unified = facts.cgroups?.version === 2;
  const put = (controller: CgroupWrite['controller'], file: string, value: number | string): void => {
    writes.push({ controller, file, value: String(value) });
  };
  const has = (v1: string, v2: string): boolean => facts.cgroupFiles.has(unified ? v2 : v1);
  limitMemory(hostConfig, { unified, has, put, warnings });
  limitCpu(hostConfig, facts, { unified, has, put, warnings });
  limitCpuset(hostConfig, facts, { unified, has, put, warnings });
  const pids = hostConfig.PidsLimit ?? 0;
  if (pids > 0) {
    if (has('pids.max', 'pids.max')) put('pids', 'pids.max', pids);
    else warnings.push(`Your kernel does not support PIDs limit capabilities ${UNMOUNTED} PIDs limit discarded.`);
  }
  limitBlockIo(hostConfig, facts, { unified, has, put, warnings });
  return { writes, warnings };
}

interface Target {
  readonly unified: boolean;
  readonly has: (v1: string, v2: string) => boolean;
  readonly put: (controller: CgroupWrite['controller'], file: string, value: number | string) => void;
  readonly warnings: string[];
}

function checkMemory(hostConfig: LaunchHostConfig): void {
  const { Memory = 0, MemorySwap = 0, MemoryReservation = 0 } = hostConfig;
  const fail = (message: string): TsdError => new TsdError('bad_parameter', message);
  if (Memory < 0 || (Memory > 0 && Memory < MIN_MEMORY_BYTES)) throw fail('Minimum memory limit allowed is 6MB');
  if (Memory > 0 && MemorySwap > 0 && MemorySwap < Memory) {
    throw fail('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (Memory === 0 && MemorySwap > 0) {
    throw fail('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (MemoryReservation < 0 || (MemoryReservation > 0 && MemoryReservation < MIN_MEMORY_BYTES)) {
    throw fail('Minimum memory reservation allowed is 6MB');
  }
  if (Memory > 0 && MemoryReservation > Memory) {
    throw fail('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
}

function limitMemory(hostConfig: LaunchHostConfig, { unified, has, put, warnings }: Target): void {
  checkMemory(hostConfig);
  const { Memory = 0, MemorySwap = 0, MemoryReservation = 0 } = hostConfig;
  if (Memory > 0) {
    // Docker: swap is as large as the memory unless the user says otherwise.
    const memorySwap = MemorySwap === 0 ? Memory * 2 : MemorySwap;
    if (!has('memory.limit_in_bytes', 'memory.max')) {
      warnings.push(`Your kernel does not support memory limit capabilities ${UNMOUNTED} Limitation discarded.`);
    } else {
      put('memory', unified ? 'memory.max' : 'memory.limit_in_bytes', Memory);
      if (!has('memory.memsw.limit_in_bytes', 'memory.swap.max')) {
        if (memorySwap !== -1) {
          warnings.push(
            `Your kernel does not support swap limit capabilities ${UNMOUNTED} Memory limited without swap.`,
          );
        }
      } else if (unified) {
        put('memory', 'memory.swap.max', memorySwap === -1 ? 'max' : memorySwap - Memory);
      } else if (memorySwap !== -1) {
        // After the limit: the kernel wants memory ≤ memory and swap at all times.
        put('memory', 'memory.memsw.limit_in_bytes', memorySwap);
      }
    }
  }
  if (MemoryReservation > 0) {
    if (has('memory.soft_limit_in_bytes', 'memory.low')) {
      put('memory', unified ? 'memory.low' : 'memory.soft_limit_in_bytes', MemoryReservation);
    } else {
      warnings.push(`Your kernel does not support memory soft limit capabilities ${UNMOUNTED} Limitation discarded.`);
    }
  }
  const swappiness = hostConfig.MemorySwappiness ?? -1;
  if (swappiness !== -1) {
    if (swappiness < 0 || swappiness > 100) {
      throw new TsdError('bad_parameter', `Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
    }
    if (!unified && has('memory.swappiness', '')) put('memory', 'memory.swappiness', swappiness);
    else
      warnings.push(
        `Your kernel does not support memory swappiness capabilities ${UNMOUNTED} Memory swappiness discarded.`,
      );
  }
  if (hostConfig.OomKillDisable === true) {
    if (!unified && has('memory.oom_control', '')) put('memory', 'memory.oom_control', 1);
    else warnings.push('Your kernel does not support OomKillDisable. OomKillDisable discarded.');
    if (Memory === 0) {
      warnings.push(
        'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
      );
    }
  }
}

function limitCpu(hostConfig: LaunchHostConfig, facts: Facts, { unified, has, put, warnings }: Target): void {
  const { NanoCpus = 0, CpuShares = 0 } = hostConfig;
  let { CpuPeriod: period = 0, CpuQuota: quota = 0 } = hostConfig;
  const fail = (message: string): TsdError => new TsdError('bad_parameter', message);
  const quotaFile = has('cpu.cfs_quota_us', 'cpu.max');
  if (NanoCpus !== 0) {
    if (period > 0) throw fail('Conflicting options: Nano CPUs and CPU Period cannot both be set');
    if (quota > 0) throw fail('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
    if (NanoCpus < 1e7 || NanoCpus > facts.processors * 1e9) {
      throw fail(
        `range of CPUs is from 0.01 to ${facts.processors}.00, as there are only ${facts.processors} CPUs available`,
      );
    }
    if (!quotaFile) {
      throw fail(
        'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
      );
    }
    period = CPU_PERIOD_US;
    quota = Math.trunc((NanoCpus * CPU_PERIOD_US) / 1e9);
  }
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    throw fail('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (quota > 0 && quota < 1000) throw fail('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if (!quotaFile) {
    if (period > 0) warnings.push(`Your kernel does not support CPU CFS period ${UNMOUNTED} Period discarded.`);
    if (quota > 0) warnings.push(`Your kernel does not support CPU CFS quota ${UNMOUNTED} Quota discarded.`);
  } else if (unified && (period > 0 || quota > 0)) {
    put('cpu', 'cpu.max', `${quota > 0 ? quota : 'max'} ${period > 0 ? period : CPU_PERIOD_US}`);
  } else if (!unified) {
    if (period > 0) put('cpu', 'cpu.cfs_period_us', period);
    if (quota > 0) put('cpu', 'cpu.cfs_quota_us', quota);
  }
  if (CpuShares > 0) {
    if (!has('cpu.shares', 'cpu.weight')) {
      warnings.push(`Your kernel does not support CPU shares ${UNMOUNTED} Shares discarded.`);
    } else if (unified) {
      // OCI runtime specification's mapping of 2–262144 to 1–10000.
      const shares = Math.min(Math.max(CpuShares, 2), 262_144);
      put('cpu', 'cpu.weight', 1 + Math.trunc(((shares - 2) * 9999) / 262_142));
    } else {
      put('cpu', 'cpu.shares', CpuShares);
    }
  }
  if ((hostConfig.CpuRealtimePeriod ?? 0) > 0 || (hostConfig.CpuRealtimeRuntime ?? 0) > 0) {
    throw fail('kernel does not support CPU real-time scheduler');
  }
}

function checkCpuList(field: 'cpus' | 'mems', list: string, available: string): void {
  const wanted = parseCpuList(list);
  if (wanted === null) throw new TsdError('bad_parameter', `Invalid value ${list} for cpuset ${field}`);
  const present = parseCpuList(available);
  if (present !== null && ![...wanted].every((number) => present.has(number))) {
    const what = field === 'cpus' ? 'CPUs' : 'memory nodes';
    throw new TsdError(
      'bad_parameter',
      `Requested ${what} are not available - requested ${list}, available: ${available}`,
    );
  }
}

function limitCpuset(hostConfig: LaunchHostConfig, facts: Facts, { unified, has, put, warnings }: Target): void {
  const { CpusetCpus = '', CpusetMems = '' } = hostConfig;
  const supported = has('cpuset.cpus', 'cpuset.cpus');
  if (!supported) {
    if (CpusetCpus !== '' || CpusetMems !== '') {
      warnings.push(`Your kernel does not support cpuset ${UNMOUNTED} Cpuset discarded.`);
    }
    return;
  }
  if (CpusetCpus !== '') checkCpuList('cpus', CpusetCpus, facts.cpusetCpus);
  if (CpusetMems !== '') checkCpuList('mems', CpusetMems, facts.cpusetMems);
  // Version 1 takes no process before both are set; version 2 inherits.
  if (CpusetCpus !== '' || !unified) put('cpuset', 'cpuset.cpus', CpusetCpus || facts.cpusetCpus);
  if (CpusetMems !== '' || !unified) put('cpuset', 'cpuset.mems', CpusetMems || facts.cpusetMems);
}

function limitBlockIo(hostConfig: LaunchHostConfig, facts: Facts, { unified, put, warnings }: Target): void {
  const weight = hostConfig.BlkioWeight ?? 0;
  if (weight === 0) return;
  if (weight < 10 || weight > 1000) throw new TsdError('bad_parameter', 'Range of blkio weight is from 10 to 1000');
  const bfq = unified ? 'io.bfq.weight' : 'blkio.bfq.weight';
  const plain = unified ? 'io.weight' : 'blkio.weight';
  if (facts.cgroupFiles.has(bfq)) put('blkio', bfq, weight);
  // runc's mapping of 10–1000 to 1–10000.
  else if (facts.cgroupFiles.has(plain))
    put('blkio', plain, unified ? 1 + Math.trunc(((weight - 10) * 9999) / 990) : weight);
  else warnings.push(`Your kernel does not support Block I/O weight ${UNMOUNTED} Weight discarded.`);
}
