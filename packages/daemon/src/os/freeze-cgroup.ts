/**
 * Stops all processes of a container at once and lets them go on: the freezer controller of version 1, or cgroup.freeze of
 * version 2 (kernel documentation, cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type CgroupLayout, containerCgroup, treeOf } from './cgroup-layout.ts';

interface Freezer {
  /** Begins to stop them, or lets them go on. */
  set(frozen: boolean): void;
  isFrozen(): boolean;
}

/**
 * Resolves when no process of the container runs any more: false where the host cannot do that, or not within `timeoutMs`
 * (a process waits for a device, say), and then all go on. The kernel has no event for it on version 1, hence the growing pause.
 */
export async function freezeContainer(layout: CgroupLayout, id: string, timeoutMs = 5000): Promise<boolean> {
  const freezer = findFreezer(layout, id);
  if (freezer === null) return false;
  freezer.set(true);
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; !freezer.isFrozen(); pauseMs = Math.min(pauseMs * 2, 50)) {
    if (performance.now() > deadline) {
      freezer.set(false);
      return false;
    }
    await delay(pauseMs);
  }
  return true;
}

/** Lets the container's processes go on. Can be repeated; a container without cgroups is none that was stopped. */
export function thawContainer(layout: CgroupLayout, id: string): void {
  findFreezer(layout, id)?.set(false);
}

/** Null where the container has no cgroup (any more), or the host no freezer. */
function findFreezer(layout: CgroupLayout, id: string): Freezer | null {
  const tree = layout.version === 2 ? layout.unified : treeOf(layout, 'freezer');
  if (tree === undefined) return null;
  const directory = containerCgroup(tree, id);
  if (layout.version === 2) return fileFreezer(`${directory}/cgroup.freeze`, ['1', '0'], `${directory}/cgroup.events`);
  return fileFreezer(`${directory}/freezer.state`, ['FROZEN', 'THAWED'], `${directory}/freezer.state`);
}

/** @param events a file that says so when nothing runs any more: version 1 by its state, version 2 by `frozen 1` */
function fileFreezer(file: string, [frozen, thawed]: readonly [string, string], events: string): Freezer | null {
  if (!existsSync(file)) return null;
  return {
    set: (freeze) => void unlessGone(() => writeFileSync(file, freeze ? frozen : thawed)),
    isFrozen: () => /^(FROZEN|frozen 1)$/m.test(unlessGone(() => readFileSync(events, 'utf8')) ?? 'FROZEN'),
  };
}

/** A container that ends meanwhile takes its cgroup along: then nothing of it runs. */
function unlessGone<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENODEV'))
      return undefined;
    throw error;
  }
}
