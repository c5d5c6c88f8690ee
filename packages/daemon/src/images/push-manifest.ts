/** Which manifest a push sends: one that is known of the image, as it is, or a new one. */
import type { Image } from './image.ts';
import type { ImageManifest } from './image-manifests.ts';
import { MEDIA_TYPE } from './oci-descriptor.ts';
import { sha256Digest } from './registry/digest.ts';
import { parseManifest } from './registry/manifest.ts';
import type { BlobDescriptor } from './registry/remote-repository.ts';

/** A layer as a registry holds it: what a manifest says of it. */
export interface LayerForm extends BlobDescriptor {
  readonly diffId: string;
}

export interface PushManifest extends ImageManifest {
  /** Lowest first, one for each of the image's layers. */
  readonly layers: readonly LayerForm[];
}

/** Docker's type for a layer that is compressed with gzip. */
export const DOCKER_GZIP_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';
const DOCKER_PLAIN_LAYER = 'application/vnd.docker.image.rootfs.diff.tar';

/** Those of the kept documents that are manifests of this very image, the latest first. */
export function knownManifests(
  image: Pick<Image, 'id' | 'diffIds'>,
  documents: readonly ImageManifest[],
): PushManifest[] {
  const known = documents.flatMap((document) => {
    const manifest = parseManifest(document, document.digest);
    if (manifest.kind !== 'image' || manifest.config.digest !== image.id) return [];
    if (manifest.layers.length !== image.diffIds.length) return [];
    const layers = manifest.layers.map((layer, index) => ({ ...layer, diffId: image.diffIds[index] ?? '' }));
    return [{ ...document, layers }];
  });
  return known.reverse();
}

/**
 * A manifest of these layers: Docker's schema 2, which every registry takes, as `docker push` writes it, or OCI's where a
 * layer is compressed in a way that Docker's has no name for (zstd).
 */
export function newManifest(image: Pick<Image, 'id' | 'configBytes'>, layers: readonly LayerForm[]): PushManifest {
  const compressions = layers.map(({ mediaType }) => compressionOf(mediaType));
  const isOci = compressions.includes('zstd');
  const layerType = (index: number): string => {
    const compression = compressions[index] ?? '';
    if (isOci) return compression === '' ? MEDIA_TYPE.layer : `${MEDIA_TYPE.layer}+${compression}`;
    return compression === '' ? DOCKER_PLAIN_LAYER : DOCKER_GZIP_LAYER;
  };
  const mediaType = isOci ? MEDIA_TYPE.manifest : MEDIA_TYPE.dockerManifest;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: isOci ? MEDIA_TYPE.config : MEDIA_TYPE.dockerConfig,
      size: image.configBytes.length,
      digest: image.id,
    },
    layers: layers.map(({ sizeBytes, digest }, index) => ({ mediaType: layerType(index), size: sizeBytes, digest })),
  };
  const bytes = Buffer.from(JSON.stringify(document, null, 3));
  return { digest: sha256Digest(bytes), mediaType, bytes, layers };
}

/** By media type, Docker's (`….tar.gzip`) as OCI's (`….tar+gzip`, `….tar+zstd`). */
function compressionOf(mediaType: string): 'gzip' | 'zstd' | '' {
  const ending = /[.+](gzip|zstd)$/.exec(mediaType)?.[1];
  return ending === 'gzip' || ending === 'zstd' ? ending : '';
}
