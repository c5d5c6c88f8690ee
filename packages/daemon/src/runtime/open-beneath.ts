/** Opens what a container, or an image, has under a path: no symlink is followed, no mount crossed, the root never left. */
import { SystemCallError } from '../os/libc.ts';
import {
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  tryOpenat2,
} from '../os/openat2.ts';

/** ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP. */
const NOT_THERE: ReadonlySet<number> = new Set([2, 20, 36, 40]);
const RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

/**
 * Null where there is no such name, or not of the kind asked for. A name may vanish or change while a container runs.
 * @param path bytes, one character each (latin1); '' is the root itself
 * @throws SystemCallError
 */
export function openBeneath(root: number, path: string, flags: number): number | null {
  const result = tryOpenat2({ dirFd: root, path: Buffer.from(path || '.', 'latin1'), flags, resolve: RESOLVE });
  if (result >= 0) return result;
  if (NOT_THERE.has(-result)) return null;
  throw new SystemCallError('openat2', -result, path);
}
