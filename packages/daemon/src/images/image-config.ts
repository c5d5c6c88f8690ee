/**
 * An image's configuration: the JSON document whose digest is the image's id. OCI image-spec, "image configuration", and
 * Docker's additions to it. Parsed for reading only: what is stored and saved are always the bytes as they came.
 */
import { TsdError } from '@tsd/shared/errors';
import Type from 'typebox';
import { jsonChecker, parseJson, withoutNulls } from './parse-json.ts';
import { formatPlatform, HOST_PLATFORM } from './platform.ts';

/** Overlayfs stacks at most 500 layers (OVL_MAX_STACK), the container's own included. */
export const MAX_LAYERS = 499;

export interface ImageHealthcheck {
  readonly Test?: readonly string[];
  /** Nanoseconds, as the three below. */
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

/** Defaults for containers made from the image, under Docker's names. */
export interface ImageRunConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly Healthcheck?: ImageHealthcheck;
  readonly OnBuild?: readonly string[];
  readonly Shell?: readonly string[];
  readonly ArgsEscaped?: boolean;
}

export interface ImageHistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export interface OciImageConfig {
  /** RFC 3339; absent in images that do not say. */
  readonly created?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly docker_version?: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly os: string;
  readonly 'os.version'?: string;
  readonly config: ImageRunConfig;
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly string[] };
  readonly history: readonly ImageHistoryEntry[];
}

const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

// What ends up in an argument vector, an environment or a path cannot hold a NUL.
const Text = Type.String({ pattern: '^[^\\u0000]*$' });
const TextList = Type.Array(Text);
// Go's map[string]struct{}: only the names count.
const NameSet = Type.Record(Type.String(), Type.Unknown(), { propertyNames: Text });
const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });
const Nanoseconds = Type.Integer();
const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

const RunConfig = Type.Object({
  User: nullable(Text),
  ExposedPorts: nullable(NameSet),
  Env: nullable(TextList),
  Entrypoint: nullable(TextList),
  Cmd: nullable(TextList),
  Volumes: nullable(NameSet),
  WorkingDir: nullable(Text),
  Labels: nullable(Type.Record(Type.String(), Type.String())),
  StopSignal: nullable(Text),
  Healthcheck: nullable(
    Type.Object({
      Test: nullable(TextList),
      Interval: nullable(Nanoseconds),
      Timeout: nullable(Nanoseconds),
      StartPeriod: nullable(Nanoseconds),
      StartInterval: nullable(Nanoseconds),
      Retries: nullable(Type.Integer()),
    }),
  ),
  OnBuild: nullable(TextList),
  Shell: nullable(TextList),
  ArgsEscaped: nullable(Type.Boolean()),
});

const HistoryEntry = Type.Object({
  created: nullable(Type.String()),
  created_by: nullable(Type.String()),
  author: nullable(Type.String()),
  comment: nullable(Type.String()),
  empty_layer: nullable(Type.Boolean()),
});

const Configuration = Type.Object({
  created: nullable(Type.String()),
  author: nullable(Type.String()),
  comment: nullable(Type.String()),
  docker_version: nullable(Type.String()),
  architecture: nullable(Type.String({ maxLength: 64 })),
  variant: nullable(Type.String({ maxLength: 64 })),
  os: nullable(Type.String({ maxLength: 64 })),
  'os.version': nullable(Type.String()),
  config: nullable(RunConfig),
  rootfs: Type.Object({
    type: Type.Literal('layers'),
    diff_ids: nullable(Type.Array(Digest, { maxItems: MAX_LAYERS })),
  }),
  history: nullable(Type.Array(HistoryEntry, { maxItems: 10_000 })),
});
const checker = jsonChecker(Configuration);

type Nulls<T> = { readonly [K in keyof T]?: T[K] | null };
type RawConfig = Nulls<Omit<OciImageConfig, 'config' | 'rootfs' | 'history'>> & {
  readonly config?: Nulls<ImageRunConfig> | null;
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids?: readonly string[] | null };
  readonly history?: readonly Nulls<ImageHistoryEntry>[] | null;
};

/** An archive's documents are parsed once, however many of its manifests name them. */
const parsedConfigs = new WeakMap<Uint8Array, OciImageConfig>();

/**
 * Parses and checks an image configuration. Fields that are null or unknown are left out; they stay in the bytes, which
 * must not change afterwards. An absent platform is the host's, as in Docker.
 *
 * @throws TsdError `bad_parameter` naming the field that is wrong.
 */
export function parseImageConfig(bytes: Uint8Array): OciImageConfig {
  const known = parsedConfigs.get(bytes);
  if (known !== undefined) return known;
  const raw = parseJson(bytes, checker, 'the image configuration') as RawConfig;
  if (typeof raw.created === 'string' && (!RFC3339.test(raw.created) || Number.isNaN(Date.parse(raw.created)))) {
    throw new TsdError('bad_parameter', 'the image configuration is not valid: created is not an RFC 3339 time');
  }
  const { Healthcheck, ExposedPorts, Volumes, ...config } = raw.config ?? {};
  const parsed: OciImageConfig = {
    ...knownFields(raw, Configuration.properties),
    architecture: raw.architecture || HOST_PLATFORM.architecture,
    os: raw.os || HOST_PLATFORM.os,
    config: {
      ...knownFields(config, RunConfig.properties),
      ...(ExposedPorts ? { ExposedPorts: nameSet(ExposedPorts) } : {}),
      ...(Volumes ? { Volumes: nameSet(Volumes) } : {}),
      ...(Healthcheck ? { Healthcheck: withoutNulls(Healthcheck) } : {}),
    },
    rootfs: { type: 'layers', diff_ids: raw.rootfs.diff_ids ?? [] },
    history: (raw.history ?? []).map((step) => knownFields(step, HistoryEntry.properties)),
  };
  parsedConfigs.set(bytes, parsed);
  return parsed;
}

function nameSet(value: object): Record<string, object> {
  return Object.fromEntries(Object.keys(value).map((name) => [name, {}]));
}

function knownFields(value: object, schema: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(withoutNulls(value)).filter(([name]) => Object.hasOwn(schema, name)));
}

/**
 * Refuses images that this host can never run.
 *
 * @throws TsdError `bad_parameter` for another operating system. Another architecture is no error here, as in Docker:
 *   create warns about it.
 */
export function requireRunnableOs(config: OciImageConfig): void {
  if (config.os === HOST_PLATFORM.os) return;
  throw new TsdError(
    'bad_parameter',
    `cannot load ${config.os} image on ${HOST_PLATFORM.os}: its platform is ${formatPlatform(config)}`,
  );
}
