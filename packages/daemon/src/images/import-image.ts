/** `docker import`: an image of one layer from a root file system's tar. */
import { TsdError } from '@tsd/shared/errors';
import type { ImageReference } from '@tsd/shared/image-reference';
import type { EventPublisher } from '../events/engine-events.ts';
import type { LayerStore, StoredLayer } from '../storage/layer-store.ts';
import { ByteStream } from './byte-stream.ts';
import { applyConfigChanges } from './config-changes.ts';
import { publishImageEvent } from './image-events.ts';
import type { AddedImage, ImageStore } from './image-store.ts';
import type { Pin } from './layer-pins.ts';
import { layerRecord } from './layer-records.ts';
import { HOST_PLATFORM, normalizePlatform, type Platform } from './platform.ts';
import { SNIFF_BYTES, sniffContent } from './sniff-content.ts';

/** The archive as it comes; the layer store bounds what it decompresses to. */
const MAX_ARCHIVE_BYTES = 512 * 1024 ** 3;

export interface ImportImageDeps {
  readonly store: ImageStore;
  readonly layerStore: Pick<LayerStore, 'ingest'>;
  readonly events: EventPublisher;
}

export interface ImportOptions {
  /** The image's name; without one it stays untagged. */
  readonly reference?: ImageReference | undefined;
  /** Dockerfile instructions, see {@link applyConfigChanges}. */
  readonly changes: readonly string[];
  readonly message: string;
  readonly platform?: Platform | undefined;
}

/**
 * Stores the archive as an image.
 *
 * @param source a tar, plain or compressed with gzip or zstd.
 * @throws TsdError `bad_parameter` for a damaged or hostile archive or an invalid change; nothing is left behind then.
 */
export async function importImage(
  { store, layerStore, events }: ImportImageDeps,
  source: AsyncIterable<Uint8Array>,
  { reference, changes, message, platform }: ImportOptions,
): Promise<AddedImage> {
  // First what costs nothing: a typing error must not be found out after an upload.
  const runConfig = applyConfigChanges({}, changes);
  const { os, architecture, variant } = normalizePlatform(platform ?? HOST_PLATFORM);
  let layer: StoredLayer | undefined;
  try {
    return await store.layers.hold(async (pin) => {
      layer = await ingestRootFileSystem(layerStore, source, pin);
      const created = new Date().toISOString();
      const configBytes = Buffer.from(
        JSON.stringify({
          architecture,
          ...(message === '' ? {} : { comment: message }),
          config: runConfig,
          created,
          history: [{ created, comment: message === '' ? 'Imported from -' : message }],
          os,
          rootfs: { type: 'layers', diff_ids: [layer.diffId] },
          ...(variant === undefined ? {} : { variant }),
        }),
      );
      const tags = reference === undefined ? [] : [reference];
      const [added] = store.add([{ configBytes, layers: [layerRecord(layer)], tags }]);
      if (added === undefined) throw new TsdError('internal', 'the imported image was not stored');
      publishImageEvent({ events }, 'import', added.image.id, { image: added.image });
      return added;
    });
  } finally {
    if (layer !== undefined) await store.layers.discard([layer.diffId]);
  }
}

async function ingestRootFileSystem(
  layerStore: Pick<LayerStore, 'ingest'>,
  source: AsyncIterable<Uint8Array>,
  pin: Pin,
): Promise<StoredLayer> {
  const stream = new ByteStream(source, MAX_ARCHIVE_BYTES);
  try {
    const kind = sniffContent(await stream.peek(SNIFF_BYTES));
    if (kind === 'bzip2' || kind === 'xz') {
      throw new TsdError('bad_parameter', `the archive is compressed with ${kind}: decompress it first (${kind} -d)`);
    }
    if (kind === 'other')
      throw new TsdError('bad_parameter', 'the archive is no tar, plain or compressed with gzip or zstd');
    return await layerStore.ingest(stream.rest(), { compression: 'detect', beforePublish: pin });
  } finally {
    await stream.close();
  }
}
