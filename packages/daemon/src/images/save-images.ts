/**
 * `docker save`: one archive that is a docker-archive (manifest.json, repositories) and an OCI layout (oci-layout,
 * index.json) at once, both over the same blobs. The layers are the stored tars as they are, each once.
 */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { TsdError } from '@tsd/shared/errors';
import {
  canonicalName,
  familiarName,
  familiarString,
  type ImageReference,
  isDigest,
  parseReference,
} from '@tsd/shared/image-reference';
import type { EventPublisher } from '../events/engine-events.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import { DOCKER_MANIFEST_PATH } from './docker-archive.ts';
import type { Image } from './image.ts';
import { publishImageEvent } from './image-events.ts';
import type { ImageStore } from './image-store.ts';
import type { LayerRecord } from './layer-records.ts';
import { MEDIA_TYPE } from './oci-descriptor.ts';
import { IMAGE_NAME_ANNOTATION, OCI_INDEX_PATH, REF_NAME_ANNOTATION } from './oci-documents.ts';
import { paddedSize, TAR_END, tarFileHeader, tarPadding } from './tar-writer.ts';

const READ_BYTES = 1024 * 1024;

export interface SaveImagesDeps {
  readonly store: ImageStore;
  readonly layerStore: Pick<LayerStore, 'tarPath'>;
  readonly events: EventPublisher;
}

export interface SavedArchive {
  /** Of the whole stream. */
  readonly sizeBytes: number;
  /** To be iterated once. A chunk holds its bytes only until the next one is asked for. */
  readonly stream: AsyncIterable<Buffer>;
  /** To be called at the end, whatever happened: no layer can be removed until then. Can be repeated. */
  close(): void;
}

/** An image with those of its names that the archive gives it. */
interface Selected {
  readonly image: Image;
  readonly tags: readonly ImageReference[];
}

interface Document {
  readonly path: string;
  readonly bytes: Buffer;
}

/**
 * Makes the archive of the images that `names` mean. A repository without a tag means all its tags; an id means the image
 * without a name.
 *
 * @throws TsdError `not_found`, `bad_parameter` without names; later, from the stream, when a layer cannot be read.
 */
export async function saveImages(
  { store, layerStore, events }: SaveImagesDeps,
  names: readonly string[],
): Promise<SavedArchive> {
  if (names.length === 0) throw new TsdError('bad_parameter', 'names: give at least one image to save');
  const { pin, leave } = store.layers.enter();
  try {
    const selection = selectImages(store, names);
    const layers = new Map<string, LayerRecord>();
    for (const { image } of selection) {
      for (const layer of store.imageLayers(image.id)) layers.set(layer.diffId, layer);
    }
    await pin(layers.keys());
    const documents = describe(store, selection);
    await requireFiles(layerStore, layers);
    for (const { image } of selection) publishImageEvent({ events }, 'save', image.id, { image });
    const sizes = [
      ...documents.map(({ bytes }) => bytes.length),
      ...[...layers.values()].map((layer) => layer.tarSizeBytes),
    ];
    return {
      sizeBytes: sizes.reduce((sum, bytes) => sum + tarFileHeader('', 0).length + paddedSize(bytes), TAR_END.length),
      stream: archiveStream(layerStore, documents, [...layers.values()]),
      close: onlyOnce(leave),
    };
  } catch (error) {
    leave();
    throw error;
  }
}

function selectImages(store: ImageStore, names: readonly string[]): Selected[] {
  const selected = new Map<string, { image: Image; tags: Map<string, ImageReference> }>();
  const add = (image: Image, tag: ImageReference | null): void => {
    const entry = selected.get(image.id) ?? { image, tags: new Map() };
    if (tag !== null) entry.tags.set(canonicalName(tag), tag);
    selected.set(image.id, entry);
  };
  for (const name of names) {
    const reference = isDigest(name) || isDigest(`sha256:${name}`) ? null : parseReference(name);
    const isNameOnly = reference !== null && reference.tag === undefined && reference.digest === undefined;
    const tags = isNameOnly ? store.repositoryTags(reference) : [];
    if (tags.length > 0) {
      for (const tag of tags) add(store.resolve(familiarString(tag.reference)), tag.reference);
      continue;
    }
    const image = store.resolve(name);
    const isTag = reference?.tag !== undefined && reference.digest === undefined;
    add(image, isTag && image.repoTags.includes(familiarString(reference)) ? reference : null);
  }
  return [...selected.values()].map(({ image, tags }) => ({ image, tags: [...tags.values()] }));
}

