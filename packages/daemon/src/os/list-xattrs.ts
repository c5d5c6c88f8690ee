/** All extended attributes of a file that is open, be it only as a path: listxattr(2), getxattr(2). */
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

/** XATTR_LIST_MAX and XATTR_SIZE_MAX, linux/limits.h. */
const MAX_LIST_BYTES = 65_536;
const MAX_VALUE_BYTES = 65_536;
const MAX_ATTEMPTS = 8;
const ENODATA = 61;
const EOPNOTSUPP = 95;
const ERANGE = 34;

const listxattr = libc.func('long listxattr(const char *path, _Out_ uint8_t *list, size_t size)') as (
  path: string,
  list: Buffer,
  size: number,
) => number;
const getxattr = libc.func(
  'long getxattr(const char *path, const uint8_t *name, _Out_ uint8_t *value, size_t size)',
) as (path: string, name: Buffer, value: Buffer, size: number) => number;

export interface Xattr {
  /** Bytes, one character each (latin1). */
  readonly name: string;
  readonly value: Buffer;
}

const NONE: readonly Xattr[] = [];
const list = Buffer.alloc(MAX_LIST_BYTES);
const value = Buffer.alloc(MAX_VALUE_BYTES);

/**
 * The attributes of an open file; of a symlink opened with O_PATH | O_NOFOLLOW its own. The way leads through /proc,
 * because the calls on descriptors refuse O_PATH, and devices and pipes must not be opened. One that goes meanwhile is left
 * out.
 * @throws SystemCallError
 */
export function listXattrs(fd: number): readonly Xattr[] {
  const path = `/proc/self/fd/${fd}`;
  const length = attempt('listxattr', () => listxattr(path, list, MAX_LIST_BYTES));
  if (length === null || length === 0) return NONE;
  const names = list.toString('latin1', 0, length - 1).split('\0');
  return names.flatMap((name) => {
    const bytes = attempt('getxattr', () => getxattr(path, Buffer.from(`${name}\0`, 'latin1'), value, MAX_VALUE_BYTES));
    return bytes === null ? [] : [{ name, value: Buffer.from(value.subarray(0, bytes)) }];
  });
}

/** Null where there is no such attribute, or the file system has none. A length that changes meanwhile is asked again. */
function attempt(syscall: string, call: () => number): number | null {
  for (let attempts = 1; ; attempts++) {
    const length = call();
    if (length >= 0) return length;
    const errno = koffi.errno();
    if (errno === ENODATA || errno === EOPNOTSUPP) return null;
    if (errno !== ERANGE || attempts === MAX_ATTEMPTS) throw new SystemCallError(syscall, errno);
  }
}
