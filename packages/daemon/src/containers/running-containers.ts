/** The containers that have a live process: the connection to each one's supervisor, and what the daemon holds for it. */
import { TsdError } from '@tsd/shared/errors';
import type { Supervisor } from '../runtime/supervisor.ts';

export interface RunningContainer {
  readonly supervisor: Supervisor;
  /** Resolves when the exit is in the database. Never rejects. */
  readonly ended: Promise<void>;
}

export interface RunningContainers {
  get(id: string): RunningContainer | undefined;
  /** @throws TsdError `conflict`: `container … is not running` */
  require(id: string): RunningContainer;
  add(id: string, running: RunningContainer): void;
  remove(id: string): void;
  entries(): Iterable<[string, RunningContainer]>;
  /** Cleaning up after an exit (cgroups, layers) that still goes on; a start or a removal awaits it. Never rejects. */
  cleanup(id: string): Promise<void>;
  setCleanup(id: string, work: Promise<void>): void;
}

export function createRunningContainers(): RunningContainers {
  const running = new Map<string, RunningContainer>();
  const cleanups = new Map<string, Promise<void>>();
  return {
    get: (id) => running.get(id),
    require(id) {
      const entry = running.get(id);
      if (entry === undefined) throw new TsdError('conflict', `container ${id} is not running`);
      return entry;
    },
    add(id, entry) {
      running.set(id, entry);
    },
    remove(id) {
      running.delete(id);
    },
    entries: () => running.entries(),
    cleanup: (id) => cleanups.get(id) ?? Promise.resolve(),
    setCleanup(id, work) {
      cleanups.set(id, work);
      const forget = () => {
        if (cleanups.get(id) === work) cleanups.delete(id);
      };
      work.then(forget, forget);
    },
  };
}
