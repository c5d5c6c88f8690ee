/** What a container changed: its upper directory, beside what the layers have in the same places. */
import { closeSync, constants } from 'node:fs';
import { type FileStatus, fileStatus } from '../../os/file-status.ts';
import { readLink } from '../../os/read-link.ts';
import { MOUNT_POINTS, MOUNT_POINTS_PARENT } from '../mount-points.ts';
import { openBeneath } from '../open-beneath.ts';
import type { ContainerIds } from './container-ids.ts';
import { fileKind, isWhiteout } from './file-kind.ts';
import { isOpaque, joined, type MergedNames, mergedNames, openName, statusAt } from './merged-names.ts';
import type { WalkBudget } from './walk-budget.ts';
import type { TreeEntry } from './walk-root.ts';

export interface UpperEntry extends TreeEntry {
  readonly whiteout: boolean;
  /** A directory that hides what the layers have in it. */
  readonly opaque: boolean;
  /** The layers that have something under the name, topmost first: several where they have directories. */
  readonly layers: readonly number[];
}

export interface UpperTree {
  readonly upper: number;
  /** Topmost first. */
  readonly layers: readonly number[];
  readonly ids: ContainerIds;
}

/**
 * As `walkRoot` over the upper directory alone, but with whiteouts, and without mount points that a launch made: those never
 * count as changes, in Docker either.
 */
export function* walkUpper(tree: UpperTree, budget: WalkBudget): Generator<UpperEntry, void, void> {
  const { upper } = tree;
  const pending = [directory(tree, '', tree.layers, budget)];
  for (let current = pending.at(-1); current !== undefined; current = pending.at(-1)) {
    const name = current.names.pop();
    if (name === undefined) {
      pending.pop();
      continue;
    }
    const path = joined(current.path, name);
    const layers = current.below.get(name) ?? [];
    const handle = openName(upper, path, budget);
    if (handle === null) continue;
    let isDirectory = false;
    try {
      const status = fileStatus(handle);
      const kind = fileKind(status);
      isDirectory = kind === 'directory';
      if (isMountPoint(tree, path, { handle, status }, layers, budget)) continue;
      const opaque = isDirectory && isOpaqueAt(upper, path);
      yield { path, handle, status, root: upper, whiteout: isWhiteout(status), opaque, layers };
    } finally {
      closeSync(handle);
    }
    if (isDirectory) pending.push(directory(tree, path, layers, budget));
  }
}

interface OpenDirectory {
  readonly path: string;
  /** Those that are left, the next one last. */
  readonly names: string[];
  /** What the layers have in it. */
  readonly below: MergedNames;
}

function directory({ upper }: UpperTree, path: string, layers: readonly number[], budget: WalkBudget): OpenDirectory {
  const names = [...mergedNames([upper], path, budget).keys()].sort().reverse();
  return { path, names, below: mergedNames(layers, path, budget) };
}

/** What a launch makes where an image has nothing; or the directory made, or copied up, for nothing else. */
function isMountPoint(
  tree: UpperTree,
  path: string,
  { handle, status }: { readonly handle: number; readonly status: FileStatus },
  layers: readonly number[],
  budget: WalkBudget,
): boolean {
  if (path === MOUNT_POINTS_PARENT && fileKind(status) === 'directory') {
    return isMountPointsParent(tree, status, layers, budget);
  }
  return layers.length === 0 && isAsMade(tree.upper, path, { handle, status }, budget);
}

function isAsMade(
  upper: number,
  path: string,
  { handle, status }: { readonly handle: number; readonly status: FileStatus },
  budget: WalkBudget,
): boolean {
  const made = MOUNT_POINTS.get(path);
  if (made?.kind !== fileKind(status)) return false;
  if (made.kind === 'directory') return mergedNames([upper], path, budget).size === 0;
  return made.kind === 'file' ? status.sizeBytes === 0 : readLink(handle).toString() === made.target;
}

function isMountPointsParent(
  { upper, layers: allLayers, ids }: UpperTree,
  status: FileStatus,
  layers: readonly number[],
  budget: WalkBudget,
): boolean {
  const names = mergedNames([upper], MOUNT_POINTS_PARENT, budget);
  const below = mergedNames(allLayers, MOUNT_POINTS_PARENT, budget);
  if (names.size === 0) return false;
  for (const name of names.keys()) {
    const path = joined(MOUNT_POINTS_PARENT, name);
    if (below.has(name) || !isMadeAt(upper, path, budget)) return false;
  }
  const [layer] = layers;
  const before = layer === undefined ? null : statusAt(layer, MOUNT_POINTS_PARENT, budget);
  if (before === null) return true;
  return before.mode === status.mode && before.uid === ids.unmap(status.uid) && before.gid === ids.unmap(status.gid);
}

function isMadeAt(upper: number, path: string, budget: WalkBudget): boolean {
  const handle = openName(upper, path, budget);
  if (handle === null) return false;
  try {
    return isAsMade(upper, path, { handle, status: fileStatus(handle) }, budget);
  } finally {
    closeSync(handle);
  }
}

function isOpaqueAt(upper: number, path: string): boolean {
  const handle = openBeneath(upper, path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  if (handle === null) return false;
  try {
    return isOpaque(handle);
  } finally {
    closeSync(handle);
  }
}
