/** `docker push`: one tag of a repository, or all of them. moby, distribution/push.go and push_v2.go. */
import { TsdError } from '@tsd/shared/errors';
import { familiarName, familiarString, type ImageReference, repositoryName } from '@tsd/shared/image-reference';
import type { EventPublisher } from '../events/engine-events.ts';
import { type Image, requireSound } from './image.ts';
import { publishImageEvent } from './image-events.ts';
import type { ImageStore } from './image-store.ts';
import {
  isWithinReach,
  type LayerPush,
  type LayerReport,
  type PushLayerDeps,
  pushAnyForm,
  pushForm,
} from './push-layer.ts';
import { knownManifests, type LayerForm, newManifest, type PushManifest } from './push-manifest.ts';
import type { RemoteRepository } from './registry/remote-repository.ts';

export interface PushImageDeps extends PushLayerDeps {
  readonly store: PushLayerDeps['store'] &
    Pick<ImageStore, 'get' | 'repositoryTags' | 'references' | 'manifests' | 'addManifest'>;
  readonly events: EventPublisher;
}

export interface PushTarget {
  readonly reference: ImageReference;
  /** Repositories by canonical name: the one that is pushed to, and others that layers may be fetched from. */
  readonly repositoryOf: (name: string) => RemoteRepository;
}

/** What happens, as it happens. */
export interface PushListener {
  /** All layers of one image, the topmost first, before anything is sent. */
  onLayers(diffIds: readonly string[]): void;
  layer(diffId: string): LayerReport;
  /** No manifest that is known of the image can be sent as it is, since a layer cannot be had as that names it. */
  onNewManifest(formerDigest: string): void;
  /** One tag is done. */
  onTag(pushed: PushedTag): void;
}

