/** What the tar parser hands out, and the bounds it keeps. */

/**
 * A string of bytes: one character (U+0000–U+00FF, latin1) per byte. Names in archives have no encoding; this form keeps
 * every byte, compares bytewise with `<`, is a good Map key and takes one byte per character in V8.
 */
export type ByteString = string;

export type TarEntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'char' | 'block' | 'fifo';

/** `length` bytes of a sparse file at `offset` that lie in the archive at `archiveOffset`; what no extent covers is zero. */
export interface SparseExtent {
  readonly offset: number;
  readonly length: number;
  readonly archiveOffset: number;
}

export interface ExtendedAttribute {
  readonly name: ByteString;
  readonly value: Buffer;
}

/** One member of an archive, metadata only: its content is found at `payloadOffset` of the stream. */
export interface TarEntry {
  readonly type: TarEntryType;
  /** As the archive spells it: not normalised. */
  readonly path: ByteString;
  /** Target of a symlink or hard link; empty for other types. */
  readonly linkPath: ByteString;
  /** Permission bits with setuid, setgid and sticky: 0–07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** 0–999,999,999, added to `mtimeSeconds` (which is rounded down). */
  readonly mtimeNanoseconds: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Size of the file as its reader sees it, holes included; 0 for everything that is not a file. */
  readonly sizeBytes: number;
  /** Where the content begins in the stream; a multiple of 512. */
  readonly payloadOffset: number;
  /** Null for a file whose content lies in one piece. Otherwise sorted, without overlap, within `sizeBytes`. */
  readonly sparseExtents: readonly SparseExtent[] | null;
  readonly xattrs: readonly ExtendedAttribute[];
}

/** Bounds on what an archive may ask for. Exceeding one is refused with an error that names it. */
export interface TarLimits {
  /** Members; extension headers do not count, up to four for each. */
  readonly maxEntries: number;
  /** One PAX or GNU extension header, or one sparse map. */
  readonly maxHeaderBytes: number;
  /** A path or link target, PATH_MAX of the kernel without its terminator. */
  readonly maxPathBytes: number;
  /** The uncompressed archive. */
  readonly maxArchiveBytes: number;
  /** The apparent size of one sparse file. */
  readonly maxSparseFileBytes: number;
  /** Names and values of one member's extended attributes. */
  readonly maxXattrBytes: number;
}

export const DEFAULT_TAR_LIMITS: TarLimits = {
  maxEntries: 2_000_000,
  maxHeaderBytes: 1024 * 1024,
  maxPathBytes: 4095,
  maxArchiveBytes: 256 * 1024 ** 3,
  maxSparseFileBytes: 16 * 1024 ** 4,
  maxXattrBytes: 64 * 1024,
};
