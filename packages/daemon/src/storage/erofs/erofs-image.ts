/** Writes a layer tree as an EROFS image. */
import { type DirectoryEntry, writeDirectoryBlock } from './directory-blocks.ts';
import {
  CHUNK_FORMAT_INDEXES,
  CHUNK_INDEX_BYTES,
  DEVICE_SLOT_BYTES,
  EXTENDED_INODE_BYTES,
  FEATURE_COMPAT_MTIME,
  FEATURE_INCOMPAT_CHUNKED_FILE,
  FEATURE_INCOMPAT_DEVICE_TABLE,
  FILE_TYPE_BLOCK,
  FILE_TYPE_CHAR,
  FILE_TYPE_DIRECTORY,
  FILE_TYPE_FIFO,
  FILE_TYPE_REGULAR,
  FILE_TYPE_SYMLINK,
  INODE_SLOT_BYTES,
  LAYOUT_CHUNK_BASED,
  LAYOUT_FLAT_INLINE,
  NULL_BLOCK,
  SUPER_BLOCK_BYTES,
  SUPER_BLOCK_OFFSET,
  SUPER_DEVICES_OFFSET,
  SUPER_MAGIC,
  XATTR_ENTRY_BYTES,
  XATTR_HEADER_BYTES,
} from './erofs-format.ts';
import {
  type ErofsLayout,
  layOutErofs,
  metadataOffset,
  type PlacedDirectory,
  roundUp,
  xattrSize,
} from './erofs-layout.ts';
import { copiedIndex, type FileChunks, type FilePlacement, HOLE } from './file-placement.ts';
import { type LayerInode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from './layer-inode.ts';
import type { LayerTree } from './layer-tree.ts';
import { erofsXattrName } from './layer-xattrs.ts';

const WINDOW_BYTES = 256 * 1024;

export interface ErofsImageOptions {
  readonly placement: FilePlacement;
  /** 16 bytes. Each layer needs one of its own: overlayfs tells lower file systems apart by it. */
  readonly uuid: Uint8Array;
}

/**
 * The image, in pieces and in order. Pure but for what `placement` reads. Deterministic: the same tree gives the same
 * bytes. The tree must not change meanwhile.
 */
export function* encodeErofsImage(tree: LayerTree, { placement, uuid }: ErofsImageOptions): Generator<Buffer> {
  const layout = layOutErofs(tree, placement);
  let bytes = 0;
  for (const encode of [encodeHead, encodeInodes, encodeData]) {
    for (const piece of encode(layout, placement, uuid)) {
      bytes += piece.length;
      yield piece;
    }
  }
  const totalBytes = layout.totalBlocks * layout.blockBytes;
  if (bytes < totalBytes) yield Buffer.alloc(totalBytes - bytes);
}

/** Super block and device table. */
function* encodeHead(layout: ErofsLayout, placement: FilePlacement, uuid: Uint8Array): Generator<Buffer> {
  const { blockBytes } = layout;
  const devices = placement.deviceSizesBytes;
  const head = Buffer.alloc(metadataOffset(blockBytes, devices.length));
  const at = SUPER_BLOCK_OFFSET;
  head.writeUInt32LE(SUPER_MAGIC, at);
  head.writeUInt32LE(FEATURE_COMPAT_MTIME, at + 8);
  head[at + 12] = placement.blockBits;
  head.writeUInt16LE((layout.offsets[0] as number) / INODE_SLOT_BYTES, at + 14);
  head.writeBigUInt64LE(BigInt(layout.inodes.length), at + 16);
  head.writeUInt32LE(layout.totalBlocks, at + 36);
  head.set(uuid.subarray(0, 16), at + 48);
  head.writeUInt32LE(FEATURE_INCOMPAT_CHUNKED_FILE | (devices.length > 0 ? FEATURE_INCOMPAT_DEVICE_TABLE : 0), at + 80);
  head.writeUInt16LE(devices.length, at + SUPER_DEVICES_OFFSET);
  head.writeUInt16LE((at + SUPER_BLOCK_BYTES) / DEVICE_SLOT_BYTES, at + 88);
  devices.forEach((sizeBytes, i) => {
    head.writeUInt32LE(Math.ceil(sizeBytes / blockBytes), at + SUPER_BLOCK_BYTES + i * DEVICE_SLOT_BYTES + 64);
  });
  yield head;
}

/** Inodes with their attributes, chunk indexes and inline data, up to the block where the data begins. */
function* encodeInodes(layout: ErofsLayout, placement: FilePlacement): Generator<Buffer> {
  const { inodes, offsets, dataOffset } = layout;
  const offsetOf = (index: number): number => (index < inodes.length ? (offsets[index] as number) : dataOffset);
  for (let index = 0; index < inodes.length; ) {
    // A window holds whole inodes with all that belongs to them: it ends where the first of the next one begins.
    const start = offsetOf(index);
    let next = index + 1;
    while (next < inodes.length && offsetOf(next) - start < WINDOW_BYTES) next++;
    const window = Buffer.alloc(offsetOf(next) - start);
    for (; index < next; index++)
      encodeInode(window, offsetOf(index) - start, inodes[index] as LayerInode, layout, placement);
    yield window;
  }
}

function encodeInode(
  target: Buffer,
  at: number,
  inode: LayerInode,
  layout: ErofsLayout,
  placement: FilePlacement,
): void {
  const dataLayout = layout.layouts[inode.ordinal] as number;
  const xattrBytes = xattrSize(inode);
  target.writeUInt16LE(1 | (dataLayout << 1), at);
  target.writeUInt16LE(xattrBytes === 0 ? 0 : 1 + (xattrBytes - XATTR_HEADER_BYTES) / 4, at + 2);
  target.writeUInt16LE(inode.mode, at + 4);
  writeInt64(target, at + 8, inode.sizeBytes);
  target.writeUInt32LE(layout.firstBlocks[inode.ordinal] as number, at + 16);
  target.writeUInt32LE(inode.ordinal + 1, at + 20);
  target.writeUInt32LE(inode.uid, at + 24);
  target.writeUInt32LE(inode.gid, at + 28);
  writeInt64(target, at + 32, inode.mtimeSeconds);
  target.writeUInt32LE(inode.mtimeNanoseconds, at + 40);
  target.writeUInt32LE(inode.links, at + 44);
  if (xattrBytes > 0) encodeXattrs(target, at + EXTENDED_INODE_BYTES, inode);
  const body = at + EXTENDED_INODE_BYTES + xattrBytes;
  const type = inode.mode & S_IFMT;
  if (type === S_IFCHR || type === S_IFBLK) {
    const { deviceMajor: major, deviceMinor: minor } = inode;
    target.writeUInt32LE(((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0, at + 16);
  } else if (dataLayout === LAYOUT_CHUNK_BASED) {
    encodeChunks(target, at, roundUp(body, CHUNK_INDEX_BYTES), inode, layout, placement);
  } else if (dataLayout === LAYOUT_FLAT_INLINE) {
    encodeTail(target, body, inode, layout, placement);
  }
}

/** What lies beside the inode: the last entries of a directory, the last bytes of a file, or a whole symlink. */
function encodeTail(
  target: Buffer,
  body: number,
  inode: LayerInode,
  layout: ErofsLayout,
  placement: FilePlacement,
): void {
  const directory = layout.directories.get(inode);
  if (directory !== undefined) {
    const count = directory.counts.at(-1) as number;
    const entries = directoryEntries(inode, directory, layout, directory.names.length - count, count);
    writeDirectoryBlock(target, body, entries);
  } else if ((inode.mode & S_IFMT) === S_IFREG) {
    const tailBytes = inode.sizeBytes % layout.blockBytes;
    placement.readContent(inode, inode.sizeBytes - tailBytes, tailBytes).copy(target, body);
  } else {
    target.write(inode.target, body, 'latin1');
  }
}

function encodeXattrs(target: Buffer, start: number, inode: LayerInode): void {
  let at = start + XATTR_HEADER_BYTES;
  for (const { name, value } of inode.xattrs) {
    const { index, suffix } = erofsXattrName(name);
    target[at] = suffix.length;
    target[at + 1] = index;
    target.writeUInt16LE(value.length, at + 2);
    target.write(suffix, at + XATTR_ENTRY_BYTES, 'latin1');
    value.copy(target, at + XATTR_ENTRY_BYTES + suffix.length);
    at += roundUp(XATTR_ENTRY_BYTES + suffix.length + value.length, 4);
  }
}

function encodeChunks(
  target: Buffer,
  inodeAt: number,
  start: number,
  inode: LayerInode,
  layout: ErofsLayout,
  placement: FilePlacement,
): void {
  const { chunkBits, addresses } = layout.copied.get(inode) ?? (placement.place(inode) as FileChunks);
  target.writeUInt32LE(CHUNK_FORMAT_INDEXES | chunkBits, inodeAt + 16);
  const firstCopied = layout.firstBlocks[inode.ordinal] as number;
  let at = start;
  for (const address of addresses) {
    target.writeUInt16LE(address >= 0 ? 1 : 0, at + 2);
    if (address >= 0) target.writeUInt32LE(address, at + 4);
    else
      target.writeUInt32LE(address === HOLE ? NULL_BLOCK : firstCopied + copiedIndex(address) * 2 ** chunkBits, at + 4);
    at += CHUNK_INDEX_BYTES;
  }
}

/** What lies outside the inodes, in the inodes' order. */
function* encodeData(layout: ErofsLayout, placement: FilePlacement): Generator<Buffer> {
  let position = layout.dataOffset;
  for (const inode of layout.inodes) {
    const firstBlock = layout.firstBlocks[inode.ordinal] as number;
    if (firstBlock === 0) continue;
    const gapBytes = firstBlock * layout.blockBytes - position;
    if (gapBytes > 0) yield Buffer.alloc(gapBytes);
    position += gapBytes;
    for (const piece of encodeDataOf(inode, layout, placement)) {
      position += piece.length;
      yield piece;
    }
  }
}

/** Whole blocks. */
function* encodeDataOf(inode: LayerInode, layout: ErofsLayout, placement: FilePlacement): Generator<Buffer> {
  const { blockBytes } = layout;
  const directory = layout.directories.get(inode);
  const chunks = layout.copied.get(inode);
  if (directory !== undefined) yield* encodeDirectory(inode, directory, layout);
  else if (chunks !== undefined) {
    const chunkBytes = blockBytes * 2 ** chunks.chunkBits;
    for (const offset of chunks.copiedOffsets) yield* readInWindows(placement, inode, offset, chunkBytes);
  } else if ((inode.mode & S_IFMT) === S_IFREG) {
    const inline = layout.layouts[inode.ordinal] === LAYOUT_FLAT_INLINE;
    const blocks = (inline ? Math.floor : Math.ceil)(inode.sizeBytes / blockBytes);
    yield* readInWindows(placement, inode, 0, blocks * blockBytes);
  } else {
    const block = Buffer.alloc(roundUp(inode.target.length, blockBytes));
    block.write(inode.target, 0, 'latin1');
    yield block;
  }
}

function* readInWindows(
  placement: FilePlacement,
  inode: LayerInode,
  offset: number,
  lengthBytes: number,
): Generator<Buffer> {
  for (let done = 0; done < lengthBytes; done += WINDOW_BYTES)
    yield placement.readContent(inode, offset + done, Math.min(WINDOW_BYTES, lengthBytes - done));
}

/** The blocks of a directory that are not beside its inode. */
function* encodeDirectory(inode: LayerInode, directory: PlacedDirectory, layout: ErofsLayout): Generator<Buffer> {
  const { counts } = directory;
  const outside = counts.length - (layout.layouts[inode.ordinal] === LAYOUT_FLAT_INLINE ? 1 : 0);
  const blocksInWindow = WINDOW_BYTES / layout.blockBytes;
  let start = 0;
  for (let first = 0; first < outside; first += blocksInWindow) {
    const last = Math.min(outside, first + blocksInWindow);
    const window = Buffer.alloc((last - first) * layout.blockBytes);
    for (let i = first; i < last; i++) {
      const count = counts[i] as number;
      const entries = directoryEntries(inode, directory, layout, start, count);
      writeDirectoryBlock(window, (i - first) * layout.blockBytes, entries);
      start += count;
    }
    yield window;
  }
}

function directoryEntries(
  inode: LayerInode,
  { names, parent }: PlacedDirectory,
  layout: ErofsLayout,
  start: number,
  count: number,
): DirectoryEntry[] {
  return names.slice(start, start + count).map((name) => {
    const target = name === '.' ? inode : name === '..' ? parent : (inode.children?.get(name) as LayerInode);
    return {
      name,
      inodeNumber: (layout.offsets[target.ordinal] as number) / INODE_SLOT_BYTES,
      fileType: fileType(target.mode),
    };
  });
}

function fileType(mode: number): number {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return FILE_TYPE_DIRECTORY;
    case S_IFLNK:
      return FILE_TYPE_SYMLINK;
    case S_IFCHR:
      return FILE_TYPE_CHAR;
    case S_IFBLK:
      return FILE_TYPE_BLOCK;
    case S_IFIFO:
      return FILE_TYPE_FIFO;
    default:
      return FILE_TYPE_REGULAR;
  }
}

function writeInt64(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(((value % 0x1_0000_0000) + 0x1_0000_0000) % 0x1_0000_0000, at);
  target.writeInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}
