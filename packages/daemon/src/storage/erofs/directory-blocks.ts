/** Directories on disk: blocks of fixed entries, each followed by the names of that block. */
import type { ByteString } from '../tar/tar-entry.ts';
import { DIRENT_BYTES } from './erofs-format.ts';

export interface DirectoryEntry {
  readonly name: ByteString;
  readonly inodeNumber: number;
  readonly fileType: number;
}

/**
 * Names in the order of the disk (bytewise over the whole directory, `.` and `..` among them), cut into blocks: each number is
 * the count of names in one block. `lastBlockBytes` is what the last block uses.
 */
export function packDirectory(
  names: readonly ByteString[],
  blockBytes: number,
): { counts: readonly number[]; lastBlockBytes: number } {
  const counts: number[] = [];
  let count = 0;
  let used = 0;
  for (const name of names) {
    const bytes = DIRENT_BYTES + name.length;
    if (used + bytes > blockBytes) {
      counts.push(count);
      count = 0;
      used = 0;
    }
    count++;
    used += bytes;
  }
  counts.push(count);
  return { counts, lastBlockBytes: used };
}

/** Writes the entries of one block at `offset` of `target`; the rest of the block is left as it is (zero). */
export function writeDirectoryBlock(target: Buffer, offset: number, entries: readonly DirectoryEntry[]): void {
  let nameOffset = entries.length * DIRENT_BYTES;
  let at = offset;
  for (const { name, inodeNumber, fileType } of entries) {
    target.writeUInt32LE(inodeNumber % 0x1_0000_0000, at);
    target.writeUInt32LE(Math.floor(inodeNumber / 0x1_0000_0000), at + 4);
    target.writeUInt16LE(nameOffset, at + 8);
    target[at + 10] = fileType;
    target.write(name, offset + nameOffset, 'latin1');
    nameOffset += name.length;
    at += DIRENT_BYTES;
  }
}
