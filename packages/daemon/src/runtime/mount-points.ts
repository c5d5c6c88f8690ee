/** The names that a launch needs in a root, and those by which programs know that they are in a container. Most images lack some of them. */
import { chmodSync, closeSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mountTmpfs } from '../os/mount.ts';

type Name =
  | { readonly kind: 'directory' }
  /** Empty. */
  | { readonly kind: 'file'; readonly mode: number }
  | { readonly kind: 'symlink'; readonly target: string };

/** Within the root; directories before what is in them. What an image has under a name stays. (moby daemon/initlayer) */
export const MOUNT_POINTS: ReadonlyMap<string, Name> = new Map<string, Name>([
  ['dev', { kind: 'directory' }],
  ['proc', { kind: 'directory' }],
  ['sys', { kind: 'directory' }],
  ['etc/hostname', { kind: 'file', mode: 0o644 }],
  ['etc/hosts', { kind: 'file', mode: 0o644 }],
  ['etc/resolv.conf', { kind: 'file', mode: 0o644 }],
  // Nothing is mounted over these: tools look for the one, and for mounts in the other.
  ['.dockerenv', { kind: 'file', mode: 0o755 }],
  ['etc/mtab', { kind: 'symlink', target: '/proc/mounts' }],
]);
export const MOUNT_POINTS_PARENT = 'etc';

/** Those that a launch must make where no layer below the image's has them; the others are made when something is mounted there. */
export const MARKS: readonly string[] = ['.dockerenv', 'etc/mtab'];

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
    for (const [path, name] of MOUNT_POINTS) {
      const at = `${root}/${path}`;
      if (name.kind === 'directory') mkdirSync(at, { mode: 0o755 });
      else if (name.kind === 'symlink') symlinkSync(name.target, at);
      else {
        writeFileSync(at, '');
        chmodSync(at, name.mode);
      }
    }
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
