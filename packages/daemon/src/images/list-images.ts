/** `docker images`: Docker Engine API, ImageList. */

import type { ImageSummary } from '@tsd/shared/api-images';
import type { Filters } from '@tsd/shared/filters';
import type { Image } from './image.ts';
import { createdMs, filterImages } from './image-filters.ts';
import type { ImageStore } from './image-store.ts';
import type { ImageUsers } from './image-users.ts';

export interface ListImagesDeps {
  readonly store: ImageStore;
  readonly imageUsers: ImageUsers;
}

export interface ListOptions {
  readonly filters: Filters;
  /** Compute what each image shares with others; -1 otherwise. */
  readonly sharedSize: boolean;
}

/** Newest first. @throws TsdError as {@link filterImages}. */
export function listImages(deps: ListImagesDeps, { filters, sharedSize }: ListOptions): ImageSummary[] {
  const all = deps.store.list();
  const sharedBytes = sharedSize ? countSharedBytes(deps.store, all) : undefined;
  return filterImages(deps, all, filters).map((image) => ({
    Id: image.id,
    ParentId: '',
    RepoTags: [...image.repoTags],
    RepoDigests: [...image.repoDigests],
    // Go's zero time would be a negative number of seconds.
    Created: Math.max(0, Math.floor(createdMs(image) / 1000)),
    Size: image.sizeBytes,
    SharedSize: sharedBytes?.get(image.id) ?? -1,
    Labels: image.config.config.Labels ?? null,
    Containers: sharedSize ? deps.imageUsers(image.id).length : -1,
  }));
}

function countSharedBytes(store: ImageStore, images: readonly Image[]): Map<string, number> {
  const layersOf = new Map(images.map((image) => [image.id, store.imageLayers(image.id)]));
  const users = new Map<string, number>();
  for (const layers of layersOf.values()) {
    for (const diffId of new Set(layers.map((layer) => layer.diffId))) users.set(diffId, (users.get(diffId) ?? 0) + 1);
  }
  return new Map(
    [...layersOf].map(([imageId, layers]) => [
      imageId,
      layers.reduce((sum, layer) => sum + ((users.get(layer.diffId) ?? 0) > 1 ? layer.contentSizeBytes : 0), 0),
    ]),
  );
}
