/** The one place where a container's configuration becomes the steps that make it. Pure. */
import { TsdError } from '@tsd/shared/errors';
import type { LaunchContext } from './launch-context.ts';
import type { LaunchInput } from './launch-input.ts';
import type { LaunchPlan, Slot, Step } from './launch-plan.ts';
import { oomCounterFile, planCgroupEntry, planCgroups } from './plan-cgroup.ts';
import { planCapabilities, planCredentials } from './plan-credentials.ts';
import { planJoins } from './plan-joins.ts';
import { planMasks } from './plan-masks.ts';
import { planMounts } from './plan-mounts.ts';
import { resolveNamespaces } from './plan-namespaces.ts';
import { planNetwork } from './plan-network.ts';
import { containerHostname, planExec, planOomScore, planRlimits, workingDirectory } from './plan-process.ts';
import { planEmptyRoot, planRootMount, planUpperDirectories, planUserNamespaceSlot } from './plan-root.ts';
import { planSysctls } from './plan-sysctls.ts';
import { resolveUser } from './resolve-user.ts';
import { parseSecurityOptions } from './security-options.ts';

export interface PlannedLaunch {
  readonly plan: LaunchPlan;
  /** What the container will not get although it was asked for, in Docker's words, for the create response. */
  readonly warnings: readonly string[];
}

/** __NEW_UTS_LEN: what sethostname(2) takes. */
const HOSTNAME_LIMIT_BYTES = 64;
/** A NUL character as JSON.stringify writes it, and not a backslash and `u0000`. */
const NUL_IN_JSON = /(?<!\\)(?:\\\\)*\\u0000/;

/** Refuses what no system call can take, before it becomes a plan that cannot be encoded. */
function checkText({ config, hostConfig, id }: LaunchInput): void {
  if (NUL_IN_JSON.test(JSON.stringify([config, hostConfig]))) {
    throw new TsdError(
      'bad_parameter',
      'the configuration holds a NUL character, which no argument, variable or path may',
    );
  }
  for (const [field, name] of [
    ['hostname', containerHostname(config, id)],
    ['domainname', config.Domainname ?? ''],
  ] as const) {
    if (Buffer.byteLength(name) > HOSTNAME_LIMIT_BYTES) {
      throw new TsdError('bad_parameter', `invalid ${field}: longer than ${HOSTNAME_LIMIT_BYTES} bytes: ${name}`);
    }
  }
}

/** Container side: the names of its own UTS namespace. */
function planNames(context: LaunchContext): Step[] {
  const { config, id } = context.input;
  const steps: Step[] = [];
  if (context.own.uts) {
    steps.push({ op: 'set-hostname', side: 'container', name: containerHostname(config, id) });
    if (config.Domainname) steps.push({ op: 'set-domainname', side: 'container', name: config.Domainname });
  }
  return steps;
}

function idMaps(context: LaunchContext, sharesUser: boolean): Step[] {
  const range = context.input.idRange;
  if (!context.own.user || range === null || sharesUser) return [];
  const mappings = [{ containerId: 0, hostId: range.first, size: range.size }];
  return [
    { op: 'id-map', side: 'host', kind: 'uid', mappings },
    { op: 'id-map', side: 'host', kind: 'gid', mappings },
  ];
}

/**
 * Turns a container and what is known of the host into the steps of its launch, in an order that hands the baton over as
 * seldom as possible:
 *
 * 1. host: on version 2 the cgroup; `clone`, id maps;
 * 2. container, ahead: mounts what belongs to its namespaces, detached, and leaves the host's root for an empty one;
 * 3. host, meanwhile: cgroups with their limits, the upper directory, every mount that needs the host's sight or rights,
 *    detached;
 * 4. container: enters its cgroups (version 1), still with the launcher's ids; attaches the mounts beneath the root, settings,
 *    the root changed, masks; seccomp and credentials, `exec`.
 *
 * @throws TsdError for a configuration that Docker refuses too, with its text.
 */
export function planLaunch(input: LaunchInput): PlannedLaunch {
  const { config, hostConfig, paths } = input;
  checkText(input);
  const own = resolveNamespaces(hostConfig);
  if (own.user && input.idRange === null) throw new TsdError('internal', 'a user namespace needs an id range');
  let nextSlot: Slot = input.layerCount;
  const newSlot = (): Slot => nextSlot++;
  const context: LaunchContext = {
    input,
    own,
    privileged: hostConfig.Privileged === true,
    capabilities: planCapabilities(input, own),
    rootSlot: newSlot(),
    newSlot,
    warnings: [],
  };
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const user = resolveUser({
    specification: config.User ?? '',
    passwd: input.passwd,
    group: input.group,
    additionalGroups: hostConfig.GroupAdd ?? [],
  });
  const cgroups = planCgroups(context);
  const userNamespace = planUserNamespaceSlot(context);
  const joins = planJoins(context);
  const mounts = planMounts(context, userNamespace.slot, joins);
  const network = planNetwork(context);
  const directory = workingDirectory(config);
  const root = { base: context.rootSlot };
  const rootMount = planRootMount(context, userNamespace.slot);
  const entry = planCgroupEntry(context);
  const steps: Step[] = [
    ...cgroups.make,
    ...network.join,
    ...joins.host,
    {
      op: 'clone',
      side: 'host',
      namespaces: joins.cloned,
      ...(cgroups.cloneInto === undefined ? {} : { cgroup: cgroups.cloneInto }),
    },
    ...idMaps(context, joins.sharesUser),
    // Where the user namespace is another's it is not there until the process has joined it.
    ...(joins.sharesUser ? [...joins.container, ...userNamespace.steps] : []),
    ...planEmptyRoot(context, joins.sharesUser ? [] : joins.container, [...mounts.own, ...network.own]),
    ...cgroups.makeLater,
    ...entry.open,
    ...planUpperDirectories(context),
    ...planOomScore(context),
    ...(joins.sharesUser ? [] : userNamespace.steps),
    ...rootMount,
    ...mounts.host,
    ...network.host,
    ...entry.enter,
    ...(own.cgroup ? [{ op: 'unshare', side: 'container', namespaces: ['cgroup'] } satisfies Step] : []),
    { op: 'attach-mount', side: 'container', slot: context.rootSlot, at: { path: '/' } },
    ...mounts.container,
    ...(directory === '/'
      ? []
      : [
          {
            op: 'mkdir',
            side: 'container',
            at: { ...root, path: directory },
            mode: 0o755,
            parents: true,
          } satisfies Step,
        ]),
    ...planSysctls(context, mounts.proc),
    ...planNames(context),
    ...network.container,
    ...(hostConfig.ReadonlyRootfs === true
      ? [{ op: 'set-mount-attributes', side: 'container', slot: context.rootSlot, set: ['rdonly'] } satisfies Step]
      : []),
    { op: 'change-root', side: 'container', slot: context.rootSlot },
    ...planMasks(context, security, mounts),
    ...planRlimits(context),
    ...(input.host.keyrings ? [{ op: 'new-session-keyring', side: 'container', optional: true } satisfies Step] : []),
    { op: 'change-directory', side: 'container', path: directory },
    ...planCredentials(context, user, security),
    planExec(context, user),
  ];
  return {
    plan: {
      supervisor: {
        controlSocket: paths.controlSocket,
        exitFile: paths.exitFile,
        log: input.log,
        tty: config.Tty === true,
        openStdin: config.OpenStdin === true,
        stdinOnce: config.StdinOnce === true,
        oomCounterFile: oomCounterFile(context),
      },
      steps,
    },
    warnings: context.warnings,
  };
}
