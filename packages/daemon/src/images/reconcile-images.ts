/** Brings the images' rows and the layers' files together after a crash. Runs at boot, before anything is served. */
import type { BlobStore } from '../storage/blob-store.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import { shortImageId } from './image.ts';
import type { ImageStore } from './image-store.ts';
import type { ImageUsers } from './image-users.ts';
import { removeHiddenImages } from './remove-image.ts';

export interface ReconcileImagesDeps {
  readonly store: ImageStore;
  readonly layerStore: Pick<LayerStore, 'list' | 'has'>;
  readonly blobStore: Pick<BlobStore, 'list'>;
  readonly imageUsers: ImageUsers;
}

export interface ReconciledImages {
  /** Layers whose files no image refers to: a load that was interrupted, a removal that had not got to the files. */
  readonly removedLayers: readonly string[];
  /** The same of compressed layers. */
  readonly removedBlobs: readonly string[];
  /** Images that lost a layer's files and that nobody uses: a power failure took the commit of their removal. */
  readonly removedImages: readonly string[];
  /** Images that lost a layer's files and that containers need; loading them again repairs them. */
  readonly damagedImages: readonly string[];
}

/** Removes what is left of half-made and half-removed images. Can be repeated. */
export async function reconcileImages({
  store,
  layerStore,
  blobStore,
  imageUsers,
}: ReconcileImagesDeps): Promise<ReconciledImages> {
  const removedImages: string[] = [];
  const damagedImages: string[] = [];
  const missing = new Set(store.layerIds().filter((diffId) => !layerStore.has(diffId)));
  for (const image of missing.size === 0 ? [] : store.list()) {
    // One that a check has marked waits for its repair.
    if (image.broken !== null || !image.diffIds.some((diffId) => missing.has(diffId))) continue;
    if (imageUsers(image.id).length > 0) {
      damagedImages.push(image.id);
      continue;
    }
    await store.layers.discard(store.remove(image.id, { keepHidden: false }).map((layer) => layer.diffId));
    removedImages.push(image.id);
  }
  await removeHiddenImages({ store, imageUsers });
  const known = new Set(store.layerIds());
  const removedLayers = (await layerStore.list()).filter((diffId) => !known.has(diffId));
  const blobs = new Set(await blobStore.list());
  // A power failure took the commit of a prune: the blob is gone, and nothing but a push would need it.
  const kept = new Set(store.keptBlobs().map(({ digest }) => digest));
  for (const digest of kept) if (!blobs.has(digest)) store.setKept(digest, false);
  const removedBlobs = [...blobs].filter((digest) => !kept.has(digest));
  await store.layers.discard(removedLayers, removedBlobs);
  return { removedLayers, removedBlobs, removedImages, damagedImages };
}

/** One line for the log; null when all was well. */
export function describeReconciledImages(result: ReconciledImages): string | null {
  const parts = [
    result.removedLayers.length > 0 ? `removed ${result.removedLayers.length} left-over layers` : '',
    result.removedBlobs.length > 0 ? `removed ${result.removedBlobs.length} left-over blobs` : '',
    result.removedImages.length > 0
      ? `removed images without files: ${result.removedImages.map(shortImageId).join(', ')}`
      : '',
    result.damagedImages.length > 0
      ? `images that lack layers, load them again: ${result.damagedImages.map(shortImageId).join(', ')}`
      : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? null : parts.join('; ');
}
