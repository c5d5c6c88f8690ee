/** Flags of inodes, ioctl_iflags(2). */
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const FS_TOPDIR_FL = 0x0002_0000;

const ioctl = libc.func('int ioctl(int fd, unsigned long request, _Inout_ int *flags)') as (
  fd: number,
  request: number,
  flags: Int32Array,
) => number;

/** What file systems answer that have no such flag. */
const WITHOUT_FLAG: readonly string[] = ['ENOTTY', 'ENOTSUP', 'EINVAL', 'ENOSYS'];

/**
 * Asks the file system to keep what is in different subdirectories of this one apart (FS_TOPDIR_FL, `chattr +T`): ext4 then puts each
 * new one, with its files, into a block group of its own choice, which needs no search among the inodes that others just left.
 * Returns whether the file system knows the flag; others have nothing to be asked for.
 *
 * @throws SystemCallError, or Node's error where the directory cannot be opened.
 */
export function spreadSubdirectories(directory: string): boolean {
  const descriptor = openSync(directory, 'r');
  try {
    const flags = new Int32Array(1);
    return (
      control('ioctl FS_IOC_GETFLAGS', descriptor, FS_IOC_GETFLAGS, flags, directory) &&
      control('ioctl FS_IOC_SETFLAGS', descriptor, FS_IOC_SETFLAGS, flags.map(withTopdir), directory)
    );
  } finally {
    closeSync(descriptor);
  }
}

function withTopdir(flags: number): number {
  return flags | FS_TOPDIR_FL;
}

function control(call: string, descriptor: number, request: number, flags: Int32Array, path: string): boolean {
  if (ioctl(descriptor, request, flags) >= 0) return true;
  const error = new SystemCallError(call, koffi.errno(), path);
  if (WITHOUT_FLAG.includes(error.code)) return false;
  throw error;
}
