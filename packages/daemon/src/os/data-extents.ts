/** Where a file has data and where only holes: lseek(2) with SEEK_DATA and SEEK_HOLE. */
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
const EINVAL = 22;

const lseek = libc.func('int64_t lseek(int fd, int64_t offset, int whence)') as (
  fd: number,
  offset: number,
  whence: number,
) => number;

/** Of a tar's blocks: readers expect every piece but the last to be whole blocks. */
const ALIGN_BYTES = 512;

export interface DataExtent {
  readonly offset: number;
  readonly length: number;
}

/**
 * The pieces with data among the first `sizeBytes`, in order, beginning and, but for the file's end, ending at multiples of
 * 512. Holes that are so small that the list would grow beyond
 * `maxExtents` count as data. A file that is being written changes meanwhile: the list is within `sizeBytes` all the same.
 * @throws SystemCallError
 */
export function dataExtents(fd: number, sizeBytes: number, maxExtents: number): readonly DataExtent[] {
  let extents: DataExtent[] = [];
  let smallestHole = 1;
  for (let offset = 0; offset < sizeBytes; ) {
    const data = seek(fd, offset, SEEK_DATA, sizeBytes);
    if (data >= sizeBytes) break;
    // The end of the file counts as a hole, lseek(2). A hole at the data itself: it was made just now.
    const hole = Math.max(data + 1, seek(fd, data, SEEK_HOLE, sizeBytes));
    const start = data - (data % ALIGN_BYTES);
    const end = Math.min(sizeBytes, Math.ceil(hole / ALIGN_BYTES) * ALIGN_BYTES);
    extents.push({ offset: start, length: end - start });
    offset = end;
    while (extents.length > maxExtents) {
      smallestHole *= 2;
      extents = withoutHolesBelow(extents, smallestHole);
    }
  }
  return extents;
}

function withoutHolesBelow(extents: readonly DataExtent[], holeBytes: number): DataExtent[] {
  const joined: DataExtent[] = [];
  for (const extent of extents) {
    const last = joined.at(-1);
    if (last === undefined || extent.offset - (last.offset + last.length) >= holeBytes) joined.push(extent);
    else joined[joined.length - 1] = { offset: last.offset, length: extent.offset + extent.length - last.offset };
  }
  return joined;
}

/** Never beyond `sizeBytes`, which also stands for "there is no more". */
function seek(fd: number, offset: number, whence: number, sizeBytes: number): number {
  const found = lseek(fd, offset, whence);
  if (found >= 0) return Math.min(found, sizeBytes);
  const errno = koffi.errno();
  if (errno === ENXIO) return sizeBytes;
  // A file system that knows nothing of holes: all of it is data.
  if (errno === EINVAL) return whence === SEEK_DATA ? offset : sizeBytes;
  throw new SystemCallError('lseek', errno);
}
