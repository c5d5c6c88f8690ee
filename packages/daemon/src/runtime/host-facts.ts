/** What a launch plan must know about the host, read once when the daemon starts. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { prepareCgroupParent } from '../os/cgroup-files.ts';
import { type CgroupLayout, parseCgroupLayout } from '../os/cgroup-layout.ts';
import { type KernelVersion, type LayerSupport, layerSupport } from './layer-support.ts';

/** RLIM_INFINITY. */
export const UNLIMITED = 0xffff_ffff_ffff_ffffn;

export interface HostFacts {
  /** Node's name of the architecture: `x64`, `arm64`, … */
  readonly architecture: string;
  readonly kernel: { readonly release: string; readonly major: number; readonly minor: number };
  readonly layers: LayerSupport;
  /** Null where no cgroup tree is mounted: every limit becomes a warning then. */
  readonly cgroups: CgroupLayout | null;
  /** Names of the control files in the containers' parent cgroup, of all trees: says which limits the host can apply. */
  readonly cgroupFiles: ReadonlySet<string>;
  /** The parent cpuset's processors and memory nodes, which a version 1 cgroup must repeat; empty without cpuset. */
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  /** Numbers of the capabilities that the daemon can pass on (its bounding set). */
  readonly capabilities: readonly number[];
  /** Hard limits that containers start with, by the number of the resource (setrlimit(2)). */
  readonly hardLimits: readonly bigint[];
  /** Names of the active security modules: /sys/kernel/security/lsm, and AppArmor's own switch where securityfs is not mounted. */
  readonly securityModules: readonly string[];
  /** The kernel has session keyrings. */
  readonly keyrings: boolean;
  /** The kernel has IPv6. */
  readonly ipv6: boolean;
  /** Number of processors that are on line. */
  readonly processors: number;
  /** /sys/devices/system/cpu/cpuN/thermal_throttle, which Docker masks. */
  readonly thermalThrottlePaths: readonly string[];
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

/** Numbers of the bits in a hexadecimal mask of /proc/PID/status. */
export function parseCapabilityMask(hexadecimal: string): number[] {
  const mask = BigInt(`0x${hexadecimal}`);
  const numbers: number[] = [];
  for (let bit = 0; bit < 64; bit += 1) if ((mask >> BigInt(bit)) & 1n) numbers.push(bit);
  return numbers;
}

function securityModules(): string[] {
  const modules = new Set((readText('/sys/kernel/security/lsm') ?? '').trim().split(',').filter(Boolean));
  if (readText('/sys/module/apparmor/parameters/enabled')?.startsWith('Y')) modules.add('apparmor');
  return [...modules];
}

/** The hard limits in a /proc/PID/limits, proc_pid_limits(5): a head line, then one line of fixed columns a resource. */
export function parseHardLimits(text: string): bigint[] {
  const rows = text.trimEnd().split('\n').slice(1);
  return rows.map((row) => {
    const hard = row.slice(47, 67).trim();
    return hard === 'unlimited' ? UNLIMITED : BigInt(hard);
  });
}

/**
 * Reads the facts. `cgroupParent` is the cgroup, relative to every tree's root, that will hold the containers' cgroups; it
 * is made where missing, because most control files exist only below a tree's root. `assumedKernel` is taken for the running kernel as
 * far as layers go.
 * @throws the file system's error where the parent cgroup cannot be made.
 */
export function readHostFacts(
  options: { readonly cgroupParent?: string; readonly assumedKernel?: KernelVersion | null } = {},
): HostFacts {
  const cgroupParent = options.cgroupParent ?? '/tsd';
  const kernelRelease = release();
  const [major = 0, minor = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  const cgroups = parseCgroupLayout(
    readFileSync('/proc/self/mountinfo', 'utf8'),
    cgroupParent,
    (mountPoint) => readText(`${mountPoint}/cgroup.controllers`) ?? '',
  );
  const cgroupFiles = new Set<string>();
  let cpuset = { cpus: '', mems: '' };
  if (cgroups !== null) {
    cpuset = prepareCgroupParent(cgroups);
    const trees = cgroups.version === 1 ? cgroups.trees : [cgroups.unified];
    for (const tree of trees) for (const name of readdirSync(tree.parent)) cgroupFiles.add(name);
  }
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return Object.freeze({
    architecture: process.arch,
    kernel: { release: kernelRelease, major, minor },
    layers: layerSupport(options.assumedKernel ?? { major, minor }),
    cgroups,
    cgroupFiles,
    cpusetCpus: cpuset.cpus,
    cpusetMems: cpuset.mems,
    capabilities: parseCapabilityMask(bounding),
    hardLimits: parseHardLimits(readFileSync('/proc/self/limits', 'utf8')),
    securityModules: securityModules(),
    keyrings: readText('/proc/keys') !== null,
    ipv6: existsSync('/proc/net/if_inet6'),
    processors: availableParallelism(),
    thermalThrottlePaths: globSync('/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle'),
  });
}
