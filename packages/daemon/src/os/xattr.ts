/** Extended attributes of open files, fgetxattr(2). */
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

const fgetxattr = libc.func('long fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)') as (
  fd: number,
  name: string,
  value: Buffer,
  size: number,
) => number;

const ENODATA = 61;
const EOPNOTSUPP = 95;

/**
 * The value of an attribute of at most `maxBytes`; null where it is not set or the file system has none.
 * @throws SystemCallError: EBADF (a descriptor opened with O_PATH), ERANGE (larger than `maxBytes`) and so on.
 */
export function getXattr(fd: number, name: string, maxBytes: number): Buffer | null {
  const value = Buffer.alloc(maxBytes);
  const length = fgetxattr(fd, name, value, maxBytes);
  if (length >= 0) return value.subarray(0, length);
  const errno = koffi.errno();
  if (errno === ENODATA || errno === EOPNOTSUPP) return null;
  throw new SystemCallError('fgetxattr', errno, name);
}
