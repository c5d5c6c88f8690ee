/** Headers of tar members as `save` writes them: regular files, owned by root, with no time. pax(1), "ustar". */
import { encodeMember, paddingBytes } from '../storage/tar/encode-member.ts';
import { TAR_BLOCK_BYTES } from '../storage/tar/tar-header.ts';

/** Two blocks of zeros end an archive. */
export const TAR_END: Buffer = Buffer.alloc(2 * TAR_BLOCK_BYTES);

const MAX_NAME_BYTES = 100;

/** The 512-byte header of a regular file. @param name ASCII */
export function tarFileHeader(name: string, sizeBytes: number): Buffer {
  if (name.length > MAX_NAME_BYTES) throw new RangeError(`member name ${name} is longer than ${MAX_NAME_BYTES}`);
  return encodeMember({
    type: 'file',
    path: name,
    linkPath: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    mtimeNanoseconds: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    sizeBytes,
    xattrs: [],
    extents: null,
  });
}

/** Zeros that fill the last block of a member. */
export function tarPadding(sizeBytes: number): Buffer {
  return TAR_END.subarray(0, paddingBytes(sizeBytes));
}

/** The space that `sizeBytes` of content take in an archive. */
export function paddedSize(sizeBytes: number): number {
  return sizeBytes + paddingBytes(sizeBytes);
}
