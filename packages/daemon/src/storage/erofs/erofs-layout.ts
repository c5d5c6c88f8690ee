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
import { copiedIndex, type FileChunks, type FilePlacement, HOLE } from './file-placement.ts';
import { type LayerInode, S_IFLNK, S_IFMT, S_IFREG } from './layer-inode.ts';
import type { LayerTree } from './layer-tree.ts';
import { erofsXattrName } from './layer-xattrs.ts';

/** The kernel reads an image by page, and since Linux 7 refuses a page that the file holds only in part. */
const PAGE_BYTES = 4096;

export interface PlacedDirectory {
  readonly parent: LayerInode;
  /** Sorted, `.` and `..` included. */
  readonly names: readonly ByteString[];
  /** Names in each block. */
  readonly counts: readonly number[];
}

/** Places by `LayerInode.ordinal`: layers of a million files are to fit in memory. */
export interface ErofsLayout {
  readonly blockBytes: number;
  /** In the order of their offsets; the root is first, for its number must fit in 16 bits. */
  readonly inodes: readonly LayerInode[];
  /** Byte offset of each inode; its number is this divided by 32. */
  readonly offsets: Float64Array;
  /** Data layout of each inode. */
  readonly layouts: Uint8Array;
  /** First block of an inode's data that lies outside it; 0 where there is none. */
  readonly firstBlocks: Uint32Array;
  readonly directories: ReadonlyMap<LayerInode, PlacedDirectory>;
  /** Chunks of the files that have copied ones; files that are copied without chunks are not here. */
  readonly copied: ReadonlyMap<LayerInode, FileChunks>;
  /** First byte after the inodes: directory blocks, long symlinks and copied content follow, in the inodes' order. */
  readonly dataOffset: number;
  /** Whole pages: see PAGE_BYTES. */
  readonly totalBlocks: number;
}

/** Inodes begin in the first block after super block and device table. */
export function metadataOffset(blockBytes: number, devices: number): number {
  return roundUp(SUPER_BLOCK_OFFSET + SUPER_BLOCK_BYTES + devices * DEVICE_SLOT_BYTES, blockBytes);
}

/** Sets `ordinal` and `links` of the tree's inodes, and `sizeBytes` of its directories and symlinks. */
export function layOutErofs(tree: LayerTree, placement: FilePlacement): ErofsLayout {
  const inodes: LayerInode[] = [];
  const placer = new InodePlacer(placement, tree.nodeCount);
  const visit = (inode: LayerInode, parent: LayerInode): void => {
    inode.ordinal = inodes.length;
    inode.links = inode.children === null ? 1 : 2;
    inodes.push(inode);
    placer.place(inode, parent);
  };

  // The inodes of one directory lie together: `ls -l` reads few blocks. Without recursion: archives can be deep.
  const pending = [tree.root];
  visit(tree.root, tree.root);
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const name of placer.directories.get(directory)?.names ?? []) {
      const child = directory.children?.get(name);
      if (child === undefined) continue;
      // An earlier layout of the same tree has left ordinals too.
      if (inodes[child.ordinal] === child) {
        child.links++;
        continue;
      }
      visit(child, directory);
      if (child.children === null) continue;
      directory.links++;
      pending.push(child);
    }
  }
  const totalBlocks = placer.placeData(inodes);
  const { blockBytes, offsets, layouts, firstBlocks, directories, copied, dataOffset } = placer;
  return { blockBytes, inodes, offsets, layouts, firstBlocks, directories, copied, dataOffset, totalBlocks };
}

class InodePlacer {
  readonly blockBytes: number;
  readonly offsets: Float64Array;
  readonly layouts: Uint8Array;
  readonly firstBlocks: Uint32Array;
  readonly directories = new Map<LayerInode, PlacedDirectory>();
  readonly copied = new Map<LayerInode, FileChunks>();
  dataOffset = 0;
  private readonly placement: FilePlacement;
  /** First byte after the inodes placed so far. */
  private cursor: number;

  constructor(placement: FilePlacement, maxInodes: number) {
    this.placement = placement;
    this.blockBytes = 2 ** placement.blockBits;
    this.offsets = new Float64Array(maxInodes);
    this.layouts = new Uint8Array(maxInodes);
    this.firstBlocks = new Uint32Array(maxInodes);
    this.cursor = metadataOffset(this.blockBytes, placement.deviceSizesBytes.length);
  }

