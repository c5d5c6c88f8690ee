/** Reads a container's counters from its cgroups. */
import { readFileSync } from 'node:fs';
import type { CgroupCounters } from './cgroup-counters.ts';
import { type CgroupLayout, containerCgroup, treeOf } from './cgroup-layout.ts';
import { v1Counters } from './cgroup-v1-counters.ts';
import { v2Counters } from './cgroup-v2-counters.ts';

/**
 * All of them, at once: some ten files of the kernel's memory, 5–10 µs each. Whatever is not there, because the container has just
 * ended or the host lacks the controller, is null.
 */
export function readCgroupCounters(layout: CgroupLayout, id: string): CgroupCounters {
  if (layout.version === 2) {
    const directory = containerCgroup(layout.unified, id);
    return v2Counters((file) => readCounters(`${directory}/${file}`));
  }
  return v1Counters((controller, file) => {
    const tree = treeOf(layout, controller);
    return tree === undefined ? null : readCounters(`${containerCgroup(tree, id)}/${file}`);
  });
}

/** In one call into Node: readFileSync has that for UTF-8 only. */
function readCounters(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // ENODEV, EOPNOTSUPP: the cgroup went while it was read; a counter that this kernel does not keep.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(String(code))) return null;
    throw error;
  }
}
