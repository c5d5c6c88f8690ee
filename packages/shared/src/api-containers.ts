/** Bodies and queries of the /containers endpoints of the Docker Engine API. */
import { type Static, Type } from 'typebox';
import { CONTAINER_CONFIG_FIELDS, ContainerConfigSchema } from './api-container-config.ts';
import { HostConfigSchema } from './api-host-config.ts';
import { EndpointSettingsSchema, NetworkingConfigSchema } from './api-networking-config.ts';
import { MapOf, OptionalField, StringList, StringMap } from './api-schema.ts';

/** POST /containers/create: ContainerConfig with HostConfig and NetworkingConfig inside. Unknown fields are ignored. */
export const ContainerCreateBodySchema = Type.Object({
  ...CONTAINER_CONFIG_FIELDS,
  HostConfig: OptionalField(HostConfigSchema),
  NetworkingConfig: OptionalField(NetworkingConfigSchema),
});
export type ContainerCreateBody = Static<typeof ContainerCreateBodySchema>;

export const ContainerCreateResponseSchema = Type.Object({ Id: Type.String(), Warnings: StringList });
export type ContainerCreateResponse = Static<typeof ContainerCreateResponseSchema>;

export const ContainerStatusSchema = Type.Enum([
  'created',
  'running',
  'paused',
  'restarting',
  'removing',
  'exited',
  'dead',
]);

/** GET /containers/{id}/json, State. Times are RFC 3339 with nanoseconds; `0001-01-01T00:00:00Z` for never. */
export const ContainerStateSchema = Type.Object({
  Status: ContainerStatusSchema,
  Running: Type.Boolean(),
  Paused: Type.Boolean(),
  Restarting: Type.Boolean(),
  OOMKilled: Type.Boolean(),
  Dead: Type.Boolean(),
  Pid: Type.Integer(),
  ExitCode: Type.Integer(),
  Error: Type.String(),
  StartedAt: Type.String(),
  FinishedAt: Type.String(),
});
export type ContainerState = Static<typeof ContainerStateSchema>;

export const MountPointSchema = Type.Object({
  Type: Type.String(),
  Name: Type.Optional(Type.String()),
  Source: Type.String(),
  Destination: Type.String(),
  Driver: Type.Optional(Type.String()),
  Mode: Type.String(),
  RW: Type.Boolean(),
  Propagation: Type.String(),
});
export type MountPoint = Static<typeof MountPointSchema>;

const PortBindingListSchema = Type.Array(Type.Object({ HostIp: Type.String(), HostPort: Type.String() }));

export const NetworkSettingsSchema = Type.Object({
  Bridge: Type.String(),
  SandboxID: Type.String(),
  SandboxKey: Type.String(),
  Ports: MapOf(Type.Union([PortBindingListSchema, Type.Null()])),
  HairpinMode: Type.Boolean(),
  LinkLocalIPv6Address: Type.String(),
  LinkLocalIPv6PrefixLen: Type.Integer(),
  SecondaryIPAddresses: Type.Null(),
  SecondaryIPv6Addresses: Type.Null(),
  EndpointID: Type.String(),
  Gateway: Type.String(),
  GlobalIPv6Address: Type.String(),
  GlobalIPv6PrefixLen: Type.Integer(),
  IPAddress: Type.String(),
  IPPrefixLen: Type.Integer(),
  IPv6Gateway: Type.String(),
  MacAddress: Type.String(),
  Networks: MapOf(EndpointSettingsSchema),
});
export type NetworkSettings = Static<typeof NetworkSettingsSchema>;

/** GET /containers/{id}/json. */
export const ContainerInspectResponseSchema = Type.Object({
  Id: Type.String(),
  Created: Type.String(),
  Path: Type.String(),
  Args: StringList,
  State: ContainerStateSchema,
  /** The image's id, `sha256:…`. */
  Image: Type.String(),
  ResolvConfPath: Type.String(),
  HostnamePath: Type.String(),
  HostsPath: Type.String(),
  LogPath: Type.String(),
  /** With a leading slash. */
  Name: Type.String(),
  RestartCount: Type.Integer(),
  Driver: Type.String(),
  Platform: Type.String(),
  MountLabel: Type.String(),
  ProcessLabel: Type.String(),
  AppArmorProfile: Type.String(),
  ExecIDs: Type.Union([StringList, Type.Null()]),
  HostConfig: HostConfigSchema,
  GraphDriver: Type.Object({ Name: Type.String(), Data: Type.Union([StringMap, Type.Null()]) }),
  SizeRw: Type.Optional(Type.Integer()),
  SizeRootFs: Type.Optional(Type.Integer()),
  Mounts: Type.Array(MountPointSchema),
  Config: ContainerConfigSchema,
  NetworkSettings: NetworkSettingsSchema,
});
export type ContainerInspectResponse = Static<typeof ContainerInspectResponseSchema>;

export const PortSummarySchema = Type.Object({
  IP: Type.Optional(Type.String()),
  PrivatePort: Type.Integer(),
  PublicPort: Type.Optional(Type.Integer()),
  Type: Type.String(),
});

/** One entry of GET /containers/json. */
export const ContainerSummarySchema = Type.Object({
  Id: Type.String(),
  /** With a leading slash. */
  Names: StringList,
  Image: Type.String(),
  ImageID: Type.String(),
  Command: Type.String(),
  /** Unix time, seconds. */
  Created: Type.Integer(),
  Ports: Type.Array(PortSummarySchema),
  SizeRw: Type.Optional(Type.Integer()),
  SizeRootFs: Type.Optional(Type.Integer()),
  Labels: StringMap,
  State: ContainerStatusSchema,
  /** "Up 4 days", "Exited (0) 2 hours ago". */
  Status: Type.String(),
  HostConfig: Type.Object({ NetworkMode: Type.String(), Annotations: Type.Optional(StringMap) }),
  NetworkSettings: Type.Object({ Networks: MapOf(EndpointSettingsSchema) }),
  Mounts: Type.Array(MountPointSchema),
});
export type ContainerSummary = Static<typeof ContainerSummarySchema>;

/** POST /containers/{id}/wait. */
export const ContainerWaitResponseSchema = Type.Object({
  StatusCode: Type.Integer(),
  Error: Type.Optional(Type.Object({ Message: Type.String() })),
});
export type ContainerWaitResponse = Static<typeof ContainerWaitResponseSchema>;

/** GET /containers/{id}/top. */
export const ContainerTopResponseSchema = Type.Object({ Titles: StringList, Processes: Type.Array(StringList) });
export type ContainerTopResponse = Static<typeof ContainerTopResponseSchema>;

/** POST /containers/prune. */
export const ContainerPruneResponseSchema = Type.Object({
  ContainersDeleted: Type.Union([StringList, Type.Null()]),
  SpaceReclaimed: Type.Integer(),
});
export type ContainerPruneResponse = Static<typeof ContainerPruneResponseSchema>;
