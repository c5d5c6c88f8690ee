/** What direct I/O on a file asks of its callers, statx(2) with STATX_DIOALIGN (Linux 6.1). */
import { checked, libc } from './libc.ts';

const AT_EMPTY_PATH = 0x1000;
const STATX_DIOALIGN = 0x2000;
const STATX_BYTES = 256;
const STX_MASK = 0;
const STX_DIO_MEM_ALIGN = 0x98;
const STX_DIO_OFFSET_ALIGN = 0x9c;

const statx = libc.func(
  'int statx(int dirFd, const char *path, int flags, unsigned int mask, _Out_ uint8_t *result)',
) as (dirFd: number, path: string, flags: number, mask: number, result: Buffer) => number;

/**
 * Whether direct I/O works on the open file at multiples of `alignBytes` in the file and in memory. False where it does not work at all, or the file
 * system does not say.
 */
export function allowsDirectIo(fd: number, alignBytes: number): boolean {
  const result = Buffer.alloc(STATX_BYTES);
  checked('statx', statx(fd, '', AT_EMPTY_PATH, STATX_DIOALIGN, result));
  if ((result.readUInt32LE(STX_MASK) & STATX_DIOALIGN) === 0) return false;
  const memoryAlign = result.readUInt32LE(STX_DIO_MEM_ALIGN);
  const offsetAlign = result.readUInt32LE(STX_DIO_OFFSET_ALIGN);
  return memoryAlign > 0 && memoryAlign <= alignBytes && offsetAlign > 0 && offsetAlign <= alignBytes;
}
