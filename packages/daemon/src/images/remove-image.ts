/** `docker rmi`: takes one name away, or the image with all of them. moby, daemon/images/image_delete.go. */
import { createHash } from 'node:crypto';
import { TsdError } from '@tsd/shared/errors';
import {
  familiarString,
  type ImageReference,
  parseReference,
  repositoryName,
  withDefaultTag,
} from '@tsd/shared/image-reference';
import type { EventPublisher } from '../events/engine-events.ts';
import { type Image, shortImageId } from './image.ts';
import { publishImageEvent } from './image-events.ts';
import type { ImageStore } from './image-store.ts';
import { type ImageUsers, shortContainerId } from './image-users.ts';
import type { LayerRecord } from './layer-records.ts';

/** One line of the answer, Docker Engine API ImageDeleteResponseItem. */
export type DeletedItem = { readonly Untagged: string } | { readonly Deleted: string };

export interface RemoveImageDeps {
  readonly store: ImageStore;
  readonly imageUsers: ImageUsers;
  readonly events: EventPublisher;
}

export interface RemovedImage {
  readonly items: readonly DeletedItem[];
  /** What the layers that went with it held, and their kept blobs. */
  readonly reclaimedBytes: number;
}

/**
 * Removes what `reference` names. A name goes alone while others are left; an id takes the names with it.
 *
 * @throws TsdError `not_found`; `conflict` with Docker's texts while containers use the image or several repositories
 *   refer to it. `force` overrides all but a running container.
 */
export async function removeImage(
  deps: RemoveImageDeps,
  reference: string,
  { force }: { readonly force: boolean },
): Promise<RemovedImage> {
  return discarded(deps, () => takeAway(deps, reference, { force }));
}

function takeAway(deps: RemoveImageDeps, reference: string, { force }: { readonly force: boolean }): Deletion {
  const { store, imageUsers } = deps;
  const image = store.resolve(reference);
  const items: DeletedItem[] = [];
  let references = store.references(image.id);
  if (isIdOf(image.id, reference)) {
    if (isSingleReference(references)) {
      requireUnused(deps, image, { force, ignoreReferences: true });
      untag(references);
      references = [];
    }
    requireUnused(deps, image, { force, ignoreReferences: force });
  } else {
    const name = withDefaultTag(parseReference(reference));
    const [user] = imageUsers(image.id);
    if (!force && isSingleReference(references) && user !== undefined) {
      throw new TsdError(
        'conflict',
        `conflict: unable to remove repository reference ${JSON.stringify(reference)} (must force) - ` +
          `container ${shortContainerId(user.id)} is using its referenced image ${shortImageId(image.id)}`,
      );
    }
    untag([name.digest === undefined ? name : withoutTag(name)]);
    references = store.references(image.id);
    // Digests of a repository mean nothing to users once its last tag is gone.
    if (name.digest === undefined && !references.some((other) => isTag(other) && inSameRepository(other, name))) {
      untag(references.filter((other) => inSameRepository(other, name)));
      references = store.references(image.id);
    }
    if (references.length > 0) return { image, items, reclaimedBytes: 0, layers: [] };
    // Taking the last name off an image in use leaves the image, as in Docker.
    if (imageUsers(image.id).some((use) => use.running || !force))
      return { image, items, reclaimedBytes: 0, layers: [] };
  }
  untag(references);
  return deleteRows(deps, image, items);

  function untag(names: readonly ImageReference[]): void {
    for (const name of names) {
      if (store.untag(name)) items.push({ Untagged: familiarString(name) });
    }
  }
}

/** Deletes an image that nothing speaks for any longer. Containers that it was forced away from keep it, hidden. */
export async function deleteImage(
  deps: RemoveImageDeps,
  image: Image,
  items: readonly DeletedItem[] = [],
): Promise<RemovedImage> {
  return discarded(deps, () => deleteRows(deps, image, items));
}

interface Deletion extends RemovedImage {
  readonly image: Image;
  /** Diff ids whose files nothing needs any longer. */
  readonly layers: readonly string[];
}

