/**
 * The body of POST /containers/create from the flags of `run` and `create`, field by field what the docker client 28
 * sends (docker/cli cli/command/container/opts.go; packages/cli/test/golden/create-bodies.json is recorded from it).
 */

import { parseContainerName } from '@tsd/shared/container-name';
import { TsdError } from '@tsd/shared/errors';
import { parseDurationMs } from '@tsd/shared/units';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { environmentOf, labelsOf } from './environment-options.ts';
import { flagValue } from './flag-value.ts';
import { hostConfigOf } from './host-config.ts';
import { exposedPortsOf, networkingConfigOf } from './network-options.ts';
import type { RequestSource } from './request-source.ts';
import { volumesOf } from './volume-options.ts';

export interface CreateRequest {
  readonly name: string | undefined;
  readonly platform: string | undefined;
  readonly body: CreateBody;
}

/** Docker's Config with HostConfig and NetworkingConfig. */
export interface CreateBody {
  readonly Image: string;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly AttachStdin: boolean;
  readonly AttachStdout: boolean;
  readonly AttachStderr: boolean;
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/**
 * Converts the flags; `args` are IMAGE [COMMAND] [ARG...]. `detached` is `run -d`.
 * Throws UsageError with Docker's texts for values that make no sense.
 */
export function createRequest(flags: ParsedFlags, source: RequestSource, detached = false): CreateRequest {
  const [image = '', ...command] = flags.args;
  const interactive = flags.bool('interactive');
  const attached = detached ? NOT_ATTACHED : attachedStreams(flags.list('attach'), interactive);
  const name = flags.string('name');
  if (name !== undefined) checkName(name);
  checkConflicts(flags);
  const entrypoint = flags.string('entrypoint');
  const stopTimeout = flags.int('stop-timeout');
  const stopSignal = flags.string('stop-signal');
  const healthcheck = healthcheckOf(flags);
  const exposedPorts = exposedPortsOf(flags);
  const environment = environmentOf(flags, source);
  const body: CreateBody = {
    Hostname: flags.string('hostname') ?? '',
    Domainname: flags.string('domainname') ?? '',
    User: flags.string('user') ?? '',
    AttachStdin: attached.stdin,
    AttachStdout: attached.stdout,
    AttachStderr: attached.stderr,
    ...(exposedPorts === undefined ? {} : { ExposedPorts: exposedPorts }),
    Tty: flags.bool('tty'),
    OpenStdin: interactive,
    StdinOnce: interactive && attached.stdin,
    Env: environment,
    Cmd: command.length === 0 ? null : command,
    ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck }),
    Image: image,
    Volumes: volumesOf(flags.list('volume')),
    WorkingDir: flags.string('workdir') ?? '',
    Entrypoint: entrypoint === undefined ? null : [entrypoint],
    OnBuild: null,
    Labels: labelsOf(flags, source),
    ...(stopSignal === undefined ? {} : { StopSignal: stopSignal }),
    ...(stopTimeout === undefined ? {} : { StopTimeout: stopTimeout }),
    HostConfig: hostConfigOf(flags, source),
    NetworkingConfig: networkingConfigOf(flags),
  };
  return { name, platform: flags.string('platform'), body };
}

interface AttachedStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

const NOT_ATTACHED: AttachedStreams = { stdin: false, stdout: false, stderr: false };

/** -a decides; without it stdout and stderr are attached. -i attaches stdin in either case. */
function attachedStreams(names: readonly string[], interactive: boolean): AttachedStreams {
  const chosen = new Set(names.map((name) => name.toLowerCase()));
  for (const name of chosen) {
    if (!['stdin', 'stdout', 'stderr'].includes(name)) {
      throw new UsageError(
        `invalid argument "${name}" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR`,
        { showUsage: true },
      );
    }
  }
  if (chosen.size === 0) return { stdin: interactive, stdout: true, stderr: true };
  return { stdin: interactive || chosen.has('stdin'), stdout: chosen.has('stdout'), stderr: chosen.has('stderr') };
}

function checkName(name: string): void {
  try {
    parseContainerName(name);
  } catch (error) {
    if (error instanceof TsdError) throw new UsageError(error.message);
    throw error;
  }
}

function checkConflicts(flags: ParsedFlags): void {
  const restart = flags.string('restart') ?? 'no';
  if (flags.bool('rm') && restart !== 'no' && restart !== '') {
    throw new UsageError('conflicting options: cannot specify both --restart and --rm');
  }
}

/** Docker's HealthConfig; durations in nanoseconds. */
function healthcheckOf(flags: ParsedFlags): object | undefined {
  const given = ['health-cmd', 'health-interval', 'health-timeout', 'health-start-period', 'health-start-interval'];
  const any = given.some((name) => flags.has(name)) || flags.has('health-retries');
  if (flags.bool('no-healthcheck')) {
    if (any) throw new UsageError('--no-healthcheck conflicts with --health-* options');
    return { Test: ['NONE'] };
  }
  if (!any) return undefined;
  const durationNs = (name: string): number | undefined => {
    const ms = flagValue(flags, name, (text) => parseDurationMs(text));
    if (ms !== undefined && ms < 0) throw new UsageError(`--${name} cannot be negative`);
    return ms === undefined || ms === 0 ? undefined : Math.round(ms * 1e6);
  };
  const retries = flags.int('health-retries');
  if (retries !== undefined && retries < 0) throw new UsageError('--health-retries cannot be negative');
  const command = flags.string('health-cmd');
  return withoutUndefined({
    Test: command === undefined || command === '' ? undefined : ['CMD-SHELL', command],
    Interval: durationNs('health-interval'),
    Timeout: durationNs('health-timeout'),
    StartPeriod: durationNs('health-start-period'),
    StartInterval: durationNs('health-start-interval'),
    Retries: retries === undefined || retries === 0 ? undefined : retries,
  });
}

function withoutUndefined(object: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
