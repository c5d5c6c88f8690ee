/**
 * The pid and ipc namespaces of other containers (`--pid container:…`, `--ipc container:…`; moby
 * daemon/container_operations_unix.go). They belong to a user namespace, so whoever joins one is in that too, with the same range
 * of ids: what a root may do to another's processes and segments it may only do there.
 */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerRecord, HostConfig } from './container.ts';
import { CONTAINER_MODE, joinedContainer, livingProcess } from './joined-container.ts';

type Modes = Pick<HostConfig, 'PidMode' | 'IpcMode'>;

interface Containers {
  /** @throws TsdError `not_found` */
  lookup(reference: string): ContainerRecord;
}

/** Whether another container's pid or ipc namespace is joined. */
export function joinsNamespace({ PidMode, IpcMode }: Modes): boolean {
  return joinedContainer(PidMode) !== null || joinedContainer(IpcMode) !== null;
}

/**
 * The modes with containers named by their ids. A container that has the host's namespace itself has none to join: `host` is what
 * is meant.
 *
 * @throws TsdError `bad_parameter` for a container that does not exist: docker's client takes `not_found` for the image's, and pulls
 */
export function withJoinedContainers(containers: Containers, hostConfig: HostConfig): HostConfig {
  const resolve = (mode: string, ofTarget: (target: HostConfig) => string): string => {
    const reference = joinedContainer(mode);
    if (reference === null) return mode;
    const target = find(containers, reference);
    return ofTarget(target.hostConfig) === 'host' ? 'host' : CONTAINER_MODE + target.id;
  };
  return {
    ...hostConfig,
    PidMode: resolve(hostConfig.PidMode, ({ PidMode }) => PidMode),
    IpcMode: resolve(hostConfig.IpcMode, ({ IpcMode }) => IpcMode),
  };
}

function find(containers: Containers, reference: string): ContainerRecord {
  try {
    return containers.lookup(reference);
  } catch (error) {
    if (error instanceof TsdError && error.code === 'not_found')
      throw new TsdError('bad_parameter', error.message, { cause: error });
    throw error;
  }
}

/**
 * The first host id of the range that a container without the host's ids shares with those that it joins; null where it joins none.
 *
 * @throws TsdError `bad_parameter` where that is not one range
 */
export function sharedIdRange(containers: Containers, hostConfig: Modes): number | null {
  let shared: number | null = null;
  for (const [namespace, mode] of [
    ['PID', hostConfig.PidMode],
    ['IPC', hostConfig.IpcMode],
  ] as const) {
    const joined = joinedContainer(mode);
    if (joined === null) continue;
    const { id, idRange } = containers.lookup(joined);
    if (idRange === null) {
      throw new TsdError(
        'bad_parameter',
        `cannot join the ${namespace} namespace of container ${id}, which has the host's user ids: use --userns=host too`,
      );
    }
    if (shared !== null && shared !== idRange) {
      throw new TsdError(
        'bad_parameter',
        'cannot join the PID and the IPC namespace of containers in different user namespaces: use --userns=host, or let one of them join the other',
      );
    }
    shared = idRange;
  }
  return shared;
}

/**
 * The host's pids of the processes whose namespaces a container that is to start joins.
 *
 * @throws TsdError `not_found` for a container that is gone, `conflict` for one that does not run or does not share, with Docker's texts
 */
export function joinedPids(
  containers: Containers,
  { hostConfig }: Pick<ContainerRecord, 'hostConfig'>,
): { readonly pid: number | undefined; readonly ipc: number | undefined } {
  const joinedPid = joinedContainer(hostConfig.PidMode);
  const joinedIpc = joinedContainer(hostConfig.IpcMode);
  const pid = joinedPid === null ? undefined : runningPid(containers.lookup(joinedPid), '');
  if (joinedIpc === null) return { pid, ipc: undefined };
  const donor = containers.lookup(joinedIpc);
  const failure = `can't join IPC of container ${donor.id}: `;
  const ipc = runningPid(donor, failure);
  const donorMode = donor.hostConfig.IpcMode;
  if (donorMode !== 'shareable' && joinedContainer(donorMode) === null) {
    throw new TsdError('conflict', `${failure}non-shareable IPC (hint: use IpcMode:shareable for the donor container)`);
  }
  return { pid, ipc };
}

function runningPid(record: ContainerRecord, failure: string): number {
  if (record.status === 'restarting') {
    throw new TsdError(
      'conflict',
      `${failure}container ${record.id} is restarting, wait until the container is running`,
    );
  }
  const pid = livingProcess(record);
  if (pid === null) throw new TsdError('conflict', `${failure}container ${record.id} is not running`);
  return pid;
}
