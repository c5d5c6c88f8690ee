/** The C library through koffi: the one place that loads it. Each binding lives in a file of its own beside this one. */
import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';

export const libc = koffi.load('libc.so.6');

/** A failed call of the C library: `errno` is its number, `code` its name, as in Node's own errors. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(syscall: string, errno: number, path?: string) {
    const code = errnoName(errno);
    super(`${syscall}${path === undefined ? '' : ` ${path}`}: ${code}`);
    this.errno = errno;
    this.code = code;
    this.syscall = syscall;
    this.path = path;
  }
}

/** ENOENT and the like for a positive errno; `E<number>` where the platform has no name. */
export function errnoName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? `E${errno}`;
}

/** Returns the result of a call that answers -1 on error; throws SystemCallError with the errno then. */
export function checked(syscall: string, result: number, path?: string): number {
  if (result >= 0) return result;
  throw new SystemCallError(syscall, koffi.errno(), path);
}
