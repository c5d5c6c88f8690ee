/** Headers of tar members as `save` writes them: regular files, owned by root, with no time. pax(1), "ustar". */
import { TAR_BLOCK_BYTES } from '../storage/tar/tar-header.ts';

/** Two blocks of zeros end an archive. */
export const TAR_END: Buffer = Buffer.alloc(2 * TAR_BLOCK_BYTES);

/** What eleven octal digits hold. */
const MAX_OCTAL_SIZE = 8 ** 11 - 1;
const MAX_NAME_BYTES = 100;

/** The 512-byte header of a regular file. Sizes from 8 GiB on are written in base 256, as GNU, Go and libarchive do. */
export function tarFileHeader(name: string, sizeBytes: number): Buffer {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    throw new RangeError(`member name ${name} is longer than ${MAX_NAME_BYTES}`);
  const header = Buffer.alloc(TAR_BLOCK_BYTES);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  if (sizeBytes <= MAX_OCTAL_SIZE) {
    header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124);
  } else {
    header.writeBigUInt64BE(BigInt(sizeBytes), 128);
    header[124] = 0x80;
  }
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** Zeros that fill the last block of a member. */
export function tarPadding(sizeBytes: number): Buffer {
  return TAR_END.subarray(0, paddedSize(sizeBytes) - sizeBytes);
}

/** The space that `sizeBytes` of content take in an archive. */
export function paddedSize(sizeBytes: number): number {
  return Math.ceil(sizeBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}
