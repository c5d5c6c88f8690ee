/** Which extended attributes of an image's files are kept, and how EROFS names them. */
import type { ByteString, ExtendedAttribute } from '../tar/tar-entry.ts';
import { shownName, tarError } from '../tar/tar-error.ts';

/** Marks a directory that hides everything below it (Documentation/filesystems/overlayfs.rst). Only the engine sets it. */
export const OPAQUE_XATTR: ExtendedAttribute = { name: 'trusted.overlay.opaque', value: Buffer.from('y') };

const MAX_NAME_BYTES = 255;
/** e_value_size is 16 bits wide. */
const MAX_VALUE_BYTES = 0xffff;
const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;
const S_IFDIR = 0o040000;

/** Name indexes of erofs_fs.h, longest prefix first. The two ACL names are whole names. */
const NAME_INDEXES: readonly (readonly [prefix: string, index: number])[] = [
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['trusted.', 4],
  ['security.', 6],
  ['user.', 1],
];

/**
 * Keeps user.*, trusted.*, security.capability and POSIX ACLs. Dropped without a word, as Docker drops what it does not
 * know: overlayfs' own attributes (an image must not be able to make overlayfs redirect, hide or merge), the labels of
 * other security modules (they belong to the host that set them) and the rest of system.*.
 * @throws TsdError bad_parameter: an attribute that no file system could hold.
 */
export function allowedXattrs(
  xattrs: readonly ExtendedAttribute[],
  mode: number,
  path: ByteString,
): readonly ExtendedAttribute[] {
  const kept = xattrs.filter(({ name, value }) => {
    if (name.includes('\0')) throw tarError(`an extended attribute of ${shownName(path)} has a NUL byte in its name`);
    if (!isAllowed(name, value, mode)) return false;
    if (name.length > MAX_NAME_BYTES || value.length > MAX_VALUE_BYTES)
      throw tarError(`the extended attribute ${shownName(name)} of ${shownName(path)} is too large`);
    return true;
  });
  return kept;
}

function isAllowed(name: ByteString, value: Buffer, mode: number): boolean {
  if (name === 'security.capability') return true;
  if (name === 'system.posix_acl_access') return isAcl(value) && (mode & S_IFMT) !== S_IFLNK;
  if (name === 'system.posix_acl_default') return isAcl(value) && (mode & S_IFMT) === S_IFDIR;
  if (name.startsWith('user.')) return name.length > 5 && !name.startsWith('user.overlay.');
  if (name.startsWith('trusted.')) return name.length > 8 && !name.startsWith('trusted.overlay.');
  return false;
}

/** struct posix_acl_xattr_header (version 2) and entries of 8 bytes; the kernel answers EIO for anything else. */
function isAcl(value: Buffer): boolean {
  return value.length >= 4 && value.length % 8 === 4 && value.readUInt32LE(0) === 2;
}

/** Name index and remaining name of an allowed attribute. */
export function erofsXattrName(name: ByteString): { index: number; suffix: ByteString } {
  for (const [prefix, index] of NAME_INDEXES) {
    if (name.startsWith(prefix)) return { index, suffix: name.slice(prefix.length) };
  }
  throw new Error(`no EROFS name index for ${name}`);
}