/** Everything but the layers. What readers look for first comes first. */
function describe(store: ImageStore, selection: readonly Selected[]): Document[] {
  const blobs = new Map<string, Document>();
  const repositories = new Map<string, Map<string, string>>();
  const indexEntries: object[] = [];
  const dockerManifest: object[] = [];
  for (const { image, tags } of selection) {
    const manifest = ociManifest(image, store.imageLayers(image.id));
    for (const bytes of [image.configBytes, manifest]) {
      const document = { path: blobPath(digestOf(bytes)), bytes };
      blobs.set(document.path, document);
    }
    const descriptor = { mediaType: MEDIA_TYPE.manifest, digest: digestOf(manifest), size: manifest.length };
    if (tags.length === 0) indexEntries.push(descriptor);
    for (const tag of tags) {
      const annotations = { [IMAGE_NAME_ANNOTATION]: canonicalName(tag), [REF_NAME_ANNOTATION]: tag.tag ?? '' };
      indexEntries.push({ ...descriptor, annotations });
      const repository = repositories.get(familiarName(tag)) ?? new Map<string, string>();
      repositories.set(familiarName(tag), repository);
      repository.set(tag.tag ?? '', (image.diffIds.at(-1) ?? image.id).slice('sha256:'.length));
    }
    dockerManifest.push({
      Config: blobPath(image.id),
      RepoTags: tags.length === 0 ? null : tags.map(familiarString),
      Layers: image.diffIds.map(blobPath),
    });
  }
  return [
    jsonDocument('oci-layout', { imageLayoutVersion: '1.0.0' }),
    jsonDocument(OCI_INDEX_PATH, { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: indexEntries }),
    jsonDocument(DOCKER_MANIFEST_PATH, dockerManifest),
    ...(repositories.size === 0 ? [] : [jsonDocument('repositories', plainObject(repositories))]),
    ...blobs.values(),
  ];
}

function ociManifest(image: Image, layers: readonly LayerRecord[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.manifest,
      config: { mediaType: MEDIA_TYPE.config, digest: image.id, size: image.configBytes.length },
      layers: layers.map(({ diffId, tarSizeBytes }) => ({
        mediaType: MEDIA_TYPE.layer,
        digest: diffId,
        size: tarSizeBytes,
      })),
    }),
  );
}

async function requireFiles(
  layerStore: Pick<LayerStore, 'tarPath'>,
  layers: ReadonlyMap<string, LayerRecord>,
): Promise<void> {
  for (const { diffId, tarSizeBytes } of layers.values()) {
    const { size } = await stat(layerStore.tarPath(diffId));
    if (size !== tarSizeBytes) {
      throw new TsdError(
        'internal',
        `layer ${diffId} is damaged: its file has ${size} bytes instead of ${tarSizeBytes}`,
      );
    }
  }
}

async function* archiveStream(
  layerStore: Pick<LayerStore, 'tarPath'>,
  documents: readonly Document[],
  layers: readonly LayerRecord[],
): AsyncGenerator<Buffer, void, void> {
  yield Buffer.concat(
    documents.flatMap(({ path, bytes }) => [tarFileHeader(path, bytes.length), bytes, tarPadding(bytes.length)]),
  );
  const buffers = [Buffer.allocUnsafeSlow(READ_BYTES), Buffer.allocUnsafeSlow(READ_BYTES)] as const;
  for (const { diffId, tarSizeBytes } of layers) {
    yield tarFileHeader(blobPath(diffId), tarSizeBytes);
    yield* fileChunks(layerStore.tarPath(diffId), tarSizeBytes, buffers);
    yield tarPadding(tarSizeBytes);
  }
  yield TAR_END;
}

/** The file's content: while the consumer has one buffer the other is filled. */
async function* fileChunks(
  path: string,
  sizeBytes: number,
  [first, second]: readonly [Buffer, Buffer],
): AsyncGenerator<Buffer, void, void> {
  const file = await open(path, 'r');
  const read = async (buffer: Buffer, position: number): Promise<Buffer> => {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, sizeBytes - position), position);
    if (bytesRead === 0) throw new TsdError('internal', `${path} ends after ${position} of ${sizeBytes} bytes`);
    return buffer.subarray(0, bytesRead);
  };
  let next: Promise<Buffer> | null = null;
  try {
    next = sizeBytes > 0 ? read(first, 0) : null;
    let [spare, other] = [second, first];
    for (let position = 0; next !== null; [spare, other] = [other, spare]) {
      const chunk: Buffer = await next;
      position += chunk.length;
      next = position < sizeBytes ? read(spare, position) : null;
      yield chunk;
    }
  } finally {
    // A consumer that stops early leaves a read under way; its result is of no interest.
    await next?.catch(() => undefined);
    await file.close();
  }
}

function onlyOnce(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}

function plainObject(maps: ReadonlyMap<string, ReadonlyMap<string, string>>): Record<string, Record<string, string>> {
  return Object.fromEntries([...maps].map(([key, map]) => [key, Object.fromEntries(map)]));
}

function jsonDocument(path: string, value: unknown): Document {
  return { path, bytes: Buffer.from(JSON.stringify(value)) };
}

function blobPath(digest: string): string {
  return digest.replace('sha256:', 'blobs/sha256/');
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
