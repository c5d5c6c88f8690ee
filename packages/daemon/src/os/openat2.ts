/** openat2(2): opening a path that someone else controls. */
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

const SYS_OPENAT2 = 437;
const OPEN_HOW_BYTES = 24;
const NUL = Buffer.alloc(1);

const syscallOpenat2 = libc.func(
  'long syscall(long number, long dirFd, const uint8_t *path, const uint8_t *how, long size)',
) as (number: number, dirFd: number, path: Buffer, how: Buffer, size: number) => number;

/** Flags of open(2) that node:fs does not name; the same on x86-64 and (for these) on arm64. */
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;

export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;

export interface Openat2Options {
  /** Where the lookup starts and, with RESOLVE_BENEATH or RESOLVE_IN_ROOT, what it cannot leave. */
  readonly dirFd: number;
  /** Bytes, as names on disk are. */
  readonly path: Buffer | string;
  readonly flags: number;
  readonly resolve: number;
}

/**
 * Opens a path beneath a directory; the descriptor is close-on-exec.
 * @throws SystemCallError: ENOENT, ENOTDIR, ELOOP (a symlink where none may be), EXDEV (the path leads out) and so on.
 */
export function openat2(options: Openat2Options): number {
  const result = tryOpenat2(options);
  if (result >= 0) return result;
  throw new SystemCallError('openat2', -result, options.path.toString('latin1'));
}

/** As `openat2`, but returns the negative errno: for lookups where a missing name is nothing unusual. */
export function tryOpenat2({ dirFd, path, flags, resolve }: Openat2Options): number {
  const how = Buffer.alloc(OPEN_HOW_BYTES);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const terminated = Buffer.concat([Buffer.isBuffer(path) ? path : Buffer.from(path), NUL]);
  const result = syscallOpenat2(SYS_OPENAT2, dirFd, terminated, how, OPEN_HOW_BYTES);
  return result >= 0 ? result : -koffi.errno();
}
