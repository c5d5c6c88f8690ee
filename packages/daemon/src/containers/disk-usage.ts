/** `docker system df`: what images, their kept compressed layers and containers take. Docker Engine API, SystemDataUsage. */
import type { DiskUsage } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { NO_FILTERS } from '@tsd/shared/filters';
import type { ImageStore } from '../images/image-store.ts';
import type { ImageUsers } from '../images/image-users.ts';
import { listImages } from '../images/list-images.ts';
import { type ListDeps, listContainers } from './list-containers.ts';

export interface DiskUsageDeps {
  readonly containers: ListDeps;
  readonly images: ImageStore;
  readonly imageUsers: ImageUsers;
}

const OBJECT_TYPES = ['container', 'image', 'volume', 'build-cache'] as const;

/**
 * @param types which lists are wanted; none for all.
 * @throws TsdError `bad_parameter` for a type that Docker does not know
 */
export async function diskUsage(
  { containers, images, imageUsers }: DiskUsageDeps,
  types: readonly string[],
): Promise<DiskUsage> {
  const unknown = types.find((type) => !OBJECT_TYPES.some((known) => known === type));
  if (unknown !== undefined) throw new TsdError('bad_parameter', `unknown object type: ${unknown}`);
  const isWanted = (type: (typeof OBJECT_TYPES)[number]): boolean => types.length === 0 || types.includes(type);
  const blobsBytes = isWanted('image') ? sum(images.keptBlobs().map((blob) => blob.sizeBytes)) : 0;
  return {
    LayersSize: isWanted('image') ? layersBytes(images) + blobsBytes : 0,
    BlobsSize: blobsBytes,
    Images: isWanted('image')
      ? listImages({ store: images, imageUsers }, { filters: NO_FILTERS, sharedSize: true })
      : null,
    Containers: isWanted('container')
      ? await listContainers(containers, { all: true, limit: 0, size: true, filters: NO_FILTERS })
      : null,
    // Neither is there: a volume is a bind mount, and nothing is built.
    Volumes: isWanted('volume') ? [] : null,
    BuildCache: isWanted('build-cache') ? [] : null,
  };
}

/** The files of every layer, also of images that only containers keep. */
function layersBytes(images: Pick<ImageStore, 'list' | 'hidden' | 'imageLayers'>): number {
  const ids = [...images.list().map((image) => image.id), ...images.hidden()];
  const layers = ids
    .flatMap((id) => images.imageLayers(id))
    .map((layer) => [layer.diffId, layer.contentSizeBytes] as const);
  return sum([...new Map(layers).values()]);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
