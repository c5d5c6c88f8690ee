/** Fills in the defaults of a container's `HostConfig`, as inspect shows them afterwards. */
import type { ContainerCreateBody } from '@tsd/shared/api-containers';
import { checkRestartPolicy } from '@tsd/shared/restart-policy';
import type { HostConfig, MountSpecification } from './container.ts';

type WireHostConfig = NonNullable<ContainerCreateBody['HostConfig']>;

/** Docker's --shm-size default. */
const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

/**
 * The complete host configuration.
 *
 * @throws TsdError `bad_parameter` for a restart policy that does not exist
 */
export function normalizeHostConfig(wire: WireHostConfig): HostConfig {
  const restartPolicy = checkRestartPolicy({
    Name: wire.RestartPolicy?.Name ?? '',
    MaximumRetryCount: wire.RestartPolicy?.MaximumRetryCount ?? 0,
  });
  const memory = wire.Memory ?? 0;
  return {
    Binds: wire.Binds ?? null,
    ContainerIDFile: wire.ContainerIDFile ?? '',
    LogConfig: { Type: wire.LogConfig?.Type || 'json-file', Config: wire.LogConfig?.Config ?? {} },
    NetworkMode: normalizeNetworkMode(wire.NetworkMode ?? ''),
    PortBindings: normalizePortBindings(wire.PortBindings),
    RestartPolicy: { Name: restartPolicy.Name || 'no', MaximumRetryCount: restartPolicy.MaximumRetryCount },
    AutoRemove: wire.AutoRemove ?? false,
    VolumeDriver: wire.VolumeDriver ?? '',
    VolumesFrom: wire.VolumesFrom ?? null,
    ConsoleSize: [wire.ConsoleSize?.[0] ?? 0, wire.ConsoleSize?.[1] ?? 0],
    ...(wire.Annotations ? { Annotations: wire.Annotations } : {}),
    CapAdd: stringList(wire.CapAdd),
    CapDrop: stringList(wire.CapDrop),
    CgroupnsMode: wire.CgroupnsMode || 'private',
    Dns: wire.Dns ?? [],
    DnsOptions: wire.DnsOptions ?? [],
    DnsSearch: wire.DnsSearch ?? [],
    ExtraHosts: wire.ExtraHosts ?? null,
    GroupAdd: wire.GroupAdd ?? null,
    IpcMode: wire.IpcMode || 'private',
    Cgroup: wire.Cgroup ?? '',
    Links: wire.Links ?? null,
    OomScoreAdj: wire.OomScoreAdj ?? 0,
    PidMode: wire.PidMode ?? '',
    Privileged: wire.Privileged ?? false,
    PublishAllPorts: wire.PublishAllPorts ?? false,
    ReadonlyRootfs: wire.ReadonlyRootfs ?? false,
    SecurityOpt: wire.SecurityOpt ?? null,
    ...(wire.StorageOpt ? { StorageOpt: wire.StorageOpt } : {}),
    ...(wire.Tmpfs ? { Tmpfs: wire.Tmpfs } : {}),
    UTSMode: wire.UTSMode ?? '',
    UsernsMode: wire.UsernsMode ?? '',
    ShmSize: wire.ShmSize || DEFAULT_SHM_BYTES,
    ...(wire.Sysctls ? { Sysctls: wire.Sysctls } : {}),
    Runtime: wire.Runtime || 'tsd',
    Isolation: wire.Isolation ?? '',
    CpuShares: wire.CpuShares ?? 0,
    Memory: memory,
    NanoCpus: wire.NanoCpus ?? 0,
    CgroupParent: wire.CgroupParent ?? '',
    BlkioWeight: wire.BlkioWeight ?? 0,
    BlkioWeightDevice: wire.BlkioWeightDevice ?? [],
    BlkioDeviceReadBps: wire.BlkioDeviceReadBps ?? [],
    BlkioDeviceWriteBps: wire.BlkioDeviceWriteBps ?? [],
    BlkioDeviceReadIOps: wire.BlkioDeviceReadIOps ?? [],
    BlkioDeviceWriteIOps: wire.BlkioDeviceWriteIOps ?? [],
    CpuPeriod: wire.CpuPeriod ?? 0,
    CpuQuota: wire.CpuQuota ?? 0,
    CpuRealtimePeriod: wire.CpuRealtimePeriod ?? 0,
    CpuRealtimeRuntime: wire.CpuRealtimeRuntime ?? 0,
    CpusetCpus: wire.CpusetCpus ?? '',
    CpusetMems: wire.CpusetMems ?? '',
    Devices: (wire.Devices ?? []).map((device) => ({
      PathOnHost: device.PathOnHost ?? '',
      PathInContainer: device.PathInContainer || (device.PathOnHost ?? ''),
      CgroupPermissions: device.CgroupPermissions || 'rwm',
    })),
    DeviceCgroupRules: wire.DeviceCgroupRules ?? null,
    DeviceRequests: wire.DeviceRequests ?? null,
    MemoryReservation: wire.MemoryReservation ?? 0,
    // Docker: memory and swap together default to twice the memory.
    MemorySwap: wire.MemorySwap || (memory > 0 ? memory * 2 : 0),
    // -1 is the client's way to say "not given".
    MemorySwappiness: wire.MemorySwappiness === -1 ? null : (wire.MemorySwappiness ?? null),
    OomKillDisable: wire.OomKillDisable ?? false,
    PidsLimit: wire.PidsLimit ?? null,
    Ulimits: (wire.Ulimits ?? []).map(({ Name, Soft, Hard }) => ({
      Name: Name ?? '',
      Soft: Soft ?? 0,
      Hard: Hard ?? 0,
    })),
    CpuCount: wire.CpuCount ?? 0,
    CpuPercent: wire.CpuPercent ?? 0,
    IOMaximumIOps: wire.IOMaximumIOps ?? 0,
    IOMaximumBandwidth: wire.IOMaximumBandwidth ?? 0,
    ...(wire.Mounts && wire.Mounts.length > 0 ? { Mounts: wire.Mounts.map(withoutNulls) } : {}),
    MaskedPaths: wire.MaskedPaths ?? null,
    ReadonlyPaths: wire.ReadonlyPaths ?? null,
    ...(wire.Init === null || wire.Init === undefined ? {} : { Init: wire.Init }),
  };
}

/** Docker takes a string where a list is meant. */
function stringList(value: readonly string[] | string | null | undefined): readonly string[] | null {
  return typeof value === 'string' ? [value] : (value ?? null);
}

/** Null means "not given" to Docker, at every depth. */
function withoutNulls(mount: NonNullable<WireHostConfig['Mounts']>[number]): MountSpecification {
  return JSON.parse(
    JSON.stringify(mount, (_, value: unknown) => (value === null ? undefined : value)),
  ) as MountSpecification;
}

/** Docker's three names of the default network are one. */
function normalizeNetworkMode(mode: string): string {
  return mode === '' || mode === 'default' ? 'bridge' : mode;
}

function normalizePortBindings(wire: WireHostConfig['PortBindings']): HostConfig['PortBindings'] {
  return Object.fromEntries(
    Object.entries(wire ?? {}).map(([port, bindings]) => [
      port,
      (bindings ?? []).map(({ HostIp, HostPort }) => ({ HostIp: HostIp ?? '', HostPort: HostPort ?? '' })),
    ]),
  );
}
