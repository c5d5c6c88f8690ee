/** Progress of transfers in Docker's messages (moby, pkg/progress and pkg/jsonmessage). */
import type { ProgressMessage } from '@tsd/shared/api-images';
import { formatDecimalBytes } from '@tsd/shared/units';

/** Between two messages of one transfer; what Docker's client draws needs no more. */
const INTERVAL_MS = 100;
/** Progress is told when this much has come, or a hundredth of the whole. */
const STEP_BYTES = 512 * 1024;
const BAR_LENGTH = 50;

/** The twelve digits that Docker shows of a layer's digest. */
export function shortDigest(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 12);
}

/** One step of a layer that has no amount. */
export function stepMessage(id: string, status: string): ProgressMessage {
  return { status, progressDetail: {}, id };
}

/** The wait before another try (moby, distribution/xfer). */
export function retryText(secondsLeft: number): string {
  return `Retrying in ${secondsLeft} second${secondsLeft === 1 ? '' : 's'}`;
}

/** Returns what is to be told of each new amount; emits as often as Docker does, and always the last one. */
export function createTransferProgress(
  id: string,
  status: string,
  totalBytes: number,
  emit: (message: ProgressMessage) => void,
): (currentBytes: number) => void {
  const stepBytes = totalBytes > 0 ? Math.min(STEP_BYTES, Math.trunc(totalBytes / 100)) : STEP_BYTES;
  let lastBytes = 0;
  let lastMs = -INTERVAL_MS;
  return (currentBytes) => {
    // It began again.
    if (currentBytes < lastBytes) lastBytes = 0;
    if (currentBytes !== totalBytes) {
      if (currentBytes - lastBytes <= stepBytes) return;
      const nowMs = performance.now();
      if (nowMs - lastMs < INTERVAL_MS) return;
      lastMs = nowMs;
    }
    lastBytes = currentBytes;
    emit({
      status,
      progressDetail: { current: currentBytes, total: totalBytes },
      progress: progressBar(currentBytes, totalBytes),
      id,
    });
  };
}

/** `[=====>      ]  1.2MB/9.6MB`: for clients that do not draw it themselves. */
export function progressBar(currentBytes: number, totalBytes: number): string {
  if (currentBytes <= 0 && totalBytes <= 0) return '';
  const current = formatDecimalBytes(currentBytes, 4).padStart(8);
  if (totalBytes <= 0) return current;
  const done = Math.min(BAR_LENGTH, Math.trunc(Math.trunc((currentBytes / totalBytes) * 100) / 2));
  const bar = `[${'='.repeat(done)}>${' '.repeat(BAR_LENGTH - done)}] `;
  return currentBytes > totalBytes ? bar + current : `${bar}${current}/${formatDecimalBytes(totalBytes, 4)}`;
}
