/** Decides where every inode, directory block and copied chunk of an image lies, before a byte of it is written. */
import type { ByteString } from '../tar/tar-entry.ts';
import { packDirectory } from './directory-blocks.ts';
import {
  CHUNK_INDEX_BYTES,
  DEVICE_SLOT_BYTES,
  EXTENDED_INODE_BYTES,
  INODE_SLOT_BYTES,
  LAYOUT_CHUNK_BASED,
  LAYOUT_FLAT_INLINE,
  LAYOUT_FLAT_PLAIN,
  SUPER_BLOCK_BYTES,
  SUPER_BLOCK_OFFSET,
  XATTR_ENTRY_BYTES,
  XATTR_HEADER_BYTES,
} from './erofs-format.ts';
import type { FileChunks, FilePlacement } from './file-placement.ts';
import { type LayerInode, type LayerTree, S_IFLNK, S_IFMT, S_IFREG } from './layer-tree.ts';
import { erofsXattrName } from './layer-xattrs.ts';

/** One inode and its place. */
export interface PlacedInode {
  readonly inode: LayerInode;
  /** Byte offset of the inode; its number is this divided by 32. */
  readonly offset: number;
  readonly layout: number;
  readonly xattrBytes: number;
  /** First block of the data that lies outside the inode; 0 where there is none. */
  readonly firstBlock: number;
  readonly directory: PlacedDirectory | null;
  /** Chunks of a file with copied ones: they need no second computation. Null for all others. */
  readonly copiedChunks: FileChunks | null;
}

export interface PlacedDirectory {
  readonly parent: LayerInode;
  /** Sorted, `.` and `..` included. */
  readonly names: readonly ByteString[];
  /** Names in each block. */
  readonly counts: readonly number[];
  readonly lastBlockBytes: number;
}

export interface ErofsLayout {
  readonly blockBytes: number;
  /** In the order of their offsets; the root is first, for its number must fit in 16 bits. */
  readonly inodes: readonly PlacedInode[];
  readonly offsets: ReadonlyMap<LayerInode, number>;
  /** First byte after the inodes: directory blocks, long symlinks and copied chunks follow, in the inodes' order. */
  readonly dataOffset: number;
  readonly totalBlocks: number;
}

/** Inodes begin in the first block after super block and device table. */
export function metadataOffset(blockBytes: number, devices: number): number {
  return roundUp(SUPER_BLOCK_OFFSET + SUPER_BLOCK_BYTES + devices * DEVICE_SLOT_BYTES, blockBytes);
}

export function layOutErofs(tree: LayerTree, placement: FilePlacement): ErofsLayout {
  const blockBytes = 2 ** placement.blockBits;
  const inodes: MutablePlacedInode[] = [];
  const offsets = new Map<LayerInode, number>();
  let cursor = metadataOffset(blockBytes, placement.deviceSizesBytes.length);

  const visit = (inode: LayerInode, parent: LayerInode): MutablePlacedInode => {
    const placed = placeInode(inode, parent, cursor, blockBytes, placement);
    offsets.set(inode, placed.offset);
    inodes.push(placed);
    cursor = placed.end;
    return placed;
  };

  // The inodes of one directory lie together: `ls -l` reads few blocks. Without recursion: archives can be deep.
  const pending: MutablePlacedInode[] = [visit(tree.root, tree.root)];
  tree.root.links = 2;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { inode } = next;
    const subdirectories: MutablePlacedInode[] = [];
    for (const name of next.directory?.names ?? []) {
      const child = inode.children?.get(name);
      if (child === undefined) continue;
      if (offsets.has(child)) {
        child.links++;
        continue;
      }
      const placed = visit(child, inode);
      child.links = 1;
      if (child.children !== null) {
        child.links = 2;
        inode.links++;
        subdirectories.push(placed);
      }
    }
    for (let i = subdirectories.length - 1; i >= 0; i--) pending.push(subdirectories[i] as MutablePlacedInode);
  }

  const dataOffset = roundUp(cursor, blockBytes);
  let block = dataOffset / blockBytes;
  for (const placed of inodes) {
    if (placed.outsideBlocks === 0) continue;
    placed.firstBlock = block;
    block += placed.outsideBlocks;
  }
  return { blockBytes, inodes, offsets, dataOffset, totalBlocks: block };
}

interface MutablePlacedInode extends PlacedInode {
  firstBlock: number;
  /** Blocks needed outside the inode. */
  outsideBlocks: number;
  /** First byte after the inode and all that belongs to it. */
  end: number;
}

function placeInode(
  inode: LayerInode,
  parent: LayerInode,
  cursor: number,
  blockBytes: number,
  placement: FilePlacement,
): MutablePlacedInode {
  const xattrBytes = xattrSize(inode);
  const bodyBytes = EXTENDED_INODE_BYTES + xattrBytes;
  let offset = roundUp(cursor, INODE_SLOT_BYTES);
  let layout = LAYOUT_FLAT_PLAIN;
  let end = offset + bodyBytes;
  let outsideBlocks = 0;
  let directory: PlacedDirectory | null = null;
  let copiedChunks: FileChunks | null = null;
  let tailBytes = 0;
  if (inode.children !== null) {
    const names = sortedNames(inode.children);
    const { counts, lastBlockBytes } = packDirectory(names, blockBytes);
    directory = { parent, names, counts, lastBlockBytes };
    inode.sizeBytes = (counts.length - 1) * blockBytes + lastBlockBytes;
    outsideBlocks = counts.length;
    tailBytes = lastBlockBytes;
  } else if ((inode.mode & S_IFMT) === S_IFLNK) {
    inode.sizeBytes = inode.target.length;
    outsideBlocks = Math.ceil(inode.sizeBytes / blockBytes);
    tailBytes = inode.sizeBytes;
  } else if ((inode.mode & S_IFMT) === S_IFREG && inode.sizeBytes > 0) {
    const chunks = placement.place(inode);
    layout = LAYOUT_CHUNK_BASED;
    end = roundUp(end, CHUNK_INDEX_BYTES) + chunks.addresses.length * CHUNK_INDEX_BYTES;
    if (chunks.copiedOffsets.length > 0) {
      copiedChunks = chunks;
      outsideBlocks = chunks.copiedOffsets.length * 2 ** chunks.chunkBits;
    }
  }
  // The last piece lies beside the inode where both fit in one block: the kernel does not let it cross a block's edge.
  if (tailBytes > 0 && bodyBytes + tailBytes <= blockBytes) {
    layout = LAYOUT_FLAT_INLINE;
    outsideBlocks--;
    if ((offset % blockBytes) + bodyBytes + tailBytes > blockBytes) offset = roundUp(offset, blockBytes);
    end = offset + bodyBytes + tailBytes;
  }
  return { inode, offset, layout, xattrBytes, firstBlock: 0, outsideBlocks, end, directory, copiedChunks };
}

function sortedNames(children: ReadonlyMap<ByteString, LayerInode>): ByteString[] {
  const names = ['.', '..', ...children.keys()];
  // Without a comparator: UTF-16 code units, which are the bytes here.
  return names.sort();
}

/** Bytes of the inline extended attributes with their header; 0 where there are none. */
export function xattrSize(inode: LayerInode): number {
  if (inode.xattrs.length === 0) return 0;
  let bytes = XATTR_HEADER_BYTES;
  for (const { name, value } of inode.xattrs)
    bytes += roundUp(XATTR_ENTRY_BYTES + erofsXattrName(name).suffix.length + value.length, 4);
  return bytes;
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
