/** ContainerConfig and HealthConfig of the Docker Engine API: what does not depend on the host. */
import { type Static, Type } from 'typebox';
import { KeySet, OptionalField, StringList, StringMap } from './api-schema.ts';

/** Go's strslice: a list, or one string that stands for a list of one. */
const StringOrList = Type.Union([StringList, Type.String()]);

export const HealthConfigSchema = Type.Object({
  Test: OptionalField(StringList),
  /** Times are in nanoseconds; 0 inherits. */
  Interval: OptionalField(Type.Integer()),
  Timeout: OptionalField(Type.Integer()),
  StartPeriod: OptionalField(Type.Integer()),
  StartInterval: OptionalField(Type.Integer()),
  Retries: OptionalField(Type.Integer()),
});
export type HealthConfig = Static<typeof HealthConfigSchema>;

export const CONTAINER_CONFIG_FIELDS = {
  Hostname: OptionalField(Type.String()),
  Domainname: OptionalField(Type.String()),
  User: OptionalField(Type.String()),
  AttachStdin: OptionalField(Type.Boolean()),
  AttachStdout: OptionalField(Type.Boolean()),
  AttachStderr: OptionalField(Type.Boolean()),
  /** Keys such as `80/tcp`. */
  ExposedPorts: OptionalField(KeySet),
  Tty: OptionalField(Type.Boolean()),
  OpenStdin: OptionalField(Type.Boolean()),
  StdinOnce: OptionalField(Type.Boolean()),
  /** NAME=value; NAME alone removes the variable. */
  Env: OptionalField(StringList),
  Cmd: OptionalField(StringOrList),
  Healthcheck: OptionalField(HealthConfigSchema),
  ArgsEscaped: OptionalField(Type.Boolean()),
  Image: OptionalField(Type.String()),
  /** Keys are paths in the container. */
  Volumes: OptionalField(KeySet),
  WorkingDir: OptionalField(Type.String()),
  /** Null inherits the image's, an empty list or `[""]` removes it. */
  Entrypoint: OptionalField(StringOrList),
  NetworkDisabled: OptionalField(Type.Boolean()),
  MacAddress: OptionalField(Type.String()),
  OnBuild: OptionalField(StringList),
  Labels: OptionalField(StringMap),
  StopSignal: OptionalField(Type.String()),
  /** Seconds. */
  StopTimeout: OptionalField(Type.Integer()),
  Shell: OptionalField(StringList),
};
export const ContainerConfigSchema = Type.Object(CONTAINER_CONFIG_FIELDS);
export type ContainerConfig = Static<typeof ContainerConfigSchema>;
