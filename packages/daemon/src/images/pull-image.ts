/** `docker pull`: an image by tag or digest, or every tag of a repository. moby, distribution/pull_v2.go. */
import { TsdError } from '@tsd/shared/errors';
import {
  canonicalName,
  familiarName,
  familiarString,
  type ImageReference,
  repositoryName,
} from '@tsd/shared/image-reference';
import type { EventPublisher } from '../events/engine-events.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { CompressedForm } from './compressed-forms.ts';
import { parseImageConfig, requireRunnableOs } from './image-config.ts';
import { publishImageEvent } from './image-events.ts';
import type { ImageStore } from './image-store.ts';
import type { FetchLayer, LayerDownloads } from './layer-downloads.ts';
import { type LayerRecord, layerRecord } from './layer-records.ts';
import { MAX_JSON_BYTES } from './parse-json.ts';
import { formatPlatform, type Platform, platformMatches } from './platform.ts';
import { resolveManifest } from './pull-manifest.ts';
import type { PullReport } from './pull-report.ts';
import type { ImageManifest } from './registry/manifest.ts';
import type {
  BlobDescriptor,
  RegistryClient,
  RegistryCredentials,
  RemoteRepository,
} from './registry/remote-repository.ts';

export interface PullImageDeps {
  readonly store: ImageStore;
  readonly blobStore: Pick<BlobStore, 'has'>;
  readonly downloads: LayerDownloads;
  /** Loaded when something is pulled. */
  readonly registry: () => Promise<RegistryClient>;
  readonly events: EventPublisher;
}

export interface PullRequest {
  /** With a tag or a digest; with neither of them, every tag. */
  readonly reference: ImageReference;
  readonly platform?: Platform | undefined;
  readonly credentials: RegistryCredentials | null;
}

/**
 * Brings images here. What fails or is cancelled leaves nothing of the image at hand.
 *
 * @throws TsdError as {@link RemoteRepository}; `bad_parameter` for content that cannot be accepted; `insufficient_storage`;
 *   the signal's reason.
 */
export async function pullImage(
  deps: PullImageDeps,
  { reference, platform, credentials }: PullRequest,
  report: PullReport,
  signal: AbortSignal,
): Promise<void> {
  const remote = (await deps.registry()).repository(reference, credentials, 'pull');
  const isOne = reference.tag !== undefined || reference.digest !== undefined;
  const references = isOne ? [reference] : (await remote.listTags(signal)).map((tag) => ({ ...reference, tag }));
  let isNew = false;
  for (const one of references) {
    if (await pullOne(deps, remote, { reference: one, platform, credentials }, report, signal)) isNew = true;
  }
  report.done(familiarString(reference), isNew);
  publishImageEvent(deps, 'pull', familiarString(reference), { name: familiarName(reference) });
}

/** Whether the name means another image now than before. */
async function pullOne(
  deps: PullImageDeps,
  remote: RemoteRepository,
  { reference, platform }: PullRequest,
  report: PullReport,
  signal: AbortSignal,
): Promise<boolean> {
  const { store } = deps;
  const what = familiarString(reference);
  const tagOrDigest = reference.digest ?? reference.tag ?? '';
  const top = await remote.getManifest(tagOrDigest, signal);
  report.begin(tagOrDigest, reference.path);
  const { documents, manifest } = await resolveManifest(remote, top, { what, platform, signal });
  const blobs = manifest.layers.map(({ digest }) => digest);
  let diffIds: readonly string[] = [];
  try {
    return await store.layers.hold((pin) =>
      deps.downloads.share(async (fetch) => {
        const configBytes = await readConfig(deps, remote, manifest.config, signal);
        const config = parseImageConfig(configBytes);
        requireRunnableOs(config);
        diffIds = config.rootfs.diff_ids;
        if (diffIds.length !== manifest.layers.length) {
          throw new TsdError(
            'bad_parameter',
            `${what}: invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${manifest.layers.length}`,
          );
        }
        requireOneContentEach(what, manifest.layers, diffIds);
        await pin([...diffIds, ...blobs]);
        const wanted = { manifest, diffIds };
        const layers = await bringLayers(store, fetch, remote, wanted, report, signal);
        signal.throwIfAborted();
        report.digest(top.digest);
        const isNew = !store
          .references(manifest.config.digest)
          .some((known) => canonicalName(known) === canonicalName(reference));
        store.add([
          {
            configBytes,
            layers,
            layerDigests: compressedForms(deps, wanted),
            source: { repository: repositoryName(reference), manifests: documents, digest: top.digest },
            tags: reference.digest === undefined ? [reference] : [],
          },
        ]);
        if (platform !== undefined && !platformMatches(platform, config)) {
          report.warn(
            `image with reference ${what} was found but does not match the specified platform: ` +
              `wanted ${formatPlatform(platform)}, actual: ${formatPlatform(config)}`,
          );
        }
        return isNew;
      }),
    );
  } finally {
    await store.layers.discard(diffIds, blobs);
  }
}

