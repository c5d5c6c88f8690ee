/**
 * The container's states and what may happen in each: one status, one table. Everything else that Docker shows
 * (Running, Paused, Dead …) is derived from the status.
 */

export const CONTAINER_STATUSES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;
export type ContainerStatus = (typeof CONTAINER_STATUSES)[number];

/**
 * What happens to a container.
 * - `start`: its process runs (a start that fails leaves the status as it was).
 * - `exit`: its process is gone. `exit-to-restart`: the same, and its restart policy will start it again.
 * - `stop-restarting`: a user stopped it while it waited for its restart.
 * - `remove`: removal has begun. `remove-failed`: it could not be finished and is repeated by the next one.
 */
export type LifecycleEvent =
  | 'start'
  | 'exit'
  | 'exit-to-restart'
  | 'stop-restarting'
  | 'pause'
  | 'unpause'
  | 'remove'
  | 'remove-failed';

const TRANSITIONS: Readonly<Record<ContainerStatus, Partial<Record<LifecycleEvent, ContainerStatus>>>> = {
  created: { start: 'running', remove: 'removing' },
  running: { exit: 'exited', 'exit-to-restart': 'restarting', pause: 'paused' },
  paused: { unpause: 'running', exit: 'exited', 'exit-to-restart': 'restarting' },
  restarting: { start: 'running', 'stop-restarting': 'exited', remove: 'removing' },
  exited: { start: 'running', remove: 'removing' },
  removing: { remove: 'removing', 'remove-failed': 'dead' },
  dead: { remove: 'removing' },
};

/** The status after the event, or null where the event cannot happen in that status. */
export function nextStatus(status: ContainerStatus, event: LifecycleEvent): ContainerStatus | null {
  return TRANSITIONS[status][event] ?? null;
}

/** The status after the event; throws where the verbs let something happen that the table does not know (a bug). */
export function transition(status: ContainerStatus, event: LifecycleEvent): ContainerStatus {
  const next = nextStatus(status, event);
  if (next === null) throw new Error(`a container that is ${status} cannot ${event}`);
  return next;
}

/** Whether the container has a live process. Docker's `Running` is true while paused too. */
export function isRunning(status: ContainerStatus): boolean {
  return status === 'running' || status === 'paused';
}

/** Docker's booleans in `State` of inspect. */
export function stateFlags(status: ContainerStatus): {
  Running: boolean;
  Paused: boolean;
  Restarting: boolean;
  Dead: boolean;
} {
  return {
    Running: isRunning(status) || status === 'restarting',
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    Dead: status === 'dead',
  };
}
