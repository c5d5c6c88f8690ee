/** Bodies of /version, /info and of errors, Docker Engine API. */
import { type Static, type TSchema, Type } from 'typebox';
import { ContainerSummarySchema } from './api-containers.ts';
import { ImageSummarySchema } from './api-images.ts';
import { MapOf, StringList, StringMap } from './api-schema.ts';

/** The body of every answer that is not a success. */
export const ErrorResponseSchema = Type.Object({ message: Type.String() });
export type ErrorResponse = Static<typeof ErrorResponseSchema>;

/** GET /version. */
export const SystemVersionSchema = Type.Object({
  Platform: Type.Object({ Name: Type.String() }),
  Components: Type.Array(
    Type.Object({ Name: Type.String(), Version: Type.String(), Details: Type.Optional(StringMap) }),
  ),
  Version: Type.String(),
  ApiVersion: Type.String(),
  MinAPIVersion: Type.String(),
  GitCommit: Type.String(),
  GoVersion: Type.String(),
  Os: Type.String(),
  Arch: Type.String(),
  KernelVersion: Type.String(),
  Experimental: Type.Optional(Type.Boolean()),
  BuildTime: Type.String(),
});
export type SystemVersion = Static<typeof SystemVersionSchema>;

const CommitSchema = Type.Object({ ID: Type.String() });

/** GET /info. Sizes are bytes. */
export const SystemInfoSchema = Type.Object({
  ID: Type.String(),
  Containers: Type.Integer(),
  ContainersRunning: Type.Integer(),
  ContainersPaused: Type.Integer(),
  ContainersStopped: Type.Integer(),
  Images: Type.Integer(),
  Driver: Type.String(),
  DriverStatus: Type.Array(StringList),
  SystemStatus: Type.Null(),
  Plugins: Type.Object({
    Volume: StringList,
    Network: StringList,
    Authorization: Type.Union([StringList, Type.Null()]),
    Log: StringList,
  }),
  MemoryLimit: Type.Boolean(),
  SwapLimit: Type.Boolean(),
  CpuCfsPeriod: Type.Boolean(),
  CpuCfsQuota: Type.Boolean(),
  CPUShares: Type.Boolean(),
  CPUSet: Type.Boolean(),
  PidsLimit: Type.Boolean(),
  IPv4Forwarding: Type.Boolean(),
  BridgeNfIptables: Type.Boolean(),
  BridgeNfIp6tables: Type.Boolean(),
  Debug: Type.Boolean(),
  NFd: Type.Integer(),
  OomKillDisable: Type.Boolean(),
  NGoroutines: Type.Integer(),
  SystemTime: Type.String(),
  LoggingDriver: Type.String(),
  CgroupDriver: Type.String(),
  CgroupVersion: Type.Enum(['1', '2']),
  NEventsListener: Type.Integer(),
  KernelVersion: Type.String(),
  OperatingSystem: Type.String(),
  OSVersion: Type.String(),
  OSType: Type.String(),
  Architecture: Type.String(),
  IndexServerAddress: Type.String(),
  RegistryConfig: Type.Object({
    AllowNondistributableArtifactsCIDRs: Type.Union([StringList, Type.Null()]),
    AllowNondistributableArtifactsHostnames: Type.Union([StringList, Type.Null()]),
    InsecureRegistryCIDRs: StringList,
    IndexConfigs: MapOf(Type.Unknown()),
    Mirrors: Type.Union([StringList, Type.Null()]),
  }),
  NCPU: Type.Integer(),
  MemTotal: Type.Integer(),
  GenericResources: Type.Null(),
  DockerRootDir: Type.String(),
  HttpProxy: Type.String(),
  HttpsProxy: Type.String(),
  NoProxy: Type.String(),
  Name: Type.String(),
  Labels: StringList,
  ExperimentalBuild: Type.Boolean(),
  ServerVersion: Type.String(),
  Runtimes: MapOf(Type.Object({ path: Type.String() })),
  DefaultRuntime: Type.String(),
  Swarm: Type.Object({ NodeID: Type.String(), NodeAddr: Type.String(), LocalNodeState: Type.String() }),
  LiveRestoreEnabled: Type.Boolean(),
  Isolation: Type.String(),
  InitBinary: Type.String(),
  ContainerdCommit: CommitSchema,
  RuncCommit: CommitSchema,
  InitCommit: CommitSchema,
  SecurityOptions: StringList,
  CDISpecDirs: Type.Union([StringList, Type.Null()]),
  Warnings: Type.Union([StringList, Type.Null()]),
});
export type SystemInfo = Static<typeof SystemInfoSchema>;

const nullableList = <Schema extends TSchema>(items: Schema) => Type.Union([Type.Array(items), Type.Null()]);

/** GET /system/df. Sizes are bytes; a list that was not asked for is null. */
export const DiskUsageSchema = Type.Object({
  /** Files of all layers, each layer once, and the compressed layers that are kept for pushes. */
  LayersSize: Type.Integer(),
  /** tsd's own: the part of LayersSize that is compressed layers. */
  BlobsSize: Type.Integer(),
  Images: nullableList(ImageSummarySchema),
  Containers: nullableList(ContainerSummarySchema),
  Volumes: nullableList(Type.Unknown()),
  BuildCache: nullableList(Type.Unknown()),
});
export type DiskUsage = Static<typeof DiskUsageSchema>;
