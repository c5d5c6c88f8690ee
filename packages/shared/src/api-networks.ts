/** Bodies and queries of the /networks endpoints of the Docker Engine API. */
import { type Static, Type } from 'typebox';
import { EndpointSettingsSchema } from './api-networking-config.ts';
import { MapOf, OptionalField, StringMap } from './api-schema.ts';

export const IpamConfigSchema = Type.Object({
  Subnet: OptionalField(Type.String()),
  IPRange: OptionalField(Type.String()),
  Gateway: OptionalField(Type.String()),
  AuxiliaryAddresses: OptionalField(StringMap),
});
export type IpamConfig = Static<typeof IpamConfigSchema>;

/** POST /networks/create. Unknown fields are ignored. */
export const NetworkCreateBodySchema = Type.Object({
  Name: Type.String(),
  Driver: OptionalField(Type.String()),
  Scope: OptionalField(Type.String()),
  Internal: OptionalField(Type.Boolean()),
  Attachable: OptionalField(Type.Boolean()),
  Ingress: OptionalField(Type.Boolean()),
  ConfigOnly: OptionalField(Type.Boolean()),
  ConfigFrom: OptionalField(Type.Object({ Network: OptionalField(Type.String()) })),
  IPAM: OptionalField(
    Type.Object({
      Driver: OptionalField(Type.String()),
      Config: OptionalField(Type.Array(IpamConfigSchema)),
      Options: OptionalField(StringMap),
    }),
  ),
  EnableIPv4: OptionalField(Type.Boolean()),
  EnableIPv6: OptionalField(Type.Boolean()),
  Options: OptionalField(StringMap),
  Labels: OptionalField(StringMap),
});
export type NetworkCreateBody = Static<typeof NetworkCreateBodySchema>;

export const NetworkCreateResponseSchema = Type.Object({ Id: Type.String(), Warning: Type.String() });
export type NetworkCreateResponse = Static<typeof NetworkCreateResponseSchema>;

export const EndpointResourceSchema = Type.Object({
  Name: Type.String(),
  EndpointID: Type.String(),
  MacAddress: Type.String(),
  /** With the prefix length; empty where there is none. */
  IPv4Address: Type.String(),
  IPv6Address: Type.String(),
});
export type EndpointResource = Static<typeof EndpointResourceSchema>;

/** What the containers of a network with an egress policy were let through and refused. */
export const EgressReportSchema = Type.Object({
  Default: Type.Enum(['allow', 'deny']),
  /** Packets that opened a connection, by rule as the user wrote it. */
  Allow: Type.Array(Type.Object({ Rule: Type.String(), Packets: Type.Integer() })),
  /** In the last hour: a thousand destinations of the network or so, and two hundred names of each container. */
  Refused: Type.Array(
    Type.Object({
      /** Its name, or its address where it is gone. */
      Container: Type.String(),
      Destination: Type.String(),
      Protocol: Type.String(),
      /** null for protocols without ports. */
      Port: Type.Union([Type.Integer(), Type.Null()]),
      Packets: Type.Integer(),
    }),
  ),
  /** How much more each container was refused, packets to destinations and questions for names that are not listed. */
  Unlisted: Type.Array(Type.Object({ Container: Type.String(), Packets: Type.Integer() })),
});
export type EgressReport = Static<typeof EgressReportSchema>;

/** GET /networks and GET /networks/{id}; `Containers` is empty in lists from API 1.28 on. */
export const NetworkSchema = Type.Object({
  Name: Type.String(),
  Id: Type.String(),
  Created: Type.String(),
  Scope: Type.String(),
  Driver: Type.String(),
  EnableIPv4: Type.Boolean(),
  EnableIPv6: Type.Boolean(),
  IPAM: Type.Object({
    Driver: Type.String(),
    Options: Type.Union([StringMap, Type.Null()]),
    Config: Type.Array(IpamConfigSchema),
  }),
  Internal: Type.Boolean(),
  Attachable: Type.Boolean(),
  Ingress: Type.Boolean(),
  ConfigFrom: Type.Object({ Network: Type.String() }),
  ConfigOnly: Type.Boolean(),
  Containers: MapOf(EndpointResourceSchema),
  Options: StringMap,
  Labels: StringMap,
  /** tsd's own, and only where the network has a policy. */
  Egress: Type.Optional(EgressReportSchema),
});
export type NetworkResource = Static<typeof NetworkSchema>;

export const NetworkConnectBodySchema = Type.Object({
  Container: Type.String(),
  EndpointConfig: OptionalField(EndpointSettingsSchema),
});
export type NetworkConnectBody = Static<typeof NetworkConnectBodySchema>;

export const NetworkDisconnectBodySchema = Type.Object({
  Container: Type.String(),
  Force: OptionalField(Type.Boolean()),
});
export type NetworkDisconnectBody = Static<typeof NetworkDisconnectBodySchema>;

export const NetworkPruneResponseSchema = Type.Object({
  /** Names; null where nothing was removed. */
  NetworksDeleted: Type.Union([Type.Array(Type.String()), Type.Null()]),
});
export type NetworkPruneResponse = Static<typeof NetworkPruneResponseSchema>;
