/** Names of a directory, getdents64(2): a piece at a time, so that nobody can make a directory too large to be looked at. */
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

const ENOENT = 2;
const PIECE_BYTES = 64 * 1024;
const NAME_OFFSET = 19;
const DOT = 0x2e;

export const DT_UNKNOWN = 0;
export const DT_DIR = 4;

const getdents64 = libc.func('long getdents64(int fd, _Out_ uint8_t *entries, size_t size)') as (
  fd: number,
  entries: Buffer,
  size: number,
) => number;

export interface DirectoryName {
  /** Bytes, one character each (latin1). */
  readonly name: string;
  /** DT_DIR and so on; DT_UNKNOWN where the file system does not tell. */
  readonly type: number;
}

/**
 * All names but `.` and `..`, in the file system's order, of a directory open for reading; none of one that was removed.
 * @throws SystemCallError
 */
export function* readDirectory(fd: number): Generator<DirectoryName, void, void> {
  const entries = Buffer.allocUnsafe(PIECE_BYTES);
  for (;;) {
    const length = getdents64(fd, entries, PIECE_BYTES);
    if (length === 0) return;
    if (length < 0) {
      const errno = koffi.errno();
      if (errno === ENOENT) return;
      throw new SystemCallError('getdents64', errno);
    }
    for (let at = 0; at < length; at += entries.readUInt16LE(at + 16)) {
      const start = at + NAME_OFFSET;
      const end = entries.indexOf(0, start);
      const isDots = entries[start] === DOT && (end === start + 1 || (entries[start + 1] === DOT && end === start + 2));
      if (!isDots) yield { name: entries.toString('latin1', start, end), type: entries[at + 18] as number };
    }
  }
}
