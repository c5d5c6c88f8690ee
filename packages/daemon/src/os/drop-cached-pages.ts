/** posix_fadvise(2), POSIX_FADV_DONTNEED. */
import { libc } from './libc.ts';

const POSIX_FADV_DONTNEED = 4;

const posixFadvise = libc.func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)') as (
  fd: number,
  offset: number,
  length: number,
  advice: number,
) => number;

/**
 * Lets the kernel forget what it holds of a part of a file in memory, so that the next read sees the disk and other files'
 * pages stay. Unwritten pages are kept. Only a hint. @param lengthBytes 0: up to the end
 */
export function dropCachedPages(fd: number, offset: number, lengthBytes: number): void {
  posixFadvise(fd, offset, lengthBytes, POSIX_FADV_DONTNEED);
}
