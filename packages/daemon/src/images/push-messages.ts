/** A push as Docker's clients are told of it (moby, distribution/push_v2.go). */
import type { ProgressMessage } from '@tsd/shared/api-images';
import { PARALLEL_LAYERS, type PushListener } from './push-image.ts';
import { createTransferProgress, retryText, shortDigest, stepMessage } from './transfer-progress.ts';

export function pushMessages(emit: (message: ProgressMessage) => void): PushListener {
  const step = (diffId: string, status: string): void => emit(stepMessage(shortDigest(diffId), status));
  return {
    onLayers(diffIds) {
      for (const diffId of diffIds) step(diffId, 'Preparing');
      for (const diffId of diffIds.slice(PARALLEL_LAYERS)) step(diffId, 'Waiting');
    },
    layer(diffId) {
      const progress = (status: string): ((currentBytes: number, totalBytes: number) => void) => {
        let tell: ((currentBytes: number) => void) | null = null;
        return (currentBytes, totalBytes) => {
          tell ??= createTransferProgress(shortDigest(diffId), status, totalBytes, emit);
          tell(currentBytes);
        };
      };
      return {
        exists: () => step(diffId, 'Layer already exists'),
        mounted: (fromPath) => step(diffId, `Mounted from ${fromPath}`),
        fetching: progress('Downloading'),
        compressing: progress('Compressing'),
        pushing: progress('Pushing'),
        retrying: (secondsLeft) => step(diffId, retryText(secondsLeft)),
        pushed: () => step(diffId, 'Pushed'),
      };
    },
    onNewManifest: (formerDigest) =>
      emit({
        status:
          `The manifest ${formerDigest} cannot be reproduced: a compressed layer is not kept, and no registry gives it. ` +
          'Pushing a new manifest with another digest',
      }),
    onTag({ tag, digest, sizeBytes }) {
      emit({ status: `${tag}: digest: ${digest} size: ${sizeBytes}` });
      emit({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: sizeBytes } });
    },
  };
}
