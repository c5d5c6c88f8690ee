/** What kind of file a status describes, inode(7). */
import { constants } from 'node:fs';
import type { FileStatus } from '../../os/file-status.ts';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO } = constants;

export type FileKind = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo' | 'socket';

const KINDS: ReadonlyMap<number, FileKind> = new Map<number, FileKind>([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'char'],
  [S_IFBLK, 'block'],
  [S_IFIFO, 'fifo'],
]);

export function fileKind({ mode }: FileStatus): FileKind {
  return KINDS.get(mode & S_IFMT) ?? 'socket';
}

/** overlayfs hides a name with a character device 0:0. */
export function isWhiteout(status: FileStatus): boolean {
  return fileKind(status) === 'char' && status.deviceMajor === 0 && status.deviceMinor === 0;
}