  place(inode: LayerInode, parent: LayerInode): void {
    const { blockBytes } = this;
    const bodyBytes = EXTENDED_INODE_BYTES + xattrSize(inode);
    let offset = roundUp(this.cursor, INODE_SLOT_BYTES);
    let layout = LAYOUT_FLAT_PLAIN;
    this.cursor = offset + bodyBytes;
    let outsideBlocks = 0;
    let tailBytes = 0;
    if (inode.children !== null) {
      const names = sortedNames(inode.children);
      const { counts, lastBlockBytes } = packDirectory(names, blockBytes);
      this.directories.set(inode, { parent, names, counts });
      inode.sizeBytes = (counts.length - 1) * blockBytes + lastBlockBytes;
      outsideBlocks = counts.length;
      tailBytes = lastBlockBytes;
    } else if ((inode.mode & S_IFMT) === S_IFLNK) {
      inode.sizeBytes = inode.target.length;
      outsideBlocks = Math.ceil(inode.sizeBytes / blockBytes);
      tailBytes = inode.sizeBytes;
    } else if ((inode.mode & S_IFMT) === S_IFREG && inode.sizeBytes > 0) {
      const chunks = this.placement.place(inode);
      if (chunks === null) {
        outsideBlocks = Math.ceil(inode.sizeBytes / blockBytes);
        tailBytes = inode.sizeBytes - (outsideBlocks - 1) * blockBytes;
      } else {
        layout = LAYOUT_CHUNK_BASED;
        this.cursor = roundUp(this.cursor, CHUNK_INDEX_BYTES) + chunks.addresses.length * CHUNK_INDEX_BYTES;
        outsideBlocks = chunks.copiedOffsets.length * 2 ** chunks.chunkBits;
        if (outsideBlocks > 0) this.copied.set(inode, chunks);
      }
    }
    // The last piece lies beside the inode where both fit in one block: the kernel does not let it cross a block's edge.
    if (tailBytes > 0 && bodyBytes + tailBytes <= blockBytes) {
      layout = LAYOUT_FLAT_INLINE;
      outsideBlocks--;
      if ((offset % blockBytes) + bodyBytes + tailBytes > blockBytes) offset = roundUp(offset, blockBytes);
      this.cursor = offset + bodyBytes + tailBytes;
    }
    this.offsets[inode.ordinal] = offset;
    this.layouts[inode.ordinal] = layout;
    // The number of blocks for now; `placeData` makes it the first one.
    this.firstBlocks[inode.ordinal] = outsideBlocks;
  }

  /** Gives the data outside the inodes its blocks; returns the number of all blocks of the image. */
  placeData(inodes: readonly LayerInode[]): number {
    this.dataOffset = roundUp(this.cursor, this.blockBytes);
    let block = this.dataOffset / this.blockBytes;
    for (let i = 0; i < inodes.length; i++) {
      const blocks = this.firstBlocks[i] as number;
      if (blocks === 0) continue;
      const chunks = this.copied.get(inodes[i] as LayerInode);
      if (chunks !== undefined) {
        const bad = blocksThatJoinDevices(chunks);
        while (bad.has(block)) block++;
      }
      this.firstBlocks[i] = block;
      block += blocks;
    }
    return roundUp(block, PAGE_BYTES / this.blockBytes);
  }
}

/**
 * Where the copied chunks of a file must not begin. Reading from block devices the kernel joins a chunk with the one before
 * when it goes on at the next block, without a look at the device (fs/iomap, seen on Linux 6.18): the content would be
 * another device's.
 */
function blocksThatJoinDevices({ addresses, chunkBits }: FileChunks): ReadonlySet<number> {
  const chunkBlocks = 2 ** chunkBits;
  const bad = new Set<number>();
  let previous = HOLE;
  for (const address of addresses) {
    if (address === HOLE) continue;
    if (previous >= 0 && address < 0) bad.add(previous + chunkBlocks - copiedIndex(address) * chunkBlocks);
    else if (previous < HOLE && address >= 0) bad.add(address - (copiedIndex(previous) + 1) * chunkBlocks);
    previous = address;
  }
  return bad;
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
