/**
 * Layers as registries hold them, compressed: `<root>/sha256/<hex of the digest>`. They are kept so that a push sends exactly
 * what was pulled; no container needs them. A blob is either there and complete or not there.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DoomedFiles } from './doomed-files.ts';
import { fileSizeBytes } from './file-size.ts';
import { digestHex, isSha256Digest } from './sha256-digest.ts';
import { syncPath } from './sync-path.ts';

export interface BlobStore {
  has(digest: string): boolean;
  /** Where the blob lies, or would. @throws TsdError bad_parameter for what is no sha256 digest */
  path(digest: string): string;
  /**
   * Renames a finished, synchronised file into place. It must be on the same file system, and its digest must have been
   * verified. A blob that is there already is replaced: by the same bytes.
   */
  adopt(file: string, digest: string): Promise<void>;
  /** Does nothing where the blob is not there. Who has it open can read on. */
  remove(digest: string): Promise<void>;
  /** Digests of all blobs. */
  list(): Promise<string[]>;
}

/**
 * @param root the directory of all blobs; made where missing, when the first one comes
 * @param doomed takes removed blobs; without it they are deleted at once
 */
export function createBlobStore({ root, doomed }: { readonly root: string; readonly doomed?: DoomedFiles }): BlobStore {
  const directory = join(root, 'sha256');
  const path = (digest: string): string => join(directory, digestHex(digest));
  return {
    has: (digest) => existsSync(path(digest)),
    path,
    async adopt(file, digest) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await rename(file, path(digest));
      await syncPath(directory);
    },
    async remove(digest) {
      if (doomed === undefined) await rm(path(digest), { force: true });
      else await doomed.doom(path(digest), await fileSizeBytes(path(digest)));
    },
    async list() {
      try {
        return (await readdir(directory)).map((name) => `sha256:${name}`).filter(isSha256Digest);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    },
  };
}
