/**
 * What a container changed, path by path, as dockerd tells it (moby pkg/archive, changes.go): a directory is changed when
 * its owner, mode or capabilities are, or when anything in it is; times and sizes count for all else.
 */
import { closeSync } from 'node:fs';
import { type FileStatus, fileStatus } from '../../os/file-status.ts';
import { listXattrs } from '../../os/list-xattrs.ts';
import type { ContainerIds } from './container-ids.ts';
import { fileKind, isWhiteout } from './file-kind.ts';
import { joined, mergedNames, openName, statusAt } from './merged-names.ts';
import type { WalkBudget } from './walk-budget.ts';
import { type UpperEntry, type UpperTree, walkUpper } from './walk-upper.ts';

/** Docker's numbers. */
export const CHANGE_KIND = { modify: 0, add: 1, delete: 2 } as const;

export interface Change {
  /** With a leading slash; bytes, one character each. */
  readonly path: string;
  readonly kind: (typeof CHANGE_KIND)[keyof typeof CHANGE_KIND];
}

/** The changes, a directory before what is in it. */
export function* listChanges(tree: UpperTree, budget: WalkBudget): Generator<Change, void, void> {
  /** Directories on the way to the entry at hand that are not changes themselves, unless one is found in them. */
  let unchanged: string[] = [];
  for (const entry of walkUpper(tree, budget)) {
    unchanged = unchanged.filter((path) => entry.path.startsWith(`${path}/`));
    const kind = changeOf(entry, tree.ids, budget);
    const deleted = entry.opaque ? deletedNames(tree.upper, entry, budget) : [];
    if (kind === null && deleted.length === 0) {
      if (fileKind(entry.status) === 'directory') unchanged.push(entry.path);
      continue;
    }
    for (const path of unchanged) yield { path: `/${path}`, kind: CHANGE_KIND.modify };
    unchanged = [];
    yield { path: `/${entry.path}`, kind: kind ?? CHANGE_KIND.modify };
    for (const path of deleted) yield { path: `/${path}`, kind: CHANGE_KIND.delete };
  }
}

/** Null where nothing is different: a file that was only copied up, a whiteout of nothing. */
function changeOf(entry: UpperEntry, ids: ContainerIds, budget: WalkBudget): Change['kind'] | null {
  const [layer] = entry.layers;
  const handle = layer === undefined ? null : openName(layer, entry.path, budget);
  if (handle === null) return entry.whiteout ? null : CHANGE_KIND.add;
  try {
    const before = fileStatus(handle);
    const isThere = !isWhiteout(before);
    if (entry.whiteout) return isThere ? CHANGE_KIND.delete : null;
    if (!isThere) return CHANGE_KIND.add;
    const { status } = entry;
    const now = { ...status, uid: ids.unmap(status.uid), gid: ids.unmap(status.gid) };
    if (isDifferent(before, now)) return CHANGE_KIND.modify;
    const capability = capabilityOf(ids.unmapXattrs(listXattrs(entry.handle)));
    return capability === capabilityOf(listXattrs(handle)) ? null : CHANGE_KIND.modify;
  } finally {
    closeSync(handle);
  }
}

function isDifferent(before: FileStatus, now: FileStatus): boolean {
  if (before.mode !== now.mode || before.uid !== now.uid || before.gid !== now.gid) return true;
  if (before.deviceMajor !== now.deviceMajor || before.deviceMinor !== now.deviceMinor) return true;
  if (fileKind(now) === 'directory') return false;
  return before.sizeBytes !== now.sizeBytes || !isSameTime(before, now);
}

/** Archives often carry whole seconds only: then those decide. */
function isSameTime(a: FileStatus, b: FileStatus): boolean {
  if (a.mtimeSeconds !== b.mtimeSeconds) return false;
  return a.mtimeNanoseconds === b.mtimeNanoseconds || a.mtimeNanoseconds === 0 || b.mtimeNanoseconds === 0;
}

function capabilityOf(xattrs: readonly { readonly name: string; readonly value: Buffer }[]): string {
  return xattrs.find(({ name }) => name === 'security.capability')?.value.toString('latin1') ?? '';
}

/** What an opaque directory hides of the layers' and has nothing of the same name for. */
function deletedNames(upper: number, { path, layers }: UpperEntry, budget: WalkBudget): string[] {
  const names = mergedNames([upper], path, budget);
  const deleted: string[] = [];
  for (const [name, [layer = -1]] of mergedNames(layers, path, budget)) {
    const child = joined(path, name);
    if (names.has(name)) continue;
    const status = statusAt(layer, child, budget);
    if (status !== null && !isWhiteout(status)) deleted.push(child);
  }
  return deleted.sort();
}
