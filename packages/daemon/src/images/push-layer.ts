/** Brings one layer into a repository in the cheapest way: it is there, it can be mounted, it is kept, it is compressed. */
import { createReadStream } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import type { BlobStore } from '../storage/blob-store.ts';
import type { LayerCompressor } from '../storage/layer-compressor.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import type { ImageStore } from './image-store.ts';
import { DOCKER_GZIP_LAYER, type LayerForm } from './push-manifest.ts';
import type { RemoteRepository } from './registry/remote-repository.ts';

/** A registry that mounts at all does so from the first repository that this user may read. */
const MAX_MOUNT_TRIES = 3;

export interface PushLayerDeps {
  readonly store: Pick<ImageStore, 'layers' | 'compressedForms' | 'addCompressedForm' | 'findLayer'>;
  readonly layerStore: Pick<LayerStore, 'tarPath'>;
  readonly blobStore: Pick<BlobStore, 'has' | 'path'>;
  readonly compressor: LayerCompressor;
}

/** One layer on its way, as Docker tells it. */
export interface LayerReport {
  exists(): void;
  mounted(fromPath: string): void;
  compressing(doneBytes: number, totalBytes: number): void;
  pushing(sentBytes: number, totalBytes: number): void;
  pushed(): void;
}

export interface LayerPush {
  readonly repository: RemoteRepository;
  /** Blobs that the repository is known to have: those that this push has brought there already. */
  readonly present: Set<string>;
  readonly signal: AbortSignal;
}

/** Brings exactly this form there. Returns false when that is not possible: it is not kept, and the registry does not have it. */
export async function pushForm(
  deps: PushLayerDeps,
  push: LayerPush,
  form: LayerForm,
  report: LayerReport,
): Promise<boolean> {
  const { repository, present, signal } = push;
  const done = (): true => {
    present.add(form.digest);
    noteSource(deps, repository.name, form);
    return true;
  };
  if (present.has(form.digest) || (await repository.hasBlob(form.digest, signal))) {
    report.exists();
    return done();
  }
  for (const path of mountablePaths(deps, repository.name, form)) {
    if (!(await tryMount(repository, form.digest, path, signal))) continue;
    report.mounted(path);
    return done();
  }
  const path = localPath(deps, form);
  if (path === null) return false;
  await repository.uploadBlob(
    { ...form, open: (offsetBytes) => createReadStream(path, { start: offsetBytes, highWaterMark: 256 * 1024 }) },
    { signal, onBytes: (sentBytes) => report.pushing(sentBytes, form.sizeBytes) },
  );
  report.pushed();
  return done();
}

/** Brings the layer there in any form, and returns which: a kept one, one that the registry has, or one made now. */
export async function pushAnyForm(
  deps: PushLayerDeps,
  push: LayerPush,
  diffId: string,
  report: LayerReport,
): Promise<LayerForm> {
  for (const { digest, mediaType, sizeBytes, kept, repositories } of deps.store.compressedForms(diffId)) {
    if (mediaType === null || sizeBytes === null || digest === diffId) continue;
    if (!kept && !repositories.some((name) => sharesRegistry(name, push.repository.name))) continue;
    const form = { diffId, digest, mediaType, sizeBytes };
    if (await pushForm(deps, push, form, report)) return form;
  }
  const compressed = await deps.compressor.compress(diffId, { signal: push.signal, onBytes: report.compressing });
  const form = { diffId, mediaType: DOCKER_GZIP_LAYER, ...compressed };
  // The layer may have been removed meanwhile: then its blob goes too, when this push lets go.
  if (deps.store.findLayer(diffId) === null) deps.store.layers.doom([form.digest]);
  else deps.store.addCompressedForm({ ...form, kept: true });
  if (await pushForm(deps, push, form, report)) return form;
  throw new TsdError('internal', `the compressed layer ${form.digest} vanished before it was pushed`);
}

/** Whether a form could be brought there, as far as is known without asking the registry. */
export function isWithinReach(deps: PushLayerDeps, push: LayerPush, form: LayerForm): boolean {
  return (
    push.present.has(form.digest) ||
    localPath(deps, form) !== null ||
    sourcesOf(deps, form).some((name) => sharesRegistry(name, push.repository.name))
  );
}

/** The file that holds the form's bytes; a plain layer's is its tar. */
function localPath({ blobStore, layerStore }: PushLayerDeps, { digest, diffId }: LayerForm): string | null {
  if (digest === diffId) return layerStore.tarPath(diffId);
  return blobStore.has(digest) ? blobStore.path(digest) : null;
}

function sourcesOf({ store }: PushLayerDeps, { diffId, digest }: LayerForm): readonly string[] {
  return store.compressedForms(diffId).find((form) => form.digest === digest)?.repositories ?? [];
}

function mountablePaths(deps: PushLayerDeps, target: string, form: LayerForm): string[] {
  return sourcesOf(deps, form)
    .filter((name) => name !== target && sharesRegistry(name, target))
    .map((name) => name.slice(name.indexOf('/') + 1))
    .slice(0, MAX_MOUNT_TRIES);
}

/** A registry may refuse to let this user read the other repository: then the layer is uploaded. */
async function tryMount(
  repository: RemoteRepository,
  digest: string,
  fromPath: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return await repository.mountBlob(digest, fromPath, signal);
  } catch (error) {
    if (error instanceof TsdError && ['unauthorized', 'forbidden', 'not_found'].includes(error.code)) return false;
    throw error;
  }
}

/** Unless the layer was removed while it was pushed. */
function noteSource({ store, blobStore }: PushLayerDeps, repository: string, form: LayerForm): void {
  if (store.findLayer(form.diffId) === null) return;
  store.addCompressedForm({ ...form, kept: blobStore.has(form.digest) }, repository);
}

/** Canonical names begin with the registry's domain. */
function sharesRegistry(a: string, b: string): boolean {
  return a.slice(0, a.indexOf('/')) === b.slice(0, b.indexOf('/'));
}
