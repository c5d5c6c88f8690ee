/** Loop devices, loop(4): a file as a block device, for file systems that cannot be mounted from a file directly. */
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { checked, libc, SystemCallError } from './libc.ts';

export const LOOP_CONTROL = '/dev/loop-control';

const LOOP_CTL_GET_FREE = 0x4c82;
/** Since Linux 5.8. */
const LOOP_CONFIGURE = 0x4c0a;
/** struct loop_config: u32 fd, u32 block size, struct loop_info64 (232 bytes), u64 reserved[8]. */
const LOOP_CONFIG_BYTES = 304;
const LOOP_CONFIG_BLOCK_SIZE = 4;
const LOOP_CONFIG_FLAGS = 8 + 52;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
const EBUSY = 16;
/** Others may take the free device that the kernel named; the next one is asked for then. */
const MAX_ATTEMPTS = 64;

const ioctlNone = libc.func('int ioctl(int fd, unsigned long request)') as (fd: number, request: number) => number;
const ioctlBytes = libc.func('int ioctl(int fd, unsigned long request, const uint8_t *argument)') as (
  fd: number,
  request: number,
  argument: Buffer,
) => number;

export interface LoopDevice {
  readonly path: string;
  /** Keeps the device alive until it is mounted. */
  readonly descriptor: number;
}

/**
 * A read-only block device with the file's content (whole 512-byte sectors), in logical blocks of that size, or with 0 of one
 * that allows direct I/O on the file. It goes by itself when nobody has it open or mounted any more: the caller closes the
 * descriptor once it is mounted.
 * @throws SystemCallError, or Node's error where /dev/loop-control is missing.
 */
export function attachLoopDevice(file: number, blockBytes: 512 | 0): LoopDevice {
  const control = openSync(LOOP_CONTROL, 'r+');
  try {
    for (let attempt = 1; ; attempt++) {
      const path = `/dev/loop${checked('ioctl LOOP_CTL_GET_FREE', ioctlNone(control, LOOP_CTL_GET_FREE))}`;
      const descriptor = openSync(path, 'r');
      const config = Buffer.alloc(LOOP_CONFIG_BYTES);
      config.writeUInt32LE(file, 0);
      config.writeUInt32LE(blockBytes, LOOP_CONFIG_BLOCK_SIZE);
      config.writeUInt32LE(LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, LOOP_CONFIG_FLAGS);
      if (ioctlBytes(descriptor, LOOP_CONFIGURE, config) >= 0) return { path, descriptor };
      const errno = koffi.errno();
      closeSync(descriptor);
      if (errno !== EBUSY || attempt === MAX_ATTEMPTS) throw new SystemCallError('ioctl LOOP_CONFIGURE', errno, path);
    }
  } finally {
    closeSync(control);
  }
}
