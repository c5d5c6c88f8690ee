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

function findFreezer(layout: CgroupLayout, id: string): Freezer | null {
  const tree = treeOf(layout, 'freezer');
  if (tree !== undefined) {
    const state = `${containerCgroup(tree, id)}/freezer.state`;
    if (!existsSync(state)) return null;
    return {
      set: (frozen) => writeFileSync(state, frozen ? 'FROZEN' : 'THAWED'),
      isFrozen: () => readFileSync(state, 'utf8').trim() === 'FROZEN',
    };
  }
  if (layout.unified === null) return null;
  const directory = containerCgroup(layout.unified, id);
  if (!existsSync(`${directory}/cgroup.freeze`)) return null;
  return {
    set: (frozen) => writeFileSync(`${directory}/cgroup.freeze`, frozen ? '1' : '0'),
    isFrozen: () => /^frozen 1$/m.test(readFileSync(`${directory}/cgroup.events`, 'utf8')),
  };
}
