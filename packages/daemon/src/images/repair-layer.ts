/** Brings back what is lost or damaged of a layer: from its kept compressed blob, or from a repository that had it. */
import { createReadStream } from 'node:fs';
import { familiarName, parseReference, repositoryName } from '@tsd/shared/image-reference';
import type { BlobStore } from '../storage/blob-store.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import type { CompressedForm } from './compressed-forms.ts';
import type { ImageStore } from './image-store.ts';
import { readPastMirrors } from './past-mirrors.ts';
import type { RegistryClient, RemoteRepository } from './registry/remote-repository.ts';

export interface RepairDeps {
  readonly store: Pick<ImageStore, 'compressedForms' | 'references'>;
  readonly layerStore: Pick<LayerStore, 'ingest'>;
  readonly blobStore: Pick<BlobStore, 'path'>;
  /** Loaded when something has to be fetched. */
  readonly registry: () => Promise<RegistryClient>;
}

/** Where something was got from; or why from nowhere, source by source. */
export type Restored = { readonly from: string } | { readonly reasons: readonly string[] };

/** A place that may still have it. */
export interface RepairSource<T> {
  readonly name: string;
  get(): Promise<T>;
}

export type SeenForm = CompressedForm & { readonly repositories: readonly string[] };

/**
 * Brings a layer that is not in the store back into it. The layer and its forms are pinned.
 *
 * @param imageIds images that stand on the layer: repositories that know them are asked too.
 * @throws what the signal aborted with, and nothing else.
 */
export function restoreLayer(
  deps: RepairDeps,
  diffId: string,
  imageIds: readonly string[],
  signal: AbortSignal,
): Promise<Restored> {
  const forms = deps.store.compressedForms(diffId);
  const fromBlobs = forms
    .filter((form) => form.kept)
    .map((form) => ({
      name: 'its kept blob',
      get: () => ingest(deps, form, createReadStream(deps.blobStore.path(form.digest)), { keepCompressed: false }),
    }));
  return tryEach([...fromBlobs, ...forms.flatMap((form) => remoteForms(deps, form, imageIds, signal))], signal);
}

/** The same for a kept blob, in whatever state it is: the right one takes its place. It and its layer are pinned. */
export function restoreBlob(
  deps: RepairDeps,
  form: SeenForm,
  imageIds: readonly string[],
  signal: AbortSignal,
): Promise<Restored> {
  return tryEach(remoteForms(deps, form, imageIds, signal), signal);
}

/** Tries sources until one succeeds. @throws what the signal aborted with, and nothing else. */
export async function tryEach(sources: readonly RepairSource<unknown>[], signal: AbortSignal): Promise<Restored> {
  const reasons: string[] = [];
  for (const { name, get } of sources) {
    signal.throwIfAborted();
    try {
      await get();
      return { from: name };
    } catch (error) {
      signal.throwIfAborted();
      reasons.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { reasons: reasons.length > 0 ? reasons : ['no repository is known to have it'] };
}

/** The repositories that are known to have something of the images, without credentials: the daemon has none. */
export function remoteSources<T>(
  { store, registry }: { readonly store: Pick<ImageStore, 'references'>; readonly registry: RepairDeps['registry'] },
  known: readonly string[],
  imageIds: readonly string[],
  get: (repository: RemoteRepository) => Promise<T>,
): RepairSource<T>[] {
  const named = imageIds
    .flatMap((id) => store.references(id))
    .filter(({ digest }) => digest !== undefined)
    .map(repositoryName);
  return [...new Set([...known, ...named])].map((name) => {
    const reference = parseReference(name);
    return {
      name: familiarName(reference),
      get: async () => get((await registry()).repository(reference, null, 'pull')),
    };
  });
}

function remoteForms(
  deps: RepairDeps,
  form: SeenForm,
  imageIds: readonly string[],
  signal: AbortSignal,
): RepairSource<void>[] {
  const { digest, sizeBytes, mediaType, kept } = form;
  // A registry may send as much as was announced: nothing is asked for without knowing how much.
  if (sizeBytes === null) return [];
  const blob = { digest, sizeBytes, mediaType: mediaType ?? 'application/octet-stream' };
  return remoteSources(deps, form.repositories, imageIds, (repository) =>
    readPastMirrors(repository, digest, () =>
      ingest(deps, form, repository.openBlob(blob, { signal }), { keepCompressed: kept }),
    ),
  );
}

async function ingest(
  { layerStore }: Pick<RepairDeps, 'layerStore'>,
  { digest, diffId }: CompressedForm,
  bytes: AsyncIterable<Uint8Array>,
  { keepCompressed }: { keepCompressed: boolean },
): Promise<void> {
  await layerStore.ingest(bytes, { expectedDigest: digest, expectedDiffId: diffId, keepCompressed });
}
