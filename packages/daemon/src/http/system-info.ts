/** What /info says: the engine, its host and what the host can do. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, hostname, machine, totalmem } from 'node:os';
import type { SystemInfo } from '@tsd/shared/api-system';
import type { Config } from '../config.ts';
import type { HostFacts } from '../runtime/host-facts.ts';

export interface BuildInfo {
  readonly version: string;
  /** Commit that this was built from; empty in a checkout. */
  readonly gitCommit: string;
  /** RFC 3339; empty in a checkout. */
  readonly builtAt: string;
}

export interface ContainerCounts {
  readonly running: number;
  readonly paused: number;
  /** Everything else. */
  readonly stopped: number;
}

export interface SystemDeps {
  readonly config: Pick<Config, 'dataRoot' | 'labels' | 'logLevel' | 'registryMirrors' | 'insecureRegistries'>;
  readonly host: HostFacts;
  readonly build: BuildInfo;
  readonly launcherPath: string;
  readonly containerCounts: () => ContainerCounts;
  readonly imageCount: () => number;
}

/** The body of GET /info. */
export function systemInfo(deps: SystemDeps, identity: Identity): SystemInfo {
  const { config, host } = deps;
  const counts = deps.containerCounts();
  const limits = availableLimits(host);
  return {
    ID: identity.engineId,
    Containers: counts.running + counts.paused + counts.stopped,
    ContainersRunning: counts.running,
    ContainersPaused: counts.paused,
    ContainersStopped: counts.stopped,
    Images: deps.imageCount(),
    Driver: 'erofs',
    DriverStatus: [
      ['Backing Filesystem', fileSystemName(config.dataRoot)],
      ['Layers', 'EROFS images, mounted read-only'],
      ['Writable layer', 'overlayfs'],
    ],
    SystemStatus: null,
    Plugins: { Volume: [], Network: ['host', 'null'], Authorization: null, Log: ['json-file', 'local', 'none'] },
    ...limits,
    IPv4Forwarding: readText('/proc/sys/net/ipv4/ip_forward') === '1',
    BridgeNfIptables: readText('/proc/sys/net/bridge/bridge-nf-call-iptables') === '1',
    BridgeNfIp6tables: readText('/proc/sys/net/bridge/bridge-nf-call-ip6tables') === '1',
    Debug: config.logLevel === 'debug' || config.logLevel === 'trace',
    NFd: readdirSync('/proc/self/fd').length,
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: 'json-file',
    CgroupDriver: host.cgroups === null ? 'none' : 'cgroupfs',
    CgroupVersion: host.cgroups?.version === 2 ? '2' : '1',
    NEventsListener: 0,
    KernelVersion: host.kernel.release,
    OperatingSystem: identity.operatingSystem,
    OSVersion: identity.osVersion,
    OSType: 'linux',
    Architecture: machine(),
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: registryConfig(config),
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: config.dataRoot,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: hostname(),
    Labels: [...config.labels],
    ExperimentalBuild: false,
    ServerVersion: deps.build.version,
    Runtimes: { tsd: { path: deps.launcherPath } },
    DefaultRuntime: 'tsd',
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive' },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: 'tsd-launch',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: deps.build.version },
    SecurityOptions: securityOptions(host),
    CDISpecDirs: null,
    Warnings: warnings(limits, host),
  };
}

type Limits = Pick<
  SystemInfo,
  'MemoryLimit' | 'SwapLimit' | 'CpuCfsPeriod' | 'CpuCfsQuota' | 'CPUShares' | 'CPUSet' | 'PidsLimit' | 'OomKillDisable'
>;

/** Which limits the host's cgroups can apply: the control files that exist, of version 1 or 2. */
function availableLimits(host: HostFacts): Limits {
  const has = (...names: string[]): boolean => names.some((name) => host.cgroupFiles.has(name));
  return {
    MemoryLimit: has('memory.max', 'memory.limit_in_bytes'),
    SwapLimit: has('memory.swap.max', 'memory.memsw.limit_in_bytes'),
    CpuCfsPeriod: has('cpu.max', 'cpu.cfs_period_us'),
    CpuCfsQuota: has('cpu.max', 'cpu.cfs_quota_us'),
    CPUShares: has('cpu.weight', 'cpu.shares'),
    CPUSet: has('cpuset.cpus'),
    PidsLimit: has('pids.max'),
    OomKillDisable: has('memory.oom_control'),
  };
}

/** moby's texts (daemon/info.go, fillDriverWarnings and its neighbours). */
function warnings(limits: Limits, host: HostFacts): string[] | null {
  const texts: string[] = [];
  if (host.cgroups === null) texts.push('WARNING: No cgroups are mounted: no limit can be applied');
  if (!limits.MemoryLimit) texts.push('WARNING: No memory limit support');
  if (!limits.SwapLimit) texts.push('WARNING: No swap limit support');
  if (!limits.CpuCfsQuota) texts.push('WARNING: No cpu cfs quota support');
  if (!limits.CPUShares) texts.push('WARNING: No cpu shares support');
  if (!limits.CPUSet) texts.push('WARNING: No cpuset support');
  if (!limits.PidsLimit) texts.push('WARNING: No pids limit support');
  return texts.length === 0 ? null : texts;
}

function securityOptions(host: HostFacts): string[] {
  const modules = host.securityModules.filter((name) => name === 'apparmor' || name === 'selinux');
  return [...modules.map((name) => `name=${name}`), 'name=seccomp,profile=builtin', 'name=userns', 'name=cgroupns'];
}

export interface Identity {
  readonly engineId: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
}

/** What does not change while the daemon runs. The id is the same for the same machine and data root. */
export function readIdentity(dataRoot: string): Identity {
  const digest = createHash('sha256')
    .update(`tsd\0${readText('/etc/machine-id') ?? hostname()}\0${dataRoot}`)
    .digest('hex');
  const release = readText('/etc/os-release') ?? '';
  const value = (name: string): string => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(release)?.[1] ?? '';
  return {
    engineId: `${digest.slice(0, 8)}-${digest.slice(8, 12)}-${digest.slice(12, 16)}-${digest.slice(16, 20)}-${digest.slice(20, 32)}`,
    operatingSystem: value('PRETTY_NAME') || 'Linux',
    osVersion: value('VERSION_ID'),
  };
}

/** Magic numbers of statfs(2). */
const FILE_SYSTEM_NAMES: Readonly<Record<number, string>> = {
  61267: 'extfs',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlayfs',
  16914836: 'tmpfs',
  801189825: 'zfs',
  4076150800: 'f2fs',
};

function fileSystemName(path: string): string {
  const { type } = statfsSync(path);
  return FILE_SYSTEM_NAMES[type] ?? `0x${type.toString(16)}`;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** dockerd lists networks apart from hosts. */
function registryConfig({
  registryMirrors,
  insecureRegistries,
}: Pick<Config, 'registryMirrors' | 'insecureRegistries'>): SystemInfo['RegistryConfig'] {
  const networks = insecureRegistries.filter((entry) => entry.includes('/'));
  const hosts = insecureRegistries.filter((entry) => !entry.includes('/'));
  const hub = { Name: 'docker.io', Mirrors: registryMirrors, Secure: true, Official: true };
  return {
    AllowNondistributableArtifactsCIDRs: null,
    AllowNondistributableArtifactsHostnames: null,
    InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', ...networks],
    IndexConfigs: Object.fromEntries([
      ['docker.io', hub],
      ...hosts.map((Name) => [Name, { Name, Mirrors: [], Secure: false, Official: false }]),
    ]),
    Mirrors: registryMirrors.length === 0 ? null : [...registryMirrors],
  };
}
