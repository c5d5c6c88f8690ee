/** Containers' cgroups by their ids, on a host with cgroups or without. */

import { type CgroupCounters, NO_COUNTERS } from '../os/cgroup-counters.ts';
import {
  containerProcesses,
  listContainerCgroups,
  removeContainerCgroups,
  removeEmptyCgroups,
} from '../os/cgroup-files.ts';
import type { CgroupLayout } from '../os/cgroup-layout.ts';
import { freezeContainer, thawContainer } from '../os/freeze-cgroup.ts';
import { readCgroupCounters } from '../os/read-cgroup-counters.ts';
import { createLateWork } from './late-work.ts';
import type { Log } from './log.ts';

/** The container's cgroups by its id, in every tree. */
export interface ContainerCgroups {
  /** Kills what is left in them and removes them; repeatable. */
  remove(id: string): Promise<void>;
  /** The same when there is nothing better to do, for those that are empty. A failure is only told in the log. */
  removeLate(id: string): void;
  /** Removes now what was to be removed late. */
  finishRemoval(id: string): Promise<void>;
  /** Resolves when nothing is left to be removed late. */
  idle(): Promise<void>;
  /** Removes those, of containers that nobody knows, in which no process is. */
  removeForeign(isKnown: (id: string) => boolean): Promise<void>;
  /** Host pids, ascending. */
  processes(id: string): readonly number[];
  /** What they have counted until now. */
  counters(id: string): CgroupCounters;
  /** Stops all processes; false where that cannot be done. */
  freeze(id: string): Promise<boolean>;
  /** Lets them go on; repeatable. */
  thaw(id: string): void;
}

export function createContainerCgroups(layout: CgroupLayout | null, log: Log): ContainerCgroups {
  if (layout === null) return NO_CGROUPS;
  const late = createLateWork((id) =>
    removeContainerCgroups(layout, id).catch((error: unknown) =>
      log.error({ containerId: id, err: error }, "a container's cgroups could not be removed"),
    ),
  );
  return {
    remove: async (id) => {
      await late.finish(id);
      await removeContainerCgroups(layout, id);
    },
    removeLate: (id) => late.add(id),
    finishRemoval: (id) => late.finish(id),
    idle: () => late.idle(),
    removeForeign: async (isKnown) => {
      for (const id of listContainerCgroups(layout)) if (!isKnown(id)) await removeEmptyCgroups(layout, id);
    },
    processes: (id) => containerProcesses(layout, id),
    counters: (id) => readCgroupCounters(layout, id),
    freeze: (id) => freezeContainer(layout, id),
    thaw: (id) => thawContainer(layout, id),
  };
}

const NO_CGROUPS: ContainerCgroups = {
  remove: async () => undefined,
  removeLate: () => undefined,
  finishRemoval: async () => undefined,
  idle: async () => undefined,
  removeForeign: async () => undefined,
  processes: () => [],
  counters: () => NO_COUNTERS,
  freeze: async () => false,
  thaw: () => undefined,
};
