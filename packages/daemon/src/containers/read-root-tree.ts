/** `docker export` and `docker diff`: streams of bytes from a container's root file system, which may be running. */
import { TsdError } from '@tsd/shared/errors';
import { requireSound } from '../images/image.ts';
import type { RootTreeJobKind } from '../runtime/root-tree/root-tree-job.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { containerRootTree } from './container-root-tree.ts';

export type ReadRootTreeDeps = Pick<ContainerDeps, 'events' | 'images' | 'rootTrees' | 'roots' | 'store'>;

/**
 * `root`: a tar of all that the container sees, without what is mounted in it; `changes`: Docker's list of changes, as
 * JSON. A piece is valid until the next one is asked for.
 *
 * @throws TsdError `not_found`; from the stream: `conflict` when the container is removed meanwhile, whatever was read until
 *   then, and what RootTrees.stream says
 */
export async function* readRootTree(
  deps: ReadRootTreeDeps,
  reference: string,
  kind: Exclude<RootTreeJobKind, 'layer'>,
): AsyncGenerator<Buffer, void, void> {
  const record = deps.store.lookup(reference);
  const image = deps.images.get(record.imageId);
  if (image === null) throw new TsdError('not_found', `No such image: ${record.imageId}`);
  requireSound(image);
  if (kind === 'root') publishContainerEvent(deps, record, 'export');
  for await (const piece of deps.rootTrees.stream(containerRootTree(deps, record, image), kind)) {
    yield piece;
    // From its removal on the container's files vanish, and an archive would end early as if it were complete.
    if (deps.store.byId(record.id) === undefined) {
      throw new TsdError('conflict', `container ${record.id} was removed while it was read`);
    }
  }
}