export interface PushedTag {
  readonly tag: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** As many layers at a time as dockerd brings by default (max-concurrent-uploads). */
export const PARALLEL_LAYERS = 5;

/**
 * Pushes what a name means: with a tag that image, without one every tag of the repository. A manifest that is kept of the
 * image is sent byte for byte wherever its layers can be had as it names them; otherwise a new one is made.
 *
 * @throws TsdError `not_found` with Docker's texts when there is no such image or tag; `conflict` for a broken one; whatever the registry refuses with;
 *   the signal's reason. Nothing goes on after it has thrown.
 */
export async function pushImage(
  deps: PushImageDeps,
  { reference, repositoryOf }: PushTarget,
  listener: PushListener,
  signal: AbortSignal,
): Promise<void> {
  const { store } = deps;
  if (reference.digest !== undefined) throw new TsdError('bad_parameter', 'cannot push a digest reference');
  const repository = repositoryOf(repositoryName(reference));
  const present = new Set<string>();
  await store.layers.hold(async (pin) => {
    const chosen = chooseImages(store, reference);
    // No layer and no blob of them goes meanwhile.
    await pin(chosen.flatMap(({ image }) => filesOf(store, image)));
    for (const { tag, image } of chosen) {
      requireSound(image);
      const knownAt = store
        .references(image.id)
        .filter(({ digest }) => digest !== undefined)
        .map(repositoryName);
      const push: LayerPush = { repository, present, knownAt, source: repositoryOf, pin, signal };
      const manifest = await pushLayers(deps, push, image, listener);
      await pushConfig(push, image);
      const digest = await repository.putManifest(tag, manifest, signal);
      if (digest !== manifest.digest) {
        throw new TsdError(
          'bad_parameter',
          `the registry stored the manifest of ${tag} under ${digest}, expected ${manifest.digest}`,
        );
      }
      // It may have been removed meanwhile.
      if (store.get(image.id) !== null) store.addManifest(image.id, manifest, repositoryName(reference));
      listener.onTag({ tag, digest, sizeBytes: manifest.bytes.length });
    }
  });
  publishImageEvent(deps, 'push', familiarString(reference), { name: familiarName(reference) });
}

function chooseImages(
  store: Pick<ImageStore, 'repositoryTags' | 'get'>,
  reference: ImageReference,
): { tag: string; image: Image }[] {
  const named = store.repositoryTags(reference);
  const name = familiarName(reference);
  if (named.length === 0) {
    throw new TsdError('not_found', `An image does not exist locally with the tag: ${name}`);
  }
  const wanted = named.flatMap(({ reference: { tag }, imageId }) => {
    const image = store.get(imageId);
    return tag === undefined || image === null || (reference.tag ?? tag) !== tag ? [] : [{ tag, image }];
  });
  if (wanted.length > 0) return wanted;
  throw new TsdError('not_found', `tag does not exist: ${familiarString(reference)}`);
}

/** What there is of the image's layers, in whatever form. */
function filesOf({ compressedForms }: PushImageDeps['store'], { diffIds }: Image): string[] {
  return diffIds.flatMap((diffId) => [diffId, ...compressedForms(diffId).map(({ digest }) => digest)]);
}

/** Brings all layers there and says by which manifest they are an image. */
async function pushLayers(
  deps: PushImageDeps,
  push: LayerPush,
  image: Image,
  listener: PushListener,
): Promise<PushManifest> {
  const topFirst = [...new Set(image.diffIds)].reverse();
  listener.onLayers(topFirst);
  const report = reportsOnce(listener);
  const known = knownManifests(image, deps.store.manifests(image.id));
  for (const manifest of known) {
    if (!manifest.layers.every((form) => isWithinReach(deps, push, form))) continue;
    // The same layer may come twice, even in two forms.
    const forms = [...new Map(manifest.layers.map((form) => [form.digest, form])).values()].reverse();
    const arrived = await inParallel(forms, push, (form, within) =>
      pushForm(deps, within, form, report(form.diffId), { fetch: true }),
    );
    if (arrived.every((isThere) => isThere)) return manifest;
  }
  const forms = await inParallel(topFirst, push, (diffId, within) => pushAnyForm(deps, within, diffId, report(diffId)));
  const formOf = new Map(forms.map((form) => [form.diffId, form]));
  const made = newManifest(
    image,
    image.diffIds.map((diffId) => formOf.get(diffId) as LayerForm),
  );
  const [latest] = known;
  if (latest !== undefined && !known.some(({ digest }) => digest === made.digest))
    listener.onNewManifest(latest.digest);
  return made;
}

/** A layer that a try for one manifest has brought there is found there by the next: once told, that is no news. */
function reportsOnce(listener: PushListener): (diffId: string) => LayerReport {
  const arrived = new Set<string>();
  return (diffId) => {
    const report = listener.layer(diffId);
    return {
      ...report,
      exists() {
        if (!arrived.has(diffId)) report.exists();
        arrived.add(diffId);
      },
      mounted(fromPath) {
        report.mounted(fromPath);
        arrived.add(diffId);
      },
      pushed() {
        report.pushed();
        arrived.add(diffId);
      },
    };
  };
}

async function pushConfig({ repository, present, signal }: LayerPush, { id, configBytes }: Image): Promise<void> {
  if (!present.has(id) && !(await repository.hasBlob(id, signal))) {
    await repository.uploadBlob(
      {
        digest: id,
        sizeBytes: configBytes.length,
        mediaType: 'application/octet-stream',
        open: (offsetBytes) => piece(configBytes.subarray(offsetBytes)),
      },
      { signal },
    );
  }
  present.add(id);
}

async function* piece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A few at a time. The first failure stops the others, and is thrown when they have stopped. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  push: LayerPush,
  work: (item: Item, push: LayerPush) => Promise<Result>,
): Promise<Result[]> {
  const failed = new AbortController();
  const within: LayerPush = { ...push, signal: AbortSignal.any([push.signal, failed.signal]) };
  const results: Result[] = [];
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      within.signal.throwIfAborted();
      results.push(await work(item, within));
    }
  };
  const workers = Array.from({ length: PARALLEL_LAYERS }, () =>
    worker().catch((error: unknown) => failed.abort(error)),
  );
  await Promise.all(workers);
  failed.signal.throwIfAborted();
  return results;
}
