/**
 * Where the host's control groups are (cgroups(7)): a pure reading of /proc/self/mountinfo. Version 2 is one tree;
 * version 1 is one tree per controller or group of controllers, wherever each is mounted; hybrid is version 1 with a
 * version 2 tree beside it, for the host's services: no controller that a container needs is there, so it is left alone.
 */
import { posix } from 'node:path';

/** One mounted tree. */
export interface CgroupTree {
  /** Version 1: its controllers, or `name=…` for a named one. Version 2: the controllers that the tree offers. */
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  /** The directory that holds the containers' cgroups. */
  readonly parent: string;
}

export type CgroupLayout =
  | { readonly version: 1; readonly trees: readonly CgroupTree[] }
  | { readonly version: 2; readonly unified: CgroupTree };

/** Controllers of version 1 (a mount option that is none of these is an option of the mount, such as `xattr`). */
const V1_CONTROLLERS = new Set([
  'blkio',
  'cpu',
  'cpuacct',
  'cpuset',
  'devices',
  'freezer',
  'hugetlb',
  'memory',
  'misc',
  'net_cls',
  'net_prio',
  'perf_event',
  'pids',
  'rdma',
]);

/** `\040` and the like, as the kernel escapes blanks in mountinfo. */
export function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * Finds the cgroup trees in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)).
 * `parent` is where containers live, relative to each tree's root, such as `/tsd`. `unifiedControllers` is the text of the
 * version 2 root's cgroup.controllers. Returns null where no tree is mounted.
 */
export function parseCgroupLayout(
  mountinfo: string,
  parent: string,
  unifiedControllers: (mountPoint: string) => string,
): CgroupLayout | null {
  const trees: CgroupTree[] = [];
  let unified: CgroupTree | null = null;
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    if (left === undefined || right === undefined) continue;
    const [type, , superOptions = ''] = right.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const mountPoint = unescapeField(left.split(' ')[4] ?? '');
    const tree = (controllers: readonly string[]): CgroupTree => ({
      controllers,
      mountPoint,
      parent: posix.join(mountPoint, parent),
    });
    if (type === 'cgroup2') {
      unified ??= tree(unifiedControllers(mountPoint).split(/\s+/).filter(Boolean));
      continue;
    }
    const controllers = superOptions
      .split(',')
      .filter((option) => V1_CONTROLLERS.has(option) || option.startsWith('name='));
    const known = trees.some((other) => other.controllers.join() === controllers.join());
    if (controllers.length > 0 && !known) trees.push(tree(controllers));
  }
  if (trees.length > 0) return { version: 1, trees };
  return unified === null ? null : { version: 2, unified };
}

/** Every tree in which a container has a cgroup of its own. */
export function cgroupTrees(layout: CgroupLayout): readonly CgroupTree[] {
  return layout.version === 2 ? [layout.unified] : layout.trees;
}

/** The tree with this version 1 controller. */
export function treeOf(layout: CgroupLayout, controller: string): CgroupTree | undefined {
  return layout.version === 1 ? layout.trees.find((tree) => tree.controllers.includes(controller)) : undefined;
}

/** The container's cgroup directory in this tree. */
export function containerCgroup(tree: CgroupTree, id: string): string {
  return `${tree.parent}/${id}`;
}
