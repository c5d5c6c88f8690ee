/** The containers that wait for their next restart, and how long each waited before its last one. */
export interface RestartTimers {
  /** Says what restarts a container. Set once, before anything is scheduled. */
  onDue(restart: (id: string) => void): void;
  /** Restarts the container after the delay, unless it is cancelled first. */
  schedule(id: string, delayMs: number): void;
  /** Forgets the container: a user started, stopped or removed it. */
  cancel(id: string): void;
  /** 0 where there was none. */
  previousDelayMs(id: string): number;
  /** Cancels all: the daemon ends. */
  close(): void;
}

export function createRestartTimers(): RestartTimers {
  const timers = new Map<string, NodeJS.Timeout>();
  const delays = new Map<string, number>();
  let restart: ((id: string) => void) | undefined;
  return {
    onDue(work) {
      restart = work;
    },
    schedule(id, delayMs) {
      delays.set(id, delayMs);
      timers.set(
        id,
        setTimeout(() => {
          timers.delete(id);
          restart?.(id);
        }, delayMs),
      );
    },
    cancel(id) {
      clearTimeout(timers.get(id));
      timers.delete(id);
      delays.delete(id);
    },
    previousDelayMs: (id) => delays.get(id) ?? 0,
    close() {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}
