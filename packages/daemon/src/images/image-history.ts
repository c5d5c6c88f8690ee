/** `docker history`: Docker Engine API, ImageHistory. */
import type { ImageHistoryItem } from '@tsd/shared/api-images';
import type { ImageHistoryEntry } from './image-config.ts';
import type { ImageStore } from './image-store.ts';

/**
 * What each step added, newest first. Only the newest has the image's id and tags; the rest is `<missing>`, as Docker
 * shows images that were not built here.
 *
 * @throws TsdError `not_found`.
 */
export function imageHistory({ store }: { readonly store: ImageStore }, reference: string): ImageHistoryItem[] {
  const image = store.resolve(reference);
  const sizes = store.imageLayers(image.id).map((layer) => layer.contentSizeBytes);
  // An image need not tell its history: then every layer is a step without words.
  const steps: readonly ImageHistoryEntry[] =
    image.config.history.length > 0 ? image.config.history : sizes.map(() => ({ created: image.createdAt }));
  let layerIndex = 0;
  const items = steps.map((step) => ({
    Id: '<missing>',
    Created: step.created === undefined ? 0 : Math.max(0, Math.floor(Date.parse(step.created) / 1000) || 0),
    CreatedBy: step.created_by ?? '',
    Tags: null as string[] | null,
    Size: step.empty_layer === true ? 0 : (sizes[layerIndex++] ?? 0),
    Comment: step.comment ?? '',
  }));
  const newest = items.at(-1);
  if (newest !== undefined) {
    newest.Id = image.id;
    newest.Tags = image.repoTags.length > 0 ? [...image.repoTags] : null;
  }
  return items.reverse();
}
