/** A directory as overlayfs shows it: the names of several directories over each other, by its rules for hiding and merging. */
import { closeSync, constants } from 'node:fs';
import { type FileStatus, fileStatus } from '../../os/file-status.ts';
import { O_PATH } from '../../os/openat2.ts';
import { DT_DIR, DT_UNKNOWN, readDirectory } from '../../os/read-directory.ts';
import { getXattr } from '../../os/xattr.ts';
import { openBeneath } from '../open-beneath.ts';
import type { WalkBudget } from './walk-budget.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The roots that have a name, the topmost first: more than one where directories are merged. */
export type MergedNames = ReadonlyMap<string, readonly number[]>;

/**
 * The names in a directory. Whiteouts are among them, and hide what is below them.
 * @param roots descriptors of the trees in which the directory is merged, topmost first; one that has none is passed over
 */
export function mergedNames(roots: readonly number[], path: string, budget: WalkBudget): MergedNames {
  const names = new Map<string, number[]>();
  /** Names whose topmost is no directory: nothing of them is merged. */
  const closed = new Set<string>();
  for (const root of roots) {
    budget.countLookup(path);
    const directory = openBeneath(root, path, DIRECTORY);
    if (directory === null) continue;
    try {
      for (const { name, type } of readDirectory(directory)) {
        budget.countName();
        const above = names.get(name);
        if (above !== undefined && closed.has(name)) continue;
        const isDirectory = type === DT_DIR || (type === DT_UNKNOWN && isDirectoryAt(root, joined(path, name)));
        if (!isDirectory) closed.add(name);
        if (above === undefined) names.set(name, [root]);
        else if (isDirectory) above.push(root);
      }
      if (isOpaque(directory)) break;
    } finally {
      closeSync(directory);
    }
  }
  return names;
}

/** Marked to hide what lies below it (Documentation/filesystems/overlayfs.rst). The descriptor must be open for reading. */
export function isOpaque(directory: number): boolean {
  return getXattr(directory, 'trusted.overlay.opaque', 16)?.toString() === 'y';
}

export function joined(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}

/** Opens a name as a path, for whatever it is; null where it has vanished. The caller closes it. */
export function openName(root: number, path: string, budget: WalkBudget): number | null {
  budget.countLookup(path);
  return openBeneath(root, path, O_PATH | constants.O_NOFOLLOW);
}

/** The status of a name; null where it has vanished. */
export function statusAt(root: number, path: string, budget: WalkBudget): FileStatus | null {
  const handle = openName(root, path, budget);
  if (handle === null) return null;
  try {
    return fileStatus(handle);
  } finally {
    closeSync(handle);
  }
}

function isDirectoryAt(root: number, path: string): boolean {
  const handle = openBeneath(root, path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  if (handle === null) return false;
  closeSync(handle);
  return true;
}
