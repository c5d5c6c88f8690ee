/** HostConfig of the Docker Engine API: what depends on the host, resource limits included. */
import { type Static, Type } from 'typebox';
import { MapOf, OptionalField, StringList, StringMap } from './api-schema.ts';

export const MountSchema = Type.Object({
  Type: Type.Enum(['bind', 'cluster', 'image', 'npipe', 'tmpfs', 'volume']),
  Source: OptionalField(Type.String()),
  Target: Type.String(),
  ReadOnly: OptionalField(Type.Boolean()),
  Consistency: OptionalField(Type.String()),
  BindOptions: OptionalField(
    Type.Object({
      Propagation: OptionalField(Type.Enum(['', 'private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'])),
      NonRecursive: OptionalField(Type.Boolean()),
      CreateMountpoint: OptionalField(Type.Boolean()),
      ReadOnlyNonRecursive: OptionalField(Type.Boolean()),
      ReadOnlyForceRecursive: OptionalField(Type.Boolean()),
    }),
  ),
  VolumeOptions: OptionalField(
    Type.Object({
      NoCopy: OptionalField(Type.Boolean()),
      Labels: OptionalField(StringMap),
      Subpath: OptionalField(Type.String()),
      DriverConfig: OptionalField(
        Type.Object({ Name: OptionalField(Type.String()), Options: OptionalField(StringMap) }),
      ),
    }),
  ),
  ImageOptions: OptionalField(Type.Object({ Subpath: OptionalField(Type.String()) })),
  TmpfsOptions: OptionalField(
    Type.Object({
      SizeBytes: OptionalField(Type.Integer()),
      Mode: OptionalField(Type.Integer()),
      Options: OptionalField(Type.Array(StringList)),
    }),
  ),
});
export type ApiMount = Static<typeof MountSchema>;

export const DeviceMappingSchema = Type.Object({
  PathOnHost: OptionalField(Type.String()),
  PathInContainer: OptionalField(Type.String()),
  CgroupPermissions: OptionalField(Type.String()),
});

export const DeviceRequestSchema = Type.Object({
  Driver: OptionalField(Type.String()),
  Count: OptionalField(Type.Integer()),
  DeviceIDs: OptionalField(StringList),
  Capabilities: OptionalField(Type.Array(StringList)),
  Options: OptionalField(StringMap),
});

export const RestartPolicySchema = Type.Object({
  Name: OptionalField(Type.String()),
  MaximumRetryCount: OptionalField(Type.Integer()),
});

export const PortBindingSchema = Type.Object({
  HostIp: OptionalField(Type.String()),
  HostPort: OptionalField(Type.String()),
});
/** Keys such as `80/tcp`. */
export const PortMapSchema = MapOf(Type.Union([Type.Array(PortBindingSchema), Type.Null()]));

const ThrottleDevices = Type.Array(
  Type.Object({ Path: OptionalField(Type.String()), Rate: OptionalField(Type.Integer({ minimum: 0 })) }),
);

