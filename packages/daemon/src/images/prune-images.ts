/** `docker image prune`, and the compressed layers that are kept for pushes. */
import { booleanFilter, type Filters } from '@tsd/shared/filters';
import { filterImages, isDangling } from './image-filters.ts';
import type { ImageStore } from './image-store.ts';
import { type DeletedItem, deleteImage, type RemoveImageDeps, removeHiddenImages } from './remove-image.ts';

export interface PrunedImages {
  readonly items: readonly DeletedItem[];
  /** Bytes of the layers that no image refers to any longer, and of the blobs that went. */
  readonly reclaimedBytes: number;
}

/**
 * Removes images that no container uses: those without a tag, or all of them with `dangling=false`. With `blobs=true` (tsd's
 * own) the kept compressed layers of the images that are left go too: those whose images all pass the other filters.
 *
 * @throws TsdError `bad_parameter` for an invalid filter.
 */
export async function pruneImages(deps: RemoveImageDeps, filters: Filters): Promise<PrunedImages> {
  const { store, imageUsers } = deps;
  const danglingOnly = booleanFilter(filters, 'dangling') ?? true;
  const withBlobs = booleanFilter(filters, 'blobs') ?? false;
  const others = new Map([...filters].filter(([key]) => key !== 'dangling' && key !== 'blobs'));
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
  if (withBlobs) reclaimedBytes += await pruneBlobs(store, others);
  const attributes = { reclaimed: String(reclaimedBytes) };
  deps.events.publish({ type: 'image', action: 'prune', id: '', attributes });
  return { items, reclaimedBytes };
}

/** Returns the bytes that are given back; pushes under way finish with what they have. */
async function pruneBlobs(store: ImageStore, filters: Filters): Promise<number> {
  const images = store.list();
  const chosen = new Set(filterImages({ store }, images, filters).map((image) => image.id));
  const needed = new Set(images.filter((image) => !chosen.has(image.id)).flatMap((image) => image.diffIds));
  const blobs = store.keptBlobs().filter((blob) => !needed.has(blob.diffId));
  for (const { digest } of blobs) store.setKept(digest, false);
  await store.layers.discard(
    [],
    blobs.map((blob) => blob.digest),
  );
  return blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0);
}
