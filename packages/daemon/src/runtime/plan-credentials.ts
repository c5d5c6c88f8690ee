/** The process' user, capabilities, system call filter and security label. */
import { TsdError } from '@tsd/shared/errors';
import {
  CAPABILITY_NAMES,
  type CapabilityName,
  capabilityNames,
  capabilityNumber,
  containerCapabilities,
} from './capabilities.ts';
import { DEFAULT_APPARMOR_PROFILE } from './default-apparmor-profile.ts';
import type { HostFacts } from './host-facts.ts';
import type { LaunchContext } from './launch-context.ts';
import type { LaunchHostConfig, LaunchInput } from './launch-input.ts';
import type { Step } from './launch-plan.ts';
import type { OwnNamespaces } from './plan-namespaces.ts';
import type { ResolvedUser } from './resolve-user.ts';
import { resolveSeccompProfile } from './seccomp-profile.ts';
import { parseSecurityOptions, type SecurityOptions } from './security-options.ts';

/** The capabilities of the container's first process. @throws TsdError for one that does not exist, or not here. */
export function planCapabilities(input: LaunchInput, own: OwnNamespaces): CapabilityName[] {
  const { hostConfig, host } = input;
  return containerCapabilities({
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
    privileged: hostConfig.Privileged === true,
    // A new user namespace starts with every capability, whatever the daemon's own bounding set.
    available: own.user ? CAPABILITY_NAMES : capabilityNames(host.capabilities),
  });
}

/** Refuses ids that the container's range does not hold: setuid(2) would answer EINVAL. */
function checkIds(context: LaunchContext, user: ResolvedUser): void {
  const range = context.input.idRange;
  if (!context.own.user || range === null) return;
  for (const id of [user.uid, user.gid, ...user.groups]) {
    if (id >= range.size) {
      throw new TsdError(
        'bad_parameter',
        `user or group ${id} is outside of the container's ids 0–${range.size - 1}: use a smaller one, or --userns=host`,
      );
    }
  }
}

function seccompStep(context: LaunchContext, security: SecurityOptions): Step[] {
  if (security.seccomp === 'unconfined' || (context.privileged && security.seccomp === null)) return [];
  const { host, compileSeccomp } = context.input;
  const rules = resolveSeccompProfile(security.seccomp, {
    architecture: host.architecture,
    kernel: host.kernel,
    capabilities: context.capabilities,
  });
  return [{ op: 'set-seccomp', side: 'container', program: compileSeccomp(rules) }];
}

function labelSteps(context: LaunchContext, security: SecurityOptions): Step[] {
  if (security.labels.some((label) => label !== 'disable')) {
    context.warnings.push('SELinux labels are not supported yet. Label discarded.');
  }
  const label = appArmorProfile(context.input.hostConfig, context.input.host);
  return label === '' || label === 'unconfined'
    ? []
    : [{ op: 'set-exec-label', side: 'container', module: 'apparmor', label }];
}

/** The AppArmor profile that a container runs under; `unconfined` for none, and empty where the host has no AppArmor. */
export function appArmorProfile(
  hostConfig: Pick<LaunchHostConfig, 'Privileged' | 'SecurityOpt'>,
  host: Pick<HostFacts, 'securityModules'>,
): string {
  if (!host.securityModules.includes('apparmor')) return '';
  const { appArmor } = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  return appArmor ?? (hostConfig.Privileged === true ? 'unconfined' : DEFAULT_APPARMOR_PROFILE);
}

/**
 * The last steps before `exec`. Without no_new_privs the filter needs CAP_SYS_ADMIN in the user namespace, so it is loaded
 * before the capabilities go; with it the filter comes last, so that a profile need not allow setuid(2) and the like.
 * The inheritable and ambient sets stay empty (CVE-2022-24769), and a user other than root starts without capabilities,
 * as execve(2) would leave it.
 */
export function planCredentials(context: LaunchContext, user: ResolvedUser, security: SecurityOptions): Step[] {
  checkIds(context, user);
  const bounding = context.capabilities.map(capabilityNumber).sort((a, b) => a - b);
  const held = user.uid === 0 ? bounding : [];
  const seccomp = seccompStep(context, security);
  const credentials: Step = {
    op: 'set-credentials',
    side: 'container',
    uid: user.uid,
    gid: user.gid,
    groups: user.groups,
    capabilities: { bounding, effective: held, permitted: held, inheritable: [], ambient: [] },
  };
  const labels = labelSteps(context, security);
  if (!security.noNewPrivileges) return [...labels, ...seccomp, credentials];
  return [...labels, credentials, { op: 'set-no-new-privileges', side: 'container' }, ...seccomp];
}