/** A blob that is to be two layers at once cannot be what both are. */
function requireOneContentEach(what: string, blobs: readonly BlobDescriptor[], diffIds: readonly string[]): void {
  const diffIdOf = new Map<string, string | undefined>();
  for (const [index, { digest }] of blobs.entries()) {
    const [diffId, other] = [diffIds[index], diffIdOf.get(digest)];
    if (other !== undefined && other !== diffId) {
      throw new TsdError(
        'bad_parameter',
        `${what}: invalid manifest, layer ${digest} is named twice, for the diff ids ${other} and ${diffId}`,
      );
    }
    diffIdOf.set(digest, diffId);
  }
}

/** The image's own where it is here already. */
async function readConfig(
  { store }: Pick<PullImageDeps, 'store'>,
  remote: RemoteRepository,
  config: BlobDescriptor,
  signal: AbortSignal,
): Promise<Buffer> {
  return store.get(config.digest)?.configBytes ?? (await remote.readBlob(config, { signal, maxBytes: MAX_JSON_BYTES }));
}

interface WantedLayers {
  readonly manifest: ImageManifest;
  readonly diffIds: readonly string[];
}

/** The image's layers, lowest first: those that are here already in the form that is pulled, and the others fetched. */
async function bringLayers(
  store: ImageStore,
  fetch: FetchLayer,
  remote: RemoteRepository,
  { manifest, diffIds }: WantedLayers,
  report: PullReport,
  signal: AbortSignal,
): Promise<LayerRecord[]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const wanted = manifest.layers.map((blob, index) => {
    const diffId = diffIds[index] ?? '';
    const layer = storedLayer(store, blob.digest, diffId);
    return { blob, diffId, layer, isFetched: layer === null || !isKnownForm(store, blob.digest, diffId) };
  });
  // Docker says nothing about the layers of an image that is here.
  const isSilent = store.get(manifest.config.digest) !== null && !wanted.some(({ isFetched }) => isFetched);
  const fetched = new Map<string, Promise<LayerRecord>>();
  for (const { blob, diffId, layer, isFetched } of wanted) {
    if (fetched.has(blob.digest)) continue;
    if (layer !== null && !isFetched) {
      if (!isSilent) report.layer(blob).exists();
      fetched.set(blob.digest, Promise.resolve(layer));
      continue;
    }
    const layerReport = report.layer(blob);
    layerReport.begin();
    const arrival = fetch({ remote, blob, diffId, isHere: layer !== null }, layerReport.phase, either).then(
      (arrived) => {
        layerReport.complete();
        return layerRecord(arrived);
      },
    );
    arrival.catch((error: unknown) => failed.abort(error));
    fetched.set(blob.digest, arrival);
  }
  // Nothing of the pull goes on after it has failed.
  await Promise.allSettled(fetched.values());
  either.throwIfAborted();
  return Promise.all(wanted.map(({ blob }) => fetched.get(blob.digest) as Promise<LayerRecord>));
}

/** The layer, if it is here: known by its digest, or by what it must turn out to be. */
function storedLayer(store: ImageStore, digest: string, diffId: string): LayerRecord | null {
  const layer = store.findLayer(digest) ?? store.findLayer(diffId);
  // The digest is that of another layer: the download will say so.
  return layer?.diffId === diffId ? layer : null;
}

/**
 * Whether the compressed form of a layer that is here need not be fetched: it is kept, or a registry has it and it was given
 * up. The layer may also have come by load, import or commit.
 */
function isKnownForm(store: ImageStore, digest: string, diffId: string): boolean {
  if (digest === diffId) return true;
  const form = store.compressedForms(diffId).find((known) => known.digest === digest);
  return form !== undefined && (form.kept || form.repositories.length > 0);
}

/** The layers as the manifest names them. Each has been verified to be what the configuration says, now or when it came. */
function compressedForms(
  { blobStore }: Pick<PullImageDeps, 'blobStore'>,
  { manifest, diffIds }: WantedLayers,
): CompressedForm[] {
  return manifest.layers.map(({ digest, mediaType, sizeBytes }, index) => ({
    digest,
    diffId: diffIds[index] ?? '',
    mediaType,
    sizeBytes,
    kept: blobStore.has(digest),
  }));
}
