/** What a file is, to the nanosecond: statx(2) of an open descriptor. */
import { checked, libc } from './libc.ts';

const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;

const statx = libc.func(
  'int statx(int dirFd, const char *path, int flags, unsigned int mask, _Out_ uint8_t *result)',
) as (dirFd: number, path: string, flags: number, mask: number, result: Buffer) => number;

/** Numbers as the file system has them, not mapped to any namespace. */
export interface FileStatus {
  /** With the file type bits, inode(7). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Of a device node, as the two make it. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

const result = Buffer.alloc(STATX_BYTES);

/** The status of what is open, be it only as a path (O_PATH). @throws SystemCallError */
export function fileStatus(fd: number): FileStatus {
  checked('statx', statx(fd, '', AT_EMPTY_PATH, STATX_BASIC_STATS, result));
  return {
    links: result.readUInt32LE(16),
    uid: result.readUInt32LE(20),
    gid: result.readUInt32LE(24),
    mode: result.readUInt16LE(28),
    inode: result.readBigUInt64LE(32),
    sizeBytes: Number(result.readBigUInt64LE(40)),
    mtimeSeconds: Number(result.readBigInt64LE(112)),
    mtimeNanoseconds: result.readUInt32LE(120),
    deviceMajor: result.readUInt32LE(128),
    deviceMinor: result.readUInt32LE(132),
  };
}
