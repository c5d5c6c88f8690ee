/** One file, directory, link or device of a layer. */
import type { ByteString, ExtendedAttribute, SparseExtent, TarEntry } from '../tar/tar-entry.ts';
import { shownName, tarError } from '../tar/tar-error.ts';

/** File type bits of st_mode, inode(7). */
export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFBLK = 0o060000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFMT = 0o170000;

const NO_XATTRS: readonly ExtendedAttribute[] = [];

/** One inode. Directories have `children`, symlinks `target`; files say where their content lies in the tar. */
export class LayerInode {
  /** With the file type bits. */
  mode: number;
  uid: number;
  gid: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  /** Hard links; counted when the tree is laid out, since names may still be replaced before. */
  links = 0;
  /** Position among the inodes of an image; -1 until the tree is laid out. */
  ordinal = -1;
  sizeBytes = 0;
  payloadOffset = 0;
  sparseExtents: readonly SparseExtent[] | null = null;
  target: ByteString = '';
  deviceMajor = 0;
  deviceMinor = 0;
  xattrs: readonly ExtendedAttribute[] = NO_XATTRS;
  readonly children: Map<ByteString, LayerInode> | null;

  constructor(mode: number, uid: number, gid: number, mtimeSeconds: number, mtimeNanoseconds: number) {
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.mtimeSeconds = mtimeSeconds;
    this.mtimeNanoseconds = mtimeNanoseconds;
    this.children = (mode & S_IFMT) === S_IFDIR ? new Map() : null;
  }
}

/** overlayfs hides a name with a character device 0:0 (Documentation/filesystems/overlayfs.rst). */
export function isWhiteout(inode: LayerInode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.deviceMajor === 0 && inode.deviceMinor === 0;
}

/**
 * An inode of the member's type with its content, or target, or device number, but nobody's yet.
 * @throws TsdError bad_parameter: a target with a NUL byte, a device number that Linux does not have.
 */
export function newInode(entry: TarEntry): LayerInode {
  const inode = new LayerInode(typeBits(entry), 0, 0, 0, 0);
  switch (entry.type) {
    case 'file':
      inode.sizeBytes = entry.sizeBytes;
      inode.payloadOffset = entry.payloadOffset;
      inode.sparseExtents = entry.sparseExtents;
      break;
    case 'symlink':
      if (entry.linkPath.includes('\0')) throw tarError(`the target of ${shownName(entry.path)} holds a NUL byte`);
      inode.target = entry.linkPath;
      break;
    case 'char':
    case 'block': {
      const { deviceMajor, deviceMinor } = entry;
      if (deviceMajor < 0 || deviceMajor > 0xfff || deviceMinor < 0 || deviceMinor > 0xfffff)
        throw tarError(`the device number of ${shownName(entry.path)} is out of range`);
      inode.deviceMajor = deviceMajor;
      inode.deviceMinor = deviceMinor;
      break;
    }
    default:
  }
  return inode;
}

function typeBits(entry: TarEntry): number {
  switch (entry.type) {
    case 'file':
      return S_IFREG;
    case 'directory':
      return S_IFDIR;
    case 'symlink':
      return S_IFLNK;
    case 'char':
      return S_IFCHR;
    case 'block':
      return S_IFBLK;
    case 'fifo':
      return S_IFIFO;
    default:
      throw tarError(`${shownName(entry.path)} is of an unexpected type`);
  }
}
