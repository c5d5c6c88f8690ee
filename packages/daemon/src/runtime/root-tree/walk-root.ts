/** All that a container sees below its root, read from its layers and its upper directory without mounting them together. */
import { closeSync } from 'node:fs';
import { type FileStatus, fileStatus } from '../../os/file-status.ts';
import { fileKind, isWhiteout } from './file-kind.ts';
import { joined, mergedNames, openName } from './merged-names.ts';
import type { WalkBudget } from './walk-budget.ts';

export interface TreeEntry {
  /** Within the root, without a leading slash; bytes, one character each. */
  readonly path: string;
  /** Opened as a path (O_PATH); valid until the walk goes on. */
  readonly handle: number;
  readonly status: FileStatus;
  /** Descriptor of the tree that it is in. */
  readonly root: number;
}

/**
 * Every name once, a directory before what is in it, in the order of the bytes. What vanishes meanwhile is left out.
 * @param roots descriptors of the trees, topmost first
 */
export function* walkRoot(roots: readonly number[], budget: WalkBudget): Generator<TreeEntry, void, void> {
  const pending = [directory('', roots, budget)];
  for (let current = pending.at(-1); current !== undefined; current = pending.at(-1)) {
    const next = current.names.pop();
    if (next === undefined) {
      pending.pop();
      continue;
    }
    const [name, [root = -1, ...below]] = next;
    const path = joined(current.path, name);
    const handle = openName(root, path, budget);
    if (handle === null) continue;
    let isDirectory = false;
    try {
      const status = fileStatus(handle);
      if (isWhiteout(status)) continue;
      isDirectory = fileKind(status) === 'directory';
      yield { path, handle, status, root };
    } finally {
      closeSync(handle);
    }
    if (isDirectory) pending.push(directory(path, [root, ...below], budget));
  }
}

interface OpenDirectory {
  readonly path: string;
  /** Those that are left, the next one last. */
  readonly names: [name: string, roots: readonly number[]][];
}

function directory(path: string, roots: readonly number[], budget: WalkBudget): OpenDirectory {
  const names = [...mergedNames(roots, path, budget)].sort(([a], [b]) => (a < b ? 1 : -1));
  return { path, names };
}
