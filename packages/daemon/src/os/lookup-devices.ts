/** Finds the device nodes of the host that a container asks for. */
import { lstatSync, readdirSync, realpathSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { TsdError } from '@tsd/shared/errors';

/** A device node of the host and the name and rights that the container gets it with. */
export interface HostDevice {
  /** Absolute path of the host's node. */
  readonly hostPath: string;
  /** Absolute path in the container. */
  readonly path: string;
  /** What the container may do with it: some of `r`, `w`, `m`. */
  readonly permissions: string;
  readonly type: 'char' | 'block';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

interface Mapping {
  readonly PathOnHost?: string | undefined;
  readonly PathInContainer?: string | undefined;
  readonly CgroupPermissions?: string | undefined;
}

/** Directories and nodes of /dev that every container has its own of (runc, libcontainer/devices GetDevices). */
const OWN_IN_CONTAINER = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', '.lxc', '.lxd-mounts', '.udev', 'ptmx']);

function describe(stats: Stats, hostPath: string, path: string, permissions: string): HostDevice | null {
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return null;
  // makedev(3): the kernel's split of a 64-bit device number.
  const device = BigInt(stats.rdev);
  return {
    hostPath,
    path,
    permissions,
    type: stats.isBlockDevice() ? 'block' : 'char',
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn)),
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
  };
}

function walk(hostDirectory: string, directory: string, permissions: string, skip: ReadonlySet<string>): HostDevice[] {
  return readdirSync(hostDirectory, { withFileTypes: true }).flatMap((entry) => {
    if (skip.has(entry.name)) return [];
    const hostPath = posix.join(hostDirectory, entry.name);
    const path = posix.join(directory, entry.name);
    if (entry.isDirectory()) return walk(hostPath, path, permissions, skip);
    const stats = lstatSync(hostPath, { throwIfNoEntry: false });
    return stats === undefined ? [] : (describe(stats, hostPath, path, permissions) ?? []);
  });
}

/**
 * The nodes for HostConfig.Devices (a directory stands for all nodes beneath it) and, for a privileged container, all of
 * the host's /dev. Where two have the same path in the container, the one asked for by name wins.
 * @throws TsdError where a path is missing or no device.
 */
export function lookupDevices(mappings: readonly Mapping[], privileged: boolean): HostDevice[] {
  const found = new Map<string, HostDevice>();
  if (privileged) for (const device of walk('/dev', '/dev', 'rwm', OWN_IN_CONTAINER)) found.set(device.path, device);
  for (const mapping of mappings) {
    const hostPath = mapping.PathOnHost ?? '';
    const path = posix.normalize(mapping.PathInContainer || hostPath);
    const permissions = mapping.CgroupPermissions || 'rwm';
    const fail = (reason: string): TsdError =>
      new TsdError(
        'bad_parameter',
        `error gathering device information while adding custom device "${hostPath}": ${reason}`,
      );
    let resolved: string;
    try {
      resolved = realpathSync(hostPath);
    } catch {
      throw fail('no such file or directory');
    }
    const stats = lstatSync(resolved);
    if (stats.isDirectory()) {
      for (const device of walk(resolved, path, permissions, new Set())) found.set(device.path, device);
      continue;
    }
    const device = describe(stats, resolved, path, permissions);
    if (device === null) throw fail('not a device node');
    found.set(device.path, device);
  }
  return [...found.values()];
}