/** Commits the rows' part of a removal as a whole, then removes the files. */
async function discarded({ store, events }: RemoveImageDeps, work: () => Deletion): Promise<RemovedImage> {
  const { image, items, reclaimedBytes, layers } = store.atomically(work);
  for (const item of items) if ('Untagged' in item) publishImageEvent({ events }, 'untag', image.id, { image });
  if (items.some((item) => 'Deleted' in item)) publishImageEvent({ events }, 'delete', image.id);
  await store.layers.discard(layers);
  return { items, reclaimedBytes };
}

function deleteRows({ store, imageUsers }: RemoveImageDeps, image: Image, items: readonly DeletedItem[]): Deletion {
  const layers = store.imageLayers(image.id);
  const blobBytes = new Map(layers.map(({ diffId }) => [diffId, keptBytes(store, diffId)]));
  const removed = store.remove(image.id, { keepHidden: imageUsers(image.id).length > 0 });
  return {
    image,
    layers: removed.map((layer) => layer.diffId),
    items: [
      ...items,
      { Deleted: image.id },
      ...removedChains(layers, removed).map((chainId) => ({ Deleted: chainId })),
    ],
    reclaimedBytes: removed.reduce(
      (sum, layer) => sum + layer.contentSizeBytes + (blobBytes.get(layer.diffId) ?? 0),
      0,
    ),
  };
}

function keptBytes(store: ImageStore, diffId: string): number {
  return store.compressedForms(diffId).reduce((sum, form) => sum + (form.kept ? (form.sizeBytes ?? 0) : 0), 0);
}

/**
 * Deletes images that were forced away from containers which are gone by now. To be called after a container's removal
 * and at boot.
 */
export async function removeHiddenImages({ store, imageUsers }: Omit<RemoveImageDeps, 'events'>): Promise<void> {
  for (const imageId of store.hidden()) {
    if (imageUsers(imageId).length > 0) continue;
    await store.layers.discard(store.remove(imageId, { keepHidden: false }).map((layer) => layer.diffId));
  }
}

interface ConflictOptions {
  readonly force: boolean;
  readonly ignoreReferences: boolean;
}

function requireUnused(
  { store, imageUsers }: RemoveImageDeps,
  image: Image,
  { force, ignoreReferences }: ConflictOptions,
): void {
  const users = imageUsers(image.id);
  const refuse = (kind: 'cannot' | 'must', reason: string): TsdError => {
    const how = kind === 'cannot' ? 'cannot be forced' : 'must be forced';
    return new TsdError('conflict', `conflict: unable to delete ${shortImageId(image.id)} (${how}) - ${reason}`);
  };
  const running = users.find((use) => use.running);
  if (running !== undefined) {
    throw refuse('cannot', `image is being used by running container ${shortContainerId(running.id)}`);
  }
  if (!ignoreReferences && store.references(image.id).length > 0) {
    throw refuse('must', 'image is referenced in multiple repositories');
  }
  const [stopped] = users;
  if (stopped !== undefined && !force) {
    throw refuse('must', `image is being used by stopped container ${shortContainerId(stopped.id)}`);
  }
}

/** Whether the user gave an id or the beginning of one. */
function isIdOf(imageId: string, reference: string): boolean {
  return imageId.startsWith(reference) || imageId.slice('sha256:'.length).startsWith(reference);
}

/** moby's isSingleReference: one repository with at most one tag. */
function isSingleReference(references: readonly ImageReference[]): boolean {
  const tags = references.filter(isTag);
  const repositories = new Set(references.map(repositoryName));
  return references.length > 0 && tags.length <= 1 && repositories.size === 1;
}

function isTag(reference: ImageReference): boolean {
  return reference.digest === undefined;
}

function withoutTag({ tag: _tag, ...reference }: ImageReference): ImageReference {
  return reference;
}

function inSameRepository(a: ImageReference, b: ImageReference): boolean {
  return repositoryName(a) === repositoryName(b);
}

/** Chain ids of the removed layers, highest first: how Docker names what it deleted (OCI image-spec, "layer ChainID"). */
function removedChains(layers: readonly LayerRecord[], removed: readonly LayerRecord[]): string[] {
  const removedIds = new Set(removed.map((layer) => layer.diffId));
  const chains: string[] = [];
  let chainId = '';
  for (const { diffId } of layers) {
    chainId = chainId === '' ? diffId : `sha256:${createHash('sha256').update(`${chainId} ${diffId}`).digest('hex')}`;
    if (removedIds.has(diffId)) chains.push(chainId);
  }
  return chains.reverse();
}
