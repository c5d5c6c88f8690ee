/** readlinkat(2) of a symlink that is held open. */
import { checked, libc } from './libc.ts';

const MAX_TARGET_BYTES = 4096;

const readlinkat = libc.func('long readlinkat(int fd, const char *path, _Out_ uint8_t *target, size_t size)') as (
  fd: number,
  path: string,
  target: Buffer,
  size: number,
) => number;

/** The target, as bytes, of a symlink opened with O_PATH | O_NOFOLLOW. @throws SystemCallError: ENOENT: not a symlink. */
export function readLink(fd: number): Buffer {
  const target = Buffer.alloc(MAX_TARGET_BYTES);
  return target.subarray(0, checked('readlinkat', readlinkat(fd, '', target, target.length)));
}
