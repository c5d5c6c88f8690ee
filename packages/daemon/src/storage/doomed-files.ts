/** Deletes files and directories: out of sight at once, and where that takes long, from the disk in the background. */
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Up to this size deleting takes a few milliseconds. */
const AT_ONCE_BYTES = 32 * 1024 * 1024;
/** How what waits for its deletion is named; a daemon that was killed leaves some for the next one. */
export const DOOMED_PREFIX = 'layer-removed-';

export interface DoomedFiles {
  /** Takes it out of its place. Does nothing where it is not there. @throws what rename(2) or a deletion at once fails with */
  doom(path: string, sizeBytes: number): Promise<void>;
  /** When all that was doomed is gone. */
  idle(): Promise<void>;
}

/**
 * @param directory takes what waits; on the same file system, made where missing
 * @param onError told of a deletion in the background that failed; the next daemon tries again
 */
export function createDoomedFiles({
  directory,
  onError,
}: {
  readonly directory: string;
  readonly onError: (path: string, error: unknown) => void;
}): DoomedFiles {
  const deletions = new Set<Promise<void>>();
  let count = 0;
  return {
    async doom(path, sizeBytes) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      // No directory of its own: a full disk has no room for one, and this is what makes some.
      const doomed = join(directory, `${DOOMED_PREFIX}${++count}-${basename(path)}`);
      try {
        await rename(path, doomed);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        throw error;
      }
      const deleted = rm(doomed, { recursive: true, force: true });
      if (sizeBytes <= AT_ONCE_BYTES) return deleted;
      const deletion = deleted
        .catch((error: unknown) => onError(doomed, error))
        .finally(() => deletions.delete(deletion));
      deletions.add(deletion);
    },
    async idle() {
      while (deletions.size > 0) await Promise.all(deletions);
    },
  };
}
