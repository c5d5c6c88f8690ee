/** Makes a container's `Config` of what the user asked for and what the image says (moby daemon/commit.go, merge). */
import type { ContainerCreateBody } from '@tsd/shared/api-containers';
import { mergeEnvironment } from '@tsd/shared/environment';
import { TsdError } from '@tsd/shared/errors';
import { parseSignal } from '@tsd/shared/signal-names';
import type { ImageRunConfig } from '../images/image-config.ts';
import type { ContainerConfig } from './container.ts';

/** sethostname(2): the kernel's limit. */
const MAX_HOSTNAME_LENGTH = 64;

/**
 * The complete configuration. The host name stays empty where none was asked for: it depends on the container's id.
 *
 * @throws TsdError `bad_parameter` naming the field
 */
export function mergeContainerConfig(body: ContainerCreateBody, image: ImageRunConfig): ContainerConfig {
  const userEntrypoint = argumentList(body.Entrypoint);
  const userCommand = argumentList(body.Cmd);
  // Replacing the entry point drops the image's command with it.
  const replacesEntrypoint = userEntrypoint !== null && userEntrypoint.length > 0;
  let entrypoint = userEntrypoint ?? image.Entrypoint ?? null;
  // [""] resets the entry point to none.
  if (entrypoint?.length === 1 && entrypoint[0] === '') entrypoint = null;
  const command =
    userCommand !== null && userCommand.length > 0 ? userCommand : replacesEntrypoint ? null : (image.Cmd ?? null);

  const config: ContainerConfig = {
    Hostname: body.Hostname ?? '',
    Domainname: body.Domainname ?? '',
    User: body.User || image.User || '',
    AttachStdin: body.AttachStdin ?? false,
    AttachStdout: body.AttachStdout ?? false,
    AttachStderr: body.AttachStderr ?? false,
    ...optional('ExposedPorts', mergeKeys(image.ExposedPorts, body.ExposedPorts)),
    Tty: body.Tty ?? false,
    OpenStdin: body.OpenStdin ?? false,
    StdinOnce: body.StdinOnce ?? false,
    Env: mergeUserEnvironment(body.Env ?? [], image.Env ?? []),
    Cmd: command,
    ...optional('Healthcheck', body.Healthcheck ?? image.Healthcheck),
    Image: body.Image ?? '',
    Volumes: mergeKeys(image.Volumes, body.Volumes) ?? null,
    WorkingDir: body.WorkingDir || image.WorkingDir || '',
    Entrypoint: entrypoint,
    OnBuild: null,
    Labels: { ...image.Labels, ...body.Labels },
    ...optional('StopSignal', body.StopSignal || image.StopSignal || undefined),
    ...optional('StopTimeout', body.StopTimeout ?? undefined),
    ...optional('Shell', argumentList(body.Shell) ?? image.Shell),
  };
  checkContainerConfig(config);
  return config;
}

function checkContainerConfig(config: ContainerConfig): void {
  if ((config.Entrypoint?.length ?? 0) === 0 && (config.Cmd?.length ?? 0) === 0) {
    throw new TsdError('bad_parameter', 'no command specified');
  }
  for (const [field, values] of Object.entries({
    Entrypoint: config.Entrypoint ?? [],
    Cmd: config.Cmd ?? [],
    Env: config.Env,
    User: [config.User],
    WorkingDir: [config.WorkingDir],
    Hostname: [config.Hostname],
    Domainname: [config.Domainname],
  })) {
    // A NUL would silently cut the text short when it reaches the kernel.
    if (values.some((value) => value.includes('\0')))
      throw new TsdError('bad_parameter', `${field} contains a NUL byte`);
  }
  for (const entry of config.Env) {
    if (entry.startsWith('=')) throw new TsdError('bad_parameter', `invalid environment variable: ${entry}`);
  }
  if (config.WorkingDir !== '' && !config.WorkingDir.startsWith('/')) {
    throw new TsdError(
      'bad_parameter',
      `the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`,
    );
  }
  for (const [field, value] of [
    ['hostname', config.Hostname],
    ['domainname', config.Domainname],
  ] as const) {
    if (value.length > MAX_HOSTNAME_LENGTH || /[\s/\p{Cc}]/u.test(value)) {
      throw new TsdError('bad_parameter', `invalid ${field}: ${value}: at most 64 letters, digits, dots and hyphens`);
    }
  }
  if (config.StopSignal !== undefined) parseSignal(config.StopSignal);
  if (config.StopTimeout !== undefined && (!Number.isInteger(config.StopTimeout) || config.StopTimeout < -1)) {
    throw new TsdError('bad_parameter', `invalid StopTimeout: ${config.StopTimeout}: seconds, or -1 to wait forever`);
  }
}

/** The user's variables over the image's; one without `=` takes the image's away, as in Docker. */
function mergeUserEnvironment(user: readonly string[], image: readonly string[]): readonly string[] {
  return mergeEnvironment(image, user);
}

/** Go's map[…]struct{}: only the keys count. */
function mergeKeys(
  image: Readonly<Record<string, unknown>> | undefined,
  user: Readonly<Record<string, unknown>> | null | undefined,
): Readonly<Record<string, object>> | undefined {
  const keys = Object.keys({ ...image, ...user });
  return keys.length === 0 ? undefined : Object.fromEntries(keys.map((key) => [key, {}]));
}

/** Docker takes a string where a list of arguments is meant (moby api/types/strslice). */
function argumentList(value: readonly string[] | string | null | undefined): readonly string[] | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? [value] : value;
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { [N in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [N in Name]: Value });
}
