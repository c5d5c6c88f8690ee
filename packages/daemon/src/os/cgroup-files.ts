/** Control group directories: made once for all containers, read while a container runs, removed after it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CgroupLayout, CgroupTree } from './cgroup-layout.ts';
import { cgroupTrees, containerCgroup } from './cgroup-layout.ts';

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Directories from the tree's root (exclusive) down to `path` (inclusive). */
function levelsBelowRoot(tree: CgroupTree, path: string): string[] {
  const levels: string[] = [];
  for (let level = path; level.length > tree.mountPoint.length; level = dirname(level)) levels.unshift(level);
  return levels;
}

/** A version 1 cpuset accepts no process until it names processors and memory nodes: copies the parent's, level by level. */
function inheritCpuset(tree: CgroupTree): { cpus: string; mems: string } {
  const values = { cpus: '', mems: '' };
  for (const level of [tree.mountPoint, ...levelsBelowRoot(tree, tree.parent)]) {
    for (const kind of ['cpus', 'mems'] as const) {
      const file = `${level}/cpuset.${kind}`;
      const present = readFileSync(file, 'utf8').trim();
      if (present === '') writeFileSync(file, values[kind]);
      else values[kind] = present;
    }
  }
  return values;
}

/** Passes the tree's controllers on to the children of every level from the root down to the containers' parent. */
function delegateControllers(tree: CgroupTree): void {
  for (const level of [tree.mountPoint, ...levelsBelowRoot(tree, tree.parent)]) {
    const wanted = readFileSync(`${level}/cgroup.controllers`, 'utf8').split(/\s+/).filter(Boolean);
    for (const controller of wanted) {
      try {
        writeFileSync(`${level}/cgroup.subtree_control`, `+${controller}`);
      } catch (error) {
        // EBUSY: processes live here, or real-time ones forbid it (cgroup-v2.rst). The limits of this controller then show
        // as unsupported, because its files are missing.
        if (!hasCode(error, 'EBUSY', 'EINVAL', 'ENOENT', 'EOPNOTSUPP')) throw error;
      }
    }
  }
}

/**
 * Makes the containers' parent cgroup in every tree, where missing, and returns the cpuset that version 1 children must
 * repeat (empty strings on version 2).
 */
export function prepareCgroupParent(layout: CgroupLayout): { cpus: string; mems: string } {
  let cpuset = { cpus: '', mems: '' };
  for (const tree of cgroupTrees(layout)) {
    mkdirSync(tree.parent, { recursive: true, mode: 0o755 });
    if (layout.version === 2) delegateControllers(tree);
    else if (tree.controllers.includes('cpuset')) cpuset = inheritCpuset(tree);
  }
  return cpuset;
}

/** Removes the containers' parent cgroup where it is empty; leaves it where containers (of any daemon) still run. */
export function removeCgroupParent(layout: CgroupLayout): void {
  for (const tree of cgroupTrees(layout)) {
    for (const level of levelsBelowRoot(tree, tree.parent).reverse()) {
      try {
        rmdirSync(level);
      } catch (error) {
        if (!hasCode(error, 'EBUSY', 'ENOENT', 'ENOTEMPTY')) throw error;
      }
    }
  }
}

/** The cgroup and all below it, deepest first; empty where it is missing. */
function descendants(directory: string): string[] {
  try {
    const children = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...children.flatMap((child) => descendants(`${directory}/${child.name}`)), directory];
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function processesIn(directory: string): number[] {
  try {
    return readFileSync(`${directory}/cgroup.procs`, 'utf8').split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return [];
    throw error;
  }
}

/** Ids of the containers that have a cgroup in any tree. */
export function listContainerCgroups(layout: CgroupLayout): string[] {
  const ids = new Set<string>();
  for (const tree of cgroupTrees(layout)) {
    if (!existsSync(tree.parent)) continue;
    for (const entry of readdirSync(tree.parent, { withFileTypes: true })) if (entry.isDirectory()) ids.add(entry.name);
  }
  return [...ids];
}

/** Host pids of the container's processes, those in cgroups that it made below its own included. */
export function containerProcesses(layout: CgroupLayout, id: string): number[] {
  const tree =
    layout.version === 2
      ? layout.unified
      : (layout.trees.find((one) => one.controllers.includes('pids')) ?? layout.trees[0]);
  if (tree === undefined) return [];
  const pids = descendants(containerCgroup(tree, id)).flatMap(processesIn);
  return [...new Set(pids)].sort((a, b) => a - b);
}

function killAll(directory: string): void {
  if (existsSync(`${directory}/cgroup.kill`)) {
    writeFileSync(`${directory}/cgroup.kill`, '1');
    return;
  }
  for (const pid of processesIn(directory)) {
    // Read from the cgroup just now: the number cannot have been reused by a process outside the container unless that
    // process was put into this cgroup too.
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!hasCode(error, 'ESRCH')) throw error;
    }
  }
}

/**
 * Kills what is left in the container's cgroups and removes them. Repeatable; a cgroup that is missing is done.
 * The kernel answers EBUSY until the last process is reaped and version 1 has no event for that, hence the growing pause.
 * @throws the file system's error where a cgroup is still busy after `timeoutMs`.
 */
export async function removeContainerCgroups(layout: CgroupLayout, id: string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  await Promise.all(cgroupTrees(layout).map((tree) => removeCgroup(containerCgroup(tree, id), deadline)));
}

/** Removes the container's cgroups where no process is in them: whose they are need not be known. */
export async function removeEmptyCgroups(layout: CgroupLayout, id: string): Promise<void> {
  for (const tree of cgroupTrees(layout)) {
    for (const directory of descendants(containerCgroup(tree, id))) await removeIdleCgroup(directory);
  }
}

/** In another thread, since the kernel takes its time for each. As a rule it is empty and has none below it. */
async function removeCgroup(cgroup: string, deadline: number): Promise<void> {
  if ((await removeIdleCgroup(cgroup)) === null) return;
  for (const directory of descendants(cgroup)) {
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 100)) {
      const busy = await removeIdleCgroup(directory);
      if (busy === null) break;
      if (performance.now() > deadline) throw busy;
      killAll(directory);
      await delay(pauseMs);
    }
  }
}

/** Answers the error of one that is busy: processes are in it, or cgroups below it. */
async function removeIdleCgroup(directory: string): Promise<Error | null> {
  try {
    await rmdir(directory);
    return null;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    if (error instanceof Error && hasCode(error, 'EBUSY', 'ENOTEMPTY')) return error;
    throw error;
  }
}
