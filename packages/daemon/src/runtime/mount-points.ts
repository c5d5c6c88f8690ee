/** The names that a launch mounts over. Most images lack some of them. */
import { closeSync, mkdirSync, writeFileSync } from 'node:fs';
import { mountTmpfs } from '../os/mount.ts';

/** Within the root; directories before what is in them. */
export const MOUNT_POINTS: ReadonlyMap<string, 'file' | 'directory'> = new Map([
  ['dev', 'directory'],
  ['proc', 'directory'],
  ['sys', 'directory'],
  ['etc/hostname', 'file'],
  ['etc/hosts', 'file'],
  ['etc/resolv.conf', 'file'],
]);
export const MOUNT_POINTS_PARENT = 'etc';

/**
 * A detached mount with nothing but the mount points. As the lowest layer it gives every image those that it lacks, where
 * making them in the container's upper directory would cost each start a dozen new files there. (Docker makes a layer of
 * such names for each container, above the image.)
 * @throws SystemCallError
 */
export function mountMountPointLayer(): number {
  const descriptor = mountTmpfs({ sizeBytes: 64 * 1024 });
  try {
    const root = `/proc/self/fd/${descriptor}`;
    mkdirSync(`${root}/${MOUNT_POINTS_PARENT}`, { mode: 0o755 });
    for (const [path, kind] of MOUNT_POINTS) {
      if (kind === 'directory') mkdirSync(`${root}/${path}`, { mode: 0o755 });
      else writeFileSync(`${root}/${path}`, '', { mode: 0o644 });
    }
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
