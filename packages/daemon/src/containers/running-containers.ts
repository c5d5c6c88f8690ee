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
  /** The container is gone. */
  forget(id: string): void;
  entries(): Iterable<[string, RunningContainer]>;
  /**
   * Resolves when nothing cleans up after the last run any more; a start and a removal await it. True where all of that
   * run is known to be gone, false where that is not known: it failed, or was an earlier daemon's.
   */
  cleanedUp(id: string): Promise<boolean>;
  /** Notes the cleaning up after a run. It resolves with whether it is all done; it must not reject. */
  setCleanup(id: string, work: Promise<boolean>): void;
}

export function createRunningContainers(): RunningContainers {
  const running = new Map<string, RunningContainer>();
  const cleanups = new Map<string, Promise<boolean>>();
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
    cleanedUp: (id) => cleanups.get(id) ?? Promise.resolve(false),
    setCleanup(id, work) {
      cleanups.set(id, work);
    },
    forget(id) {
      cleanups.delete(id);
    },
  };
}
