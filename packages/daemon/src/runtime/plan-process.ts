/** What the process is given besides its rights: limits, working directory, environment, command. */
import { TsdError } from '@tsd/shared/errors';
import { RLIMIT_NUMBERS } from '@tsd/shared/ulimit-spec';
import { UNLIMITED } from './host-facts.ts';
import type { LaunchContext } from './launch-context.ts';
import type { ContainerConfig } from './launch-input.ts';
import type { Step } from './launch-plan.ts';
import type { ResolvedUser } from './resolve-user.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** CAP_SYS_RESOURCE, capabilities(7). */
const CAP_SYS_RESOURCE = 24;

/** The container's host name: its own, or the first twelve digits of its id. */
export function containerHostname(config: ContainerConfig, id: string): string {
  return config.Hostname || id.slice(0, 12);
}

/** Docker's order: defaults, then the container's own, which replace them in place; HOME last where nobody set it. */
export function processEnvironment(config: ContainerConfig, hostname: string, home: string): string[] {
  const values = new Map<string, string>([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', hostname],
  ]);
  if (config.Tty === true) values.set('TERM', 'xterm');
  for (const entry of config.Env ?? []) {
    const equals = entry.indexOf('=');
    // `NAME` without a value takes the variable away, a default too (moby, ReplaceOrAppendEnvValues).
    if (equals === -1) values.delete(entry);
    else values.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  if (!values.has('HOME')) values.set('HOME', home);
  return [...values].map(([name, value]) => `${name}=${value}`);
}

/** Entrypoint and command together. @throws TsdError where both are empty. */
export function processArguments(config: ContainerConfig): string[] {
  const argv = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (argv.length === 0) throw new TsdError('bad_parameter', 'no command specified');
  return argv;
}

function rlimitValue(value: number | undefined): bigint {
  return value === undefined || value < 0 ? UNLIMITED : BigInt(value);
}

/**
 * Limits of prlimit(2), set from the host: raising a hard limit takes the host's CAP_SYS_RESOURCE, which the container's root
 * does not have. One that the host refuses is a warning, because the daemon too may lack it.
 */
export function planRlimits(context: LaunchContext): Step[] {
  return (context.input.hostConfig.Ulimits ?? []).map((ulimit): Step => {
    const name = (ulimit.Name ?? '').toLowerCase();
    const resource = Object.hasOwn(RLIMIT_NUMBERS, name) ? RLIMIT_NUMBERS[name] : undefined;
    if (resource === undefined) throw new TsdError('bad_parameter', `invalid ulimit type: ${name}`);
    const hard = rlimitValue(ulimit.Hard);
    const { capabilities, hardLimits } = context.input.host;
    const highest = capabilities.includes(CAP_SYS_RESOURCE) ? UNLIMITED : (hardLimits[resource] ?? UNLIMITED);
    if (hard > highest) {
      context.warnings.push(`The host cannot raise the hard limit of ${name} above ${highest}. Ulimit discarded.`);
    }
    return { op: 'set-rlimit', side: 'host', optional: true, resource, soft: rlimitValue(ulimit.Soft), hard };
  });
}

/** The OOM killer's preference, proc_pid_oom_score_adj(5): always set, so that the daemon's own is not inherited. */
export function planOomScore(context: LaunchContext): Step[] {
  const score = context.input.hostConfig.OomScoreAdj ?? 0;
  if (score < -1000 || score > 1000) {
    throw new TsdError('bad_parameter', `Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  }
  return [{ op: 'set-oom-score-adj', side: 'host', optional: true, score }];
}

/** The absolute working directory; `/` by default. */
export function workingDirectory(config: ContainerConfig): string {
  const directory = config.WorkingDir || '/';
  if (!directory.startsWith('/')) {
    throw new TsdError(
      'bad_parameter',
      `the working directory '${directory}' is invalid, it needs to be an absolute path`,
    );
  }
  return directory;
}

export function planExec(context: LaunchContext, user: ResolvedUser): Step {
  const { own, input } = context;
  const { config, hostConfig, id, joined } = input;
  return {
    op: 'exec',
    side: 'container',
    argv: processArguments(config),
    env: processEnvironment(config, containerHostname(config, id), user.home),
    // As in moby: somebody else is pid 1 where the pid namespace is not the container's own.
    ...(hostConfig.Init === true && own.pid && joined?.pid === undefined ? { init: true } : {}),
  };
}
