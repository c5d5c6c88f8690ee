/** The new mount API (fsopen(2), fsconfig(2), fsmount(2)), for what the daemon mounts itself: layers. */
import { closeSync, openSync, readSync } from 'node:fs';
import koffi from 'koffi';
import { allowsDirectIo } from './direct-io.ts';
import { checked, libc, SystemCallError } from './libc.ts';
import { attachLoopDevice, type LoopDevice } from './loop-device.ts';

/** Since Linux 5.2 new system calls have the same number on every architecture. */
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NOSUID = 2;
const MOUNT_ATTR_NODEV = 4;
const MOUNT_ATTR_NOEXEC = 8;
/** Alignment of all content in an image that has devices, and in one that has none. */
const INDEX_BLOCK_BYTES = 512;
const COPY_BLOCK_BYTES = 4096;
/** "Block device required"; Node has no name for it. */
const ENOTBLK = 15;

const syscallFsopen = libc.func('long syscall(long number, const char *name, long flags)') as (
  number: number,
  name: string,
  flags: number,
) => number;
const syscallFsconfig = libc.func(
  'long syscall(long number, long fd, long command, const char *key, const char *value, long aux)',
) as (number: number, fd: number, command: number, key: string | null, value: string | null, aux: number) => number;
const syscallFsmount = libc.func('long syscall(long number, long fd, long flags, long attributes)') as (
  number: number,
  fd: number,
  flags: number,
  attributes: number,
) => number;

export interface LayerImageFiles {
  readonly erofsPath: string;
  /** The image's extra devices, in the order of its device table. */
  readonly devicePaths: readonly string[];
}

export interface LayerImageMount {
  readonly descriptor: number;
  /** What it is mounted from: the image, then its extra devices. */
  readonly sources: readonly string[];
}

/**
 * Mounts a layer's EROFS image, read-only. The descriptor is of the *detached* mount: it is in no mount table,
 * vanishes when the last descriptor (and the last clone, open_tree(2)) is closed, and the image's files may be unlinked
 * meanwhile. The caller closes it with closeSync.
 *
 * The files are mounted directly (Linux 6.12); with `loopDevices`, and where their file system does not allow that (tmpfs,
 * overlayfs), through loop devices that go with the mount.
 *
 * The mount is nosuid, nodev and noexec: on the host nothing of an image can be run or opened as a device through it.
 * Overlayfs above it is not affected: it recognises whiteouts by the inode's type without opening them, and set-user-ID
 * bits, devices and execution are judged by the flags of the overlay's own mount.
 *
 * @throws SystemCallError with what the kernel says about it; ENODEV: no EROFS.
 */
export function mountLayerImage(
  { erofsPath, devicePaths }: LayerImageFiles,
  { loopDevices }: { readonly loopDevices: boolean },
): LayerImageMount {
  const files: number[] = [];
  try {
    for (const path of [erofsPath, ...devicePaths]) files.push(openSync(path, 'r'));
    if (loopDevices) return mountThroughLoopDevices(files, erofsPath);
    try {
      // fsconfig takes strings of at most 255 bytes, so the files are named by descriptor.
      const sources = files.map((fd) => `/proc/self/fd/${fd}`);
      const blockBytes = devicePaths.length > 0 ? INDEX_BLOCK_BYTES : COPY_BLOCK_BYTES;
      const directIo = files.every((fd) => allowsDirectIo(fd, blockBytes));
      return { descriptor: mountErofs(sources, erofsPath, { directIo }), sources };
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.errno !== ENOTBLK) throw error;
      return mountThroughLoopDevices(files, erofsPath);
    }
  } finally {
    for (const fd of files) closeSync(fd);
  }
}

/**
 * One more detached mount of an image that is mounted through loop devices and stays so meanwhile: of the same superblock, so
 * that pages are cached once. For kernels that cannot clone a detached mount.
 * @throws SystemCallError
 */
export function mountAgain({ sources }: LayerImageMount): number {
  return mountErofs(sources, sources[0] as string, { directIo: false });
}

/**
 * A new, empty tmpfs(5), its root with mode 0755. The descriptor is of the detached mount, as `mountLayerImage`'s; it is
 * nosuid, nodev and noexec too. The caller closes it.
 * @throws SystemCallError
 */
export function mountTmpfs({ sizeBytes }: { readonly sizeBytes: number }): number {
  const context = checked('fsopen', syscallFsopen(SYS_FSOPEN, 'tmpfs', FSOPEN_CLOEXEC), 'tmpfs');
  try {
    configure(context, FSCONFIG_SET_STRING, 'size', String(sizeBytes), 'tmpfs');
    configure(context, FSCONFIG_SET_STRING, 'mode', '0755', 'tmpfs');
    configure(context, FSCONFIG_CMD_CREATE, null, null, 'tmpfs');
    const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    return checked('fsmount', syscallFsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes), 'tmpfs');
  } finally {
    closeSync(context);
  }
}

function mountThroughLoopDevices(files: readonly number[], erofsPath: string): LayerImageMount {
  const devices: LoopDevice[] = [];
  try {
    const blockBytes = files.length > 1 ? INDEX_BLOCK_BYTES : 0;
    for (const fd of files) devices.push(attachLoopDevice(fd, blockBytes));
    const sources = devices.map(({ path }) => path);
    return { descriptor: mountErofs(sources, erofsPath, { directIo: false }), sources };
  } finally {
    for (const { descriptor } of devices) closeSync(descriptor);
  }
}

/** @param sources the image, then its extra devices. @param shown names the image in errors. */
function mountErofs(sources: readonly string[], shown: string, { directIo }: { directIo: boolean }): number {
  const context = checked('fsopen', syscallFsopen(SYS_FSOPEN, 'erofs', FSOPEN_CLOEXEC), 'erofs');
  try {
    for (const [i, source] of sources.entries())
      configure(context, FSCONFIG_SET_STRING, i === 0 ? 'source' : 'device', source, shown);
    configure(context, FSCONFIG_SET_FLAG, 'ro', null, shown);
    // Without direct I/O every page is cached twice, once for the file in the image and once for the tar. The option is
    // known since Linux 6.14. The kernel then reads single blocks, which a disk with larger sectors refuses.
    if (directIo && syscallFsconfig(SYS_FSCONFIG, context, FSCONFIG_SET_FLAG, 'directio', null, 0) < 0)
      readContextLog(context);
    configure(context, FSCONFIG_CMD_CREATE, null, null, shown);
    const attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    return checked('fsmount', syscallFsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes), shown);
  } finally {
    closeSync(context);
  }
}

function configure(context: number, command: number, key: string | null, value: string | null, path: string): void {
  if (syscallFsconfig(SYS_FSCONFIG, context, command, key, value, 0) >= 0) return;
  const error = new SystemCallError('fsconfig', koffi.errno(), path);
  const log = readContextLog(context);
  if (log !== '') error.message += ` (${log})`;
  throw error;
}

/** What the kernel noted about a file system context, fsopen(2): one message each read. */
function readContextLog(context: number): string {
  const lines: string[] = [];
  const buffer = Buffer.alloc(1024);
  for (;;) {
    try {
      lines.push(buffer.toString('utf8', 0, readSync(context, buffer)).trim());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENODATA') return lines.join('; ');
      throw error;
    }
  }
}
