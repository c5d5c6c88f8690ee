/** `docker load`: images from a docker-archive or an OCI layout, in one pass over the stream. */
import { TsdError } from '@tsd/shared/errors';
import type { EventPublisher } from '../events/engine-events.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import { type ArchiveContents, type LayerProgress, readArchiveContents } from './archive-contents.ts';
import { ByteStream } from './byte-stream.ts';
import { DOCKER_MANIFEST_PATH, planDockerArchive } from './docker-archive.ts';
import { parseImageConfig } from './image-config.ts';
import { publishImageEvent } from './image-events.ts';
import type { AddedImage, ImageStore, NewImage } from './image-store.ts';
import { OCI_INDEX_PATH } from './oci-documents.ts';
import { planOciLayout } from './oci-layout.ts';
import { decompressed } from './outer-compression.ts';
import { formatPlatform, type Platform, platformMatches } from './platform.ts';

/** The outer archive, as it comes and decompressed. */
const MAX_ARCHIVE_BYTES = 512 * 1024 ** 3;

export interface LoadImageDeps {
  readonly store: ImageStore;
  readonly layerStore: Pick<LayerStore, 'ingest'>;
  readonly events: EventPublisher;
}

export interface LoadOptions {
  /** Choose the images for this platform; without it this host's are preferred. */
  readonly platform?: Platform | undefined;
  readonly onProgress?: ((progress: LayerProgress) => void) | undefined;
}

/**
 * Stores every image of the archive, or none: after a failure no row is there and no layer that came with it.
 *
 * @param source the archive: a tar, plain or compressed with gzip or zstd.
 * @throws TsdError `bad_parameter` for a damaged, hostile or incomplete archive; `insufficient_storage`.
 */
export async function loadImage(
  { store, layerStore, events }: LoadImageDeps,
  source: AsyncIterable<Uint8Array>,
  { platform, onProgress }: LoadOptions = {},
): Promise<readonly AddedImage[]> {
  const ingested = new Set<string>();
  try {
    return await store.layers.hold(async (pin) => {
      const stream = new ByteStream(decompressed(new ByteStream(source, MAX_ARCHIVE_BYTES)), MAX_ARCHIVE_BYTES);
      try {
        const contents = await readArchiveContents(
          { store, layerStore, pin, onIngested: (diffId) => ingested.add(diffId), onProgress: onProgress ?? null },
          stream,
        );
        const added = store.add(planImages(contents, platform));
        for (const { image } of added) publishImageEvent({ events }, 'load', image.id, { image });
        return added;
      } finally {
        await stream.close();
      }
    });
  } finally {
    await store.layers.discard(ingested);
  }
}

/** docker's manifest.json is preferred where both are: it has the complete names. */
function planImages(contents: ArchiveContents, platform: Platform | undefined): NewImage[] {
  const hasManifest = contents.at(DOCKER_MANIFEST_PATH) !== null;
  const hasIndex = contents.at(OCI_INDEX_PATH) !== null;
  if (!hasManifest && !hasIndex) {
    throw new TsdError(
      'bad_parameter',
      `the archive is no image: it holds neither ${DOCKER_MANIFEST_PATH} nor ${OCI_INDEX_PATH} (use import for a root file system)`,
    );
  }
  if (contents.fault !== null) throw contents.fault;
  if (!hasManifest) return planOciLayout(contents, platform);
  const images = planDockerArchive(contents);
  if (platform === undefined) return images;
  const chosen = images.filter(({ configBytes }) => platformMatches(platform, parseImageConfig(configBytes)));
  if (chosen.length > 0) return chosen;
  if (hasIndex) return planOciLayout(contents, platform);
  throw new TsdError('bad_parameter', `the archive holds no image for ${formatPlatform(platform)}`);
}
