/** The EROFS on-disk format, as far as the layer writer uses it (Documentation/filesystems/erofs.rst). Little-endian. */

export const SUPER_BLOCK_OFFSET = 1024;
export const SUPER_BLOCK_BYTES = 128;
export const SUPER_MAGIC = 0xe0f5e1e2;
/** Number of extra devices, in the super block. */
export const SUPER_DEVICES_OFFSET = 86;
export const DEVICE_SLOT_BYTES = 128;
/** Inodes are numbered by their place: inode number × 32 = byte offset (with the metadata area at block 0). */
export const INODE_SLOT_BYTES = 32;
export const EXTENDED_INODE_BYTES = 64;
export const DIRENT_BYTES = 12;
export const CHUNK_INDEX_BYTES = 8;
export const XATTR_HEADER_BYTES = 12;
export const XATTR_ENTRY_BYTES = 4;

export const FEATURE_COMPAT_MTIME = 0x2;
export const FEATURE_INCOMPAT_CHUNKED_FILE = 0x4;
export const FEATURE_INCOMPAT_DEVICE_TABLE = 0x8;

/** Data layouts of an inode. */
export const LAYOUT_FLAT_PLAIN = 0;
export const LAYOUT_FLAT_INLINE = 2;
export const LAYOUT_CHUNK_BASED = 4;

/** i_u of a chunk-based inode: the chunks are listed as 8-byte indexes. */
export const CHUNK_FORMAT_INDEXES = 0x20;
/** Largest chunk: the format's low five bits, log2 of the chunk's blocks. */
export const MAX_CHUNK_BITS = 31;
/** Block address of a hole. */
export const NULL_BLOCK = 0xffffffff;

export const FILE_TYPE_REGULAR = 1;
export const FILE_TYPE_DIRECTORY = 2;
export const FILE_TYPE_CHAR = 3;
export const FILE_TYPE_BLOCK = 4;
export const FILE_TYPE_FIFO = 5;
export const FILE_TYPE_SYMLINK = 7;
