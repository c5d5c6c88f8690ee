/** Brings one layer into a repository in the cheapest way: it is there, mounted, kept, fetched from elsewhere, compressed. */
import { createReadStream } from 'node:fs';
import { type ErrorCode, TsdError } from '@tsd/shared/errors';
import type { BlobStore } from '../storage/blob-store.ts';
import type { LayerCompressor } from '../storage/layer-compressor.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import type { ImageStore } from './image-store.ts';
import type { Pin } from './layer-pins.ts';
import { readPastMirrors } from './past-mirrors.ts';
import { DOCKER_GZIP_LAYER, type LayerForm } from './push-manifest.ts';
import type { RemoteRepository } from './registry/remote-repository.ts';

/** Repositories that are tried as the source of a layer. */
const MAX_SOURCES = 3;
/** How long a registry may take to say whether it still has a layer, before the push does without it. */
const SOURCE_PATIENCE_MS = 5000;

/** What a source may answer with without harm to the push. */
const REFUSALS: readonly ErrorCode[] = ['unauthorized', 'forbidden', 'not_found', 'bad_parameter', 'unavailable'];

export interface PushLayerDeps {
  readonly store: Pick<ImageStore, 'layers' | 'compressedForms' | 'addCompressedForm' | 'findLayer'>;
  readonly layerStore: Pick<LayerStore, 'tarPath' | 'ingest'>;
  readonly blobStore: Pick<BlobStore, 'has' | 'path'>;
  readonly compressor: LayerCompressor;
}

/** One layer on its way, as Docker tells it. */
export interface LayerReport {
  exists(): void;
  mounted(fromPath: string): void;
  fetching(receivedBytes: number, totalBytes: number): void;
  compressing(doneBytes: number, totalBytes: number): void;
  pushing(sentBytes: number, totalBytes: number): void;
  /** Something went wrong; another try comes. */
  retrying(secondsLeft: number): void;
  pushed(): void;
}

export interface LayerPush {
  readonly repository: RemoteRepository;
  /** Blobs that the repository is known to have: those that this push has brought there already. */
  readonly present: Set<string>;
  /** Canonical names of repositories that know the image: they may have layers that are not kept here. */
  readonly knownAt: readonly string[];
  /** A repository by its canonical name, to read from. */
  readonly source: (name: string) => RemoteRepository;
  /** Takes what is brought in for the push. */
  readonly pin: Pin;
  readonly signal: AbortSignal;
}

/**
 * Brings exactly this form there. Returns false when that is not possible: it is not kept, and no registry gives it.
 * @param options.fetch whether to get it from where it was seen
 */
export async function pushForm(
  deps: PushLayerDeps,
  push: LayerPush,
  form: LayerForm,
  report: LayerReport,
  { fetch }: { readonly fetch: boolean },
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
  for (const path of mountablePaths(deps, push, form)) {
    if (!(await tryMount(repository, form.digest, path, signal))) continue;
    report.mounted(path);
    return done();
  }
  if (localPath(deps, form) === null && fetch) await fetchForm(deps, push, form, report);
  const path = localPath(deps, form);
  if (path === null) return false;
  await repository.uploadBlob(
    { ...form, open: (offsetBytes) => createReadStream(path, { start: offsetBytes, highWaterMark: 256 * 1024 }) },
    { signal, onBytes: (sentBytes) => report.pushing(sentBytes, form.sizeBytes), onWait: report.retrying },
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
    if (await pushForm(deps, push, form, report, { fetch: false })) return form;
  }
  const compressed = await deps.compressor.compress(diffId, {
    signal: push.signal,
    onBytes: report.compressing,
    beforePublish: push.pin,
  });
  const form = { diffId, mediaType: DOCKER_GZIP_LAYER, ...compressed };
  keepForm(deps, form);
  if (await pushForm(deps, push, form, report, { fetch: false })) return form;
  throw new TsdError('internal', `the compressed layer ${form.digest} vanished before it was pushed`);
}

/** Whether a form could be brought there, as far as is known without asking any registry. */
export function isWithinReach(deps: PushLayerDeps, push: LayerPush, form: LayerForm): boolean {
  return push.present.has(form.digest) || localPath(deps, form) !== null || sourcesOf(deps, push, form).length > 0;
}

/** Brings a form into the blob store from a repository that had it, verified as in a pull. A failure leaves things as they are. */
async function fetchForm(deps: PushLayerDeps, push: LayerPush, form: LayerForm, report: LayerReport): Promise<void> {
  const { signal } = push;
  const { digest, diffId } = form;
  for (const name of sourcesOf(deps, push, form).slice(0, MAX_SOURCES)) {
    try {
      const source = push.source(name);
      if (!(await source.hasBlob(digest, AbortSignal.any([signal, AbortSignal.timeout(SOURCE_PATIENCE_MS)])))) continue;
      const onBytes = (receivedBytes: number): void => report.fetching(receivedBytes, form.sizeBytes);
      const open = (): AsyncIterable<Uint8Array> => source.openBlob(form, { signal, onBytes, onWait: report.retrying });
      const expected = {
        expectedDigest: digest,
        expectedDiffId: diffId,
        keepCompressed: 'only',
        beforePublish: push.pin,
      } as const;
      await readPastMirrors(source, digest, () => deps.layerStore.ingest(open(), expected));
      keepForm(deps, form);
      return;
    } catch (error) {
      signal.throwIfAborted();
      const isTimeout = error instanceof DOMException && error.name === 'TimeoutError';
      if (!isTimeout && !(error instanceof TsdError && REFUSALS.includes(error.code))) throw error;
    }
  }
}

/** The file that holds the form's bytes; a plain layer's is its tar. */
function localPath({ blobStore, layerStore }: PushLayerDeps, { digest, diffId }: LayerForm): string | null {
  if (digest === diffId) return layerStore.tarPath(diffId);
  return blobStore.has(digest) ? blobStore.path(digest) : null;
}

/** Where the form was seen, then where it should be. */
function sourcesOf({ store }: PushLayerDeps, { knownAt }: LayerPush, { diffId, digest }: LayerForm): string[] {
  const seenAt = store.compressedForms(diffId).find((form) => form.digest === digest)?.repositories ?? [];
  return [...new Set([...seenAt, ...knownAt])];
}

function mountablePaths(deps: PushLayerDeps, push: LayerPush, form: LayerForm): string[] {
  const target = push.repository.name;
  return sourcesOf(deps, push, form)
    .filter((name) => name !== target && sharesRegistry(name, target))
    .map((name) => name.slice(name.indexOf('/') + 1))
    .slice(0, MAX_SOURCES);
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
    if (error instanceof TsdError && REFUSALS.includes(error.code)) return false;
    throw error;
  }
}

/** Notes a form whose blob has just come. The layer may have been removed meanwhile: then the blob goes with this push. */
function keepForm({ store }: PushLayerDeps, form: LayerForm): void {
  if (store.findLayer(form.diffId) === null) store.layers.doom([form.digest]);
  else store.addCompressedForm({ ...form, kept: true });
}

/** Notes where a form is now, of those only that were verified here to hold the layer. */
function noteSource({ store }: PushLayerDeps, repository: string, form: LayerForm): void {
  const known = store.compressedForms(form.diffId).find(({ digest }) => digest === form.digest);
  if (known !== undefined) store.addCompressedForm({ ...form, kept: known.kept }, repository);
}

/** Canonical names begin with the registry's domain. */
function sharesRegistry(a: string, b: string): boolean {
  return a.slice(0, a.indexOf('/')) === b.slice(0, b.indexOf('/'));
}
