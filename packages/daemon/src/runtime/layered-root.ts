/**
 * Reads a file of a container's root file system as the container would see it, without mounting it: the upper directory over
 * the layers, by overlayfs' rules. All of it is hostile: the lookup goes one component at a time, never follows a link in
 * the kernel, and opens nothing but directories and regular files.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { O_PATH } from '../os/openat2.ts';
import { readLink } from '../os/read-link.ts';
import { getXattr } from '../os/xattr.ts';
import { openBeneath } from './open-beneath.ts';

const MAX_SYMLINK_HOPS = 8;
const MAX_PATH_BYTES = 4096;

export interface LayeredRead {
  /** The container's upper directory; null, or a missing one, where nothing has been written yet. */
  readonly upperPath: string | null;
  /** Directories or detached mounts, the bottom layer first, as LayerMounts leases them: overlayfs knows no opaque root. */
  readonly layerDescriptors: readonly number[];
  /** Within the root; a leading slash makes no difference. */
  readonly path: string;
  readonly maxBytes: number;
}

/**
 * The content of a regular file, symlinks followed within the root (8 at most); null where there is no such file: missing,
 * whited out, a directory or device, a link that leads nowhere or round in circles.
 * @throws TsdError bad_parameter: larger than `maxBytes`. @throws SystemCallError: input/output errors.
 */
export function readFileInLayers({ upperPath, layerDescriptors, path, maxBytes }: LayeredRead): Buffer | null {
  const upper = upperPath === null ? null : openDirectory(upperPath);
  try {
    const roots = [...(upper === null ? [] : [upper]), ...layerDescriptors.toReversed()];
    return new Lookup(roots).read(path, maxBytes);
  } finally {
    if (upper !== null) closeSync(upper);
  }
}

/** Whether the root has nothing under a name. No link is followed; what was whited out counts as there. */
export function isMissingInLayers({ upperPath, layerDescriptors, path }: Omit<LayeredRead, 'maxBytes'>): boolean {
  const upper = upperPath === null ? null : openDirectory(upperPath);
  try {
    return new Lookup([...(upper === null ? [] : [upper]), ...layerDescriptors.toReversed()]).isMissing(path);
  } finally {
    if (upper !== null) closeSync(upper);
  }
}

/** What one layer has under a name. */
type Found =
  | { readonly kind: 'directory'; readonly opaque: boolean }
  | { readonly kind: 'file' }
  | { readonly kind: 'symlink'; readonly target: Buffer }
  | { readonly kind: 'other' };

class Lookup {
  /** Top first. */
  private readonly roots: readonly number[];

  constructor(roots: readonly number[]) {
    this.roots = roots;
  }

  read(path: string, maxBytes: number): Buffer | null {
    // Byte strings: names in a layer have no encoding.
    const pending = Buffer.from(path).toString('latin1').split('/').reverse();
    /** The path so far, and for each of its directories the roots whose directories are merged there. */
    const trail: { readonly name: string; readonly roots: readonly number[] }[] = [];
    let merged = this.roots;
    let hops = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        merged = trail.pop()?.roots ?? merged;
        continue;
      }
      const here = [...trail.map((step) => step.name), name].join('/');
      if (here.length >= MAX_PATH_BYTES) return null;
      const result = this.find(merged, here);
      if (result === null || result.found.kind === 'other') return null;
      if (result.found.kind === 'directory') {
        trail.push({ name, roots: merged });
        merged = result.roots;
      } else if (result.found.kind === 'symlink') {
        if (++hops > MAX_SYMLINK_HOPS) return null;
        const target = result.found.target.toString('latin1');
        if (target.startsWith('/')) {
          trail.length = 0;
          merged = this.roots;
        }
        pending.push(...target.split('/').reverse());
      } else {
        // Anything after a file's name, be it a slash, is ENOTDIR.
        return pending.length === 0 ? readRegularFile(result.roots[0] as number, here, maxBytes) : null;
      }
    }
    return null;
  }

  isMissing(path: string): boolean {
    let merged = this.roots;
    const names = path.split('/');
    for (const length of names.keys()) {
      const result = this.find(merged, names.slice(0, length + 1).join('/'));
      if (result === null) return true;
      if (result.found.kind !== 'directory') return false;
      merged = result.roots;
    }
    return false;
  }

  /** The topmost of a name, and for a directory the roots that take part in it. */
  private find(merged: readonly number[], path: string): { found: Found; roots: readonly number[] } | null {
    const roots: number[] = [];
    for (const root of merged) {
      const found = inspect(root, path);
      if (found === null) continue;
      if (found.kind !== 'directory')
        return roots.length === 0 ? { found, roots: [root] } : { found: DIRECTORY, roots };
      roots.push(root);
      if (found.opaque) break;
    }
    return roots.length === 0 ? null : { found: DIRECTORY, roots };
  }
}

const DIRECTORY: Found = { kind: 'directory', opaque: false };

/** Null where the layer has nothing under the path. A whiteout is `other`: it hides, and cannot be read. */
function inspect(root: number, path: string): Found | null {
  const directory = openBeneath(root, path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  if (directory !== null) {
    try {
      return { kind: 'directory', opaque: getXattr(directory, 'trusted.overlay.opaque', 16)?.toString() === 'y' };
    } finally {
      closeSync(directory);
    }
  }
  const fd = openBeneath(root, path, O_PATH | constants.O_NOFOLLOW);
  if (fd === null) return null;
  try {
    const status = fstatSync(fd);
    if (status.isSymbolicLink()) return { kind: 'symlink', target: readLink(fd) };
    // A directory that has only just come is passed over: it has nothing in it yet.
    return { kind: status.isFile() ? 'file' : 'other' };
  } finally {
    closeSync(fd);
  }
}

function readRegularFile(root: number, path: string, maxBytes: number): Buffer | null {
  // Opened as a path first: opening a device or a pipe could have effects or wait.
  const handle = openBeneath(root, path, O_PATH | constants.O_NOFOLLOW);
  if (handle === null) return null;
  try {
    if (!fstatSync(handle).isFile()) return null;
    const fd = openSync(`/proc/self/fd/${handle}`, constants.O_RDONLY);
    try {
      return readBounded(fd, path, maxBytes);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(handle);
  }
}

function readBounded(fd: number, path: string, maxBytes: number): Buffer {
  // The size is only a hint, for it may change under our hands: one byte more shows whether that is all.
  let buffer: Buffer = Buffer.allocUnsafe(Math.min(fstatSync(fd).size, maxBytes) + 1);
  let length = 0;
  for (;;) {
    const bytes = readSync(fd, buffer, length, buffer.length - length, null);
    if (bytes === 0) return buffer.subarray(0, length);
    length += bytes;
    if (length > maxBytes)
      throw new TsdError('bad_parameter', `/${path} in the container's root is larger than ${maxBytes} bytes`);
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(length * 2, maxBytes + 1));
  }
}

function openDirectory(path: string): number | null {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
