/** Which namespaces a container has of its own, namespaces(7). */
import { TsdError } from '@tsd/shared/errors';
import type { LaunchHostConfig } from './launch-input.ts';
import type { Namespace } from './launch-plan.ts';

/**
 * True: not the host's, so the container's own or (pid, ipc) that of a container it joins; false: the host's, or (net) that of a
 * container it joins.
 */
export type OwnNamespaces = Readonly<Record<Namespace, boolean>>;

function ownUnlessHost(field: string, mode: string | undefined, known: readonly string[]): boolean {
  const value = mode ?? '';
  if (value === 'host') return false;
  if (!known.includes(value)) throw new TsdError('bad_parameter', `invalid ${field}: ${value}`);
  return true;
}

/**
 * Reads the namespace modes of a HostConfig. Every namespace is the container's own unless the mode says `host`;
 * `--privileged` gives up the user namespace, because root in one can use none of the host's devices and settings.
 * @throws TsdError for a mode that Docker does not know
 */
export function resolveNamespaces(hostConfig: LaunchHostConfig): OwnNamespaces {
  const network = hostConfig.NetworkMode ?? '';
  return {
    cgroup: ownUnlessHost('CgroupnsMode', hostConfig.CgroupnsMode, ['', 'private']),
    ipc:
      isJoin(hostConfig.IpcMode) || ownUnlessHost('IpcMode', hostConfig.IpcMode, ['', 'private', 'shareable', 'none']),
    mount: true,
    net: network !== 'host' && !network.startsWith('container:'),
    pid: isJoin(hostConfig.PidMode) || ownUnlessHost('PidMode', hostConfig.PidMode, ['', 'private']),
    user: ownUnlessHost('UsernsMode', hostConfig.UsernsMode, ['', 'private']) && hostConfig.Privileged !== true,
    uts: ownUnlessHost('UTSMode', hostConfig.UTSMode, ['', 'private']),
  };
}

function isJoin(mode: string | undefined): boolean {
  return (mode ?? '').startsWith('container:');
}

/** Namespaces for the `clone` step of a container that joins none. */
export function clonedNamespaces(own: OwnNamespaces): Namespace[] {
  const order: readonly Namespace[] = ['user', 'pid', 'ipc', 'uts', 'net'];
  return order.filter((namespace) => own[namespace]);
}
