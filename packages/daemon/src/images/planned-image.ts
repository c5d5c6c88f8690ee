/** An image that an archive describes completely, checked and ready to be committed. */
import { TsdError } from '@tsd/shared/errors';
import type { ImageReference } from '@tsd/shared/image-reference';
import type { ArchiveBlob } from './archive-contents.ts';
import type { CompressedForm } from './compressed-forms.ts';
import { parseImageConfig, requireRunnableOs } from './image-config.ts';
import type { NewImage } from './image-store.ts';
import { quoted } from './quoted.ts';

/**
 * Puts an image together from the blobs that a manifest names, and checks that they are what its configuration says.
 *
 * @param blobs lowest layer first, each with the name under which the manifest knows it.
 * @throws TsdError `bad_parameter`: a blob is missing or of the wrong kind, the number of layers differs, or a layer's
 *   content is not what `rootfs.diff_ids` says.
 */
export function planImage(
  config: { readonly name: string; readonly blob: ArchiveBlob | null },
  blobs: readonly { readonly name: string; readonly blob: ArchiveBlob | null }[],
  tags: readonly ImageReference[],
): NewImage {
  const configBytes = requireDocument(config.name, config.blob, 'configuration');
  const parsed = parseImageConfig(configBytes);
  requireRunnableOs(parsed);
  const diffIds = parsed.rootfs.diff_ids;
  if (diffIds.length !== blobs.length) {
    throw new TsdError(
      'bad_parameter',
      `invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${blobs.length}`,
    );
  }
  const layerDigests: CompressedForm[] = [];
  const layers = blobs.map(({ name, blob }, index) => {
    const found = requireBlob(name, blob);
    if (found.kind !== 'layer')
      throw new TsdError('bad_parameter', `${quoted(name)} is not a layer: it is no tar archive`);
    const { digest, layer } = found;
    if (layer.diffId !== diffIds[index]) {
      throw new TsdError(
        'bad_parameter',
        `wrong diff id for layer ${index + 1}: expected ${diffIds[index]}, the content of ${quoted(name)} has ${layer.diffId}`,
      );
    }
    if (digest !== layer.diffId) {
      layerDigests.push({ digest, diffId: layer.diffId, mediaType: null, sizeBytes: null, kept: false });
    }
    return layer;
  });
  return { configBytes, layers, layerDigests, tags };
}

/** @throws TsdError `bad_parameter` when the blob is missing, damaged or too large to be a document. */
export function requireDocument(name: string, blob: ArchiveBlob | null, what: string): Buffer {
  const found = requireBlob(name, blob);
  if (found.kind === 'document') return found.bytes;
  throw new TsdError('bad_parameter', `${quoted(name)} is not an image ${what}: it is a layer`);
}

function requireBlob(name: string, blob: ArchiveBlob | null): Exclude<ArchiveBlob, { kind: 'unusable' }> {
  if (blob === null) throw new TsdError('bad_parameter', `the archive lacks ${quoted(name)}`);
  if (blob.kind === 'unusable') throw blob.error;
  return blob;
}
