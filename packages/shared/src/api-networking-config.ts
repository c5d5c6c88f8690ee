/** NetworkingConfig and EndpointSettings of the Docker Engine API. */
import { type Static, Type } from 'typebox';
import { MapOf, OptionalField, StringList, StringMap } from './api-schema.ts';

export const EndpointSettingsSchema = Type.Object({
  IPAMConfig: OptionalField(
    Type.Object({
      IPv4Address: OptionalField(Type.String()),
      IPv6Address: OptionalField(Type.String()),
      LinkLocalIPs: OptionalField(StringList),
    }),
  ),
  Links: OptionalField(StringList),
  MacAddress: OptionalField(Type.String()),
  Aliases: OptionalField(StringList),
  DriverOpts: OptionalField(StringMap),
  GwPriority: OptionalField(Type.Integer()),
  NetworkID: OptionalField(Type.String()),
  EndpointID: OptionalField(Type.String()),
  Gateway: OptionalField(Type.String()),
  IPAddress: OptionalField(Type.String()),
  IPPrefixLen: OptionalField(Type.Integer()),
  IPv6Gateway: OptionalField(Type.String()),
  GlobalIPv6Address: OptionalField(Type.String()),
  GlobalIPv6PrefixLen: OptionalField(Type.Integer()),
  DNSNames: OptionalField(StringList),
});
export type EndpointSettings = Static<typeof EndpointSettingsSchema>;

export const NetworkingConfigSchema = Type.Object({
  /** Keys are names or ids of networks. */
  EndpointsConfig: OptionalField(MapOf(Type.Union([EndpointSettingsSchema, Type.Null()]))),
});
export type NetworkingConfig = Static<typeof NetworkingConfigSchema>;
