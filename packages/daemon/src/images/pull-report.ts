/** Tells a pull as Docker does (moby, distribution/xfer and pkg/progress). */
import type { ProgressMessage } from '@tsd/shared/api-images';
import type { DownloadPhase } from './layer-downloads.ts';
import type { BlobDescriptor } from './registry/remote-repository.ts';
import { createTransferProgress, retryText, shortDigest, stepMessage } from './transfer-progress.ts';

export interface PullReport {
  begin(tagOrDigest: string, repository: string): void;
  layer(blob: BlobDescriptor): PulledLayerReport;
  digest(digest: string): void;
  warn(text: string): void;
  done(reference: string, isNew: boolean): void;
}

export interface PulledLayerReport {
  exists(): void;
  begin(): void;
  phase(phase: DownloadPhase): void;
  complete(): void;
}

export function createPullReport(emit: (message: ProgressMessage) => void): PullReport {
  return {
    begin: (tagOrDigest, repository) => emit({ status: `Pulling from ${repository}`, id: tagOrDigest }),
    layer({ digest, sizeBytes }) {
      const id = shortDigest(digest);
      const step = (status: string): void => emit(stepMessage(id, status));
      const downloading = createTransferProgress(id, 'Downloading', sizeBytes, emit);
      const extracting = createTransferProgress(id, 'Extracting', sizeBytes, emit);
      return {
        exists: () => step('Already exists'),
        begin: () => step('Pulling fs layer'),
        phase(phase) {
          if (phase.kind === 'waiting') step('Waiting');
          else if (phase.kind === 'downloading') downloading(phase.currentBytes);
          else if (phase.kind === 'retrying') step(retryText(phase.secondsLeft));
          else {
            step('Verifying Checksum');
            step('Download complete');
            // Most of it is done by now: it went on while the bytes came.
            extracting(sizeBytes);
          }
        },
        complete: () => step('Pull complete'),
      };
    },
    digest: (digest) => emit({ status: `Digest: ${digest}` }),
    warn: (text) => emit({ status: `WARNING: ${text}` }),
    done: (reference, isNew) =>
      emit({ status: `Status: ${isNew ? 'Downloaded newer image' : 'Image is up to date'} for ${reference}` }),
  };
}
