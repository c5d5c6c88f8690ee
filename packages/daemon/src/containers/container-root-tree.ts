/** Where the files of a container's root file system are, for those who read them: commit, export and diff. */
import type { RootTree } from '../runtime/root-tree/root-trees.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerFiles } from './container-paths.ts';
import { ID_RANGE_SIZE } from './id-ranges.ts';

export function containerRootTree(
  { roots }: Pick<ContainerDeps, 'roots'>,
  { id, idRange }: ContainerRecord,
  { diffIds }: { readonly diffIds: readonly string[] },
): RootTree {
  return {
    upperPath: containerFiles(roots, id).upper,
    diffIds,
    idRange: idRange === null ? null : { first: idRange, size: ID_RANGE_SIZE },
  };
}
