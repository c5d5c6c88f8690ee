/** `docker image prune`. */
import { booleanFilter, type Filters } from '@tsd/shared/filters';
import { filterImages, isDangling } from './image-filters.ts';
import { type DeletedItem, deleteImage, type RemoveImageDeps, removeHiddenImages } from './remove-image.ts';

export interface PrunedImages {
  readonly items: readonly DeletedItem[];
  /** Bytes of the layers that no image refers to any longer. */
  readonly reclaimedBytes: number;
}

/**
 * Removes images that no container uses: those without a name, or all of them with `dangling=false`.
 *
 * @throws TsdError `bad_parameter` for an invalid filter.
 */
export async function pruneImages(deps: RemoveImageDeps, filters: Filters): Promise<PrunedImages> {
  const { store, imageUsers } = deps;
  const danglingOnly = booleanFilter(filters, 'dangling') ?? true;
  const others = new Map([...filters].filter(([key]) => key !== 'dangling'));
  const items: DeletedItem[] = [];
  let reclaimedBytes = 0;
  await removeHiddenImages(deps);
  for (const image of filterImages(deps, store.list(), others)) {
    if (danglingOnly && !isDangling(image)) continue;
    if (imageUsers(image.id).length > 0) continue;
    const untagged = [...image.repoTags, ...image.repoDigests].map((name) => ({ Untagged: name }));
    const removed = await deleteImage(deps, image, untagged);
    items.push(...removed.items);
    reclaimedBytes += removed.reclaimedBytes;
  }
  return { items, reclaimedBytes };
}
