/** A small ext4 file system on a loop device, to be filled up by a test. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from './leaks.ts';

export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** Bytes that root can still write. */
  freeBytes(): number;
  /** Takes space away until only so much is left, in a file that `release` removes. */
  fill(leaveBytes: number): void;
  release(): void;
  /** Unmounts it; the loop device goes with the mount. */
  remove(): void;
}

const BALLAST = 'ballast';

/** Why {@link makeSmallDisk} cannot work here, or false. */
export function smallDiskMissing(): string | false {
  if (!existsSync('/dev/loop-control')) return 'the host has no loop devices';
  return ['/sbin/mkfs.ext4', '/usr/sbin/mkfs.ext4'].some(existsSync) ? false : 'e2fsprogs is not installed';
}

/** @throws Error where loop devices cannot be had, or mkfs.ext4 is missing */
export function makeSmallDisk(sizeBytes: number): SmallDisk {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  const image = join(directory, 'disk.img');
  const path = join(directory, 'disk');
  mkdirSync(path);
  closeSync(openSync(image, 'w'));
  truncateSync(image, sizeBytes);
  // No blocks kept back for root, and all inode tables written now: what is free stays as the test leaves it.
  execFileSync('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image]);
  execFileSync('mount', ['-o', 'loop', image, path]);
  const ballast = join(path, BALLAST);
  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  return {
    path,
    freeBytes,
    fill(leaveBytes) {
      // ext4 gives deleted blocks back when its journal commits: all that are to come must be here before they are counted.
      execFileSync('sync', ['--file-system', path]);
      const descriptor = openSync(ballast, 'a');
      const piece = Buffer.alloc(64 * 1024);
      try {
        // Written, not allocated with fallocate(1), and a block at a time in the end: to the last one if need be.
        for (let left = freeBytes() - leaveBytes; left > 0; left = freeBytes() - leaveBytes) {
          writeSync(descriptor, piece, 0, Math.min(piece.length, left));
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(descriptor);
      }
    },
    release: () => rmSync(ballast, { force: true }),
    remove() {
      execFileSync('umount', [path]);
      rmSync(directory, { recursive: true });
    },
  };
}
