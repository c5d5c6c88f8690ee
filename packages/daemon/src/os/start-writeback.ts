/** sync_file_range(2): lets the kernel begin to write a large file to the disk while it still grows. */
import { libc } from './libc.ts';

const SYNC_FILE_RANGE_WRITE = 2;

const syncFileRange = libc.func('int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)') as {
  async(
    fd: number,
    offset: number,
    length: number,
    flags: number,
    callback: (error: Error | null, result: number) => void,
  ): void;
};

/**
 * Starts writing a part of a file to the disk, in the background. Resolves when that is under way; the descriptor must stay
 * open until then. Only a hint: it neither promises nor reports anything, an fsync is still needed and tells of errors.
 */
export function startWriteback(fd: number, offset: number, lengthBytes: number): Promise<void> {
  return new Promise((resolve) => {
    syncFileRange.async(fd, offset, lengthBytes, SYNC_FILE_RANGE_WRITE, () => resolve());
  });
}