/** The Resources part, which POST /containers/{id}/update takes alone. Sizes are bytes, periods microseconds. */
export const RESOURCE_FIELDS = {
  CpuShares: OptionalField(Type.Integer()),
  Memory: OptionalField(Type.Integer()),
  CgroupParent: OptionalField(Type.String()),
  BlkioWeight: OptionalField(Type.Integer({ minimum: 0, maximum: 65_535 })),
  BlkioWeightDevice: OptionalField(
    Type.Array(
      Type.Object({
        Path: OptionalField(Type.String()),
        Weight: OptionalField(Type.Integer({ minimum: 0, maximum: 65_535 })),
      }),
    ),
  ),
  BlkioDeviceReadBps: OptionalField(ThrottleDevices),
  BlkioDeviceWriteBps: OptionalField(ThrottleDevices),
  BlkioDeviceReadIOps: OptionalField(ThrottleDevices),
  BlkioDeviceWriteIOps: OptionalField(ThrottleDevices),
  CpuPeriod: OptionalField(Type.Integer()),
  CpuQuota: OptionalField(Type.Integer()),
  CpuRealtimePeriod: OptionalField(Type.Integer()),
  CpuRealtimeRuntime: OptionalField(Type.Integer()),
  CpusetCpus: OptionalField(Type.String()),
  CpusetMems: OptionalField(Type.String()),
  Devices: OptionalField(Type.Array(DeviceMappingSchema)),
  DeviceCgroupRules: OptionalField(StringList),
  DeviceRequests: OptionalField(Type.Array(DeviceRequestSchema)),
  KernelMemory: OptionalField(Type.Integer()),
  KernelMemoryTCP: OptionalField(Type.Integer()),
  MemoryReservation: OptionalField(Type.Integer()),
  /** Memory and swap together; -1 is unlimited. */
  MemorySwap: OptionalField(Type.Integer()),
  MemorySwappiness: OptionalField(Type.Integer()),
  NanoCpus: OptionalField(Type.Integer()),
  OomKillDisable: OptionalField(Type.Boolean()),
  Init: OptionalField(Type.Boolean()),
  /** 0 and -1 are unlimited. */
  PidsLimit: OptionalField(Type.Integer()),
  Ulimits: OptionalField(
    Type.Array(
      Type.Object({
        Name: OptionalField(Type.String()),
        Soft: OptionalField(Type.Integer()),
        Hard: OptionalField(Type.Integer()),
      }),
    ),
  ),
  CpuCount: OptionalField(Type.Integer()),
  CpuPercent: OptionalField(Type.Integer()),
  IOMaximumIOps: OptionalField(Type.Integer()),
  IOMaximumBandwidth: OptionalField(Type.Integer()),
};

export const HostConfigSchema = Type.Object({
  ...RESOURCE_FIELDS,
  /** `source:target[:options]`, see mount-spec.ts. */
  Binds: OptionalField(StringList),
  ContainerIDFile: OptionalField(Type.String()),
  LogConfig: OptionalField(Type.Object({ Type: OptionalField(Type.String()), Config: OptionalField(StringMap) })),
  NetworkMode: OptionalField(Type.String()),
  PortBindings: OptionalField(PortMapSchema),
  RestartPolicy: OptionalField(RestartPolicySchema),
  AutoRemove: OptionalField(Type.Boolean()),
  VolumeDriver: OptionalField(Type.String()),
  VolumesFrom: OptionalField(StringList),
  Mounts: OptionalField(Type.Array(MountSchema)),
  /** Rows and columns. */
  ConsoleSize: OptionalField(Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 2 })),
  Annotations: OptionalField(StringMap),
  CapAdd: OptionalField(Type.Union([StringList, Type.String()])),
  CapDrop: OptionalField(Type.Union([StringList, Type.String()])),
  CgroupnsMode: OptionalField(Type.String()),
  Dns: OptionalField(StringList),
  DnsOptions: OptionalField(StringList),
  DnsSearch: OptionalField(StringList),
  ExtraHosts: OptionalField(StringList),
  GroupAdd: OptionalField(StringList),
  IpcMode: OptionalField(Type.String()),
  Cgroup: OptionalField(Type.String()),
  Links: OptionalField(StringList),
  OomScoreAdj: OptionalField(Type.Integer()),
  PidMode: OptionalField(Type.String()),
  Privileged: OptionalField(Type.Boolean()),
  PublishAllPorts: OptionalField(Type.Boolean()),
  ReadonlyRootfs: OptionalField(Type.Boolean()),
  SecurityOpt: OptionalField(StringList),
  StorageOpt: OptionalField(StringMap),
  /** Path to options, such as `{"/run": "rw,size=64m"}`. */
  Tmpfs: OptionalField(StringMap),
  UTSMode: OptionalField(Type.String()),
  UsernsMode: OptionalField(Type.String()),
  ShmSize: OptionalField(Type.Integer()),
  Sysctls: OptionalField(StringMap),
  Runtime: OptionalField(Type.String()),
  Isolation: OptionalField(Type.String()),
  /** Null means the defaults, an empty list means none. */
  MaskedPaths: OptionalField(StringList),
  ReadonlyPaths: OptionalField(StringList),
});
export type HostConfig = Static<typeof HostConfigSchema>;
