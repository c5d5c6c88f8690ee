/** Other containers whose namespaces one shares: the modes `container:NAME` of its network, its pids and its ipc. */
import type { ContainerRecord } from './container.ts';
import { isRunning } from './lifecycle.ts';
import { startTicks } from './start-ticks.ts';

export const CONTAINER_MODE = 'container:';

/** The container whose namespace is shared, as the mode names it; null for the other modes. */
export function joinedContainer(mode: string): string | null {
  return mode.startsWith(CONTAINER_MODE) ? mode.slice(CONTAINER_MODE.length) : null;
}

/**
 * The host's pid of the container's process; null where there is none. Another process may have the recorded pid by now, even one
 * of the host's: it counts only with the start time of the container's.
 */
export function livingProcess({
  status,
  pid,
  pidStartTicks,
}: Pick<ContainerRecord, 'status' | 'pid' | 'pidStartTicks'>): number | null {
  return isRunning(status) && pid !== null && startTicks(pid) === pidStartTicks ? pid : null;
}
