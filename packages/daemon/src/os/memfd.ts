/** Files in memory, memfd_create(2). */
import { closeSync, writeSync } from 'node:fs';
import { checked, libc } from './libc.ts';

const MFD_CLOEXEC = 0x1;
const MFD_ALLOW_SEALING = 0x2;
const MFD_EXEC = 0x10;
const MFD_NOEXEC_SEAL = 0x8;
const F_ADD_SEALS = 1033;
const ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x8; // seal, shrink, grow, write
const EINVAL = 22;

const memfdCreate = libc.func('memfd_create', 'int', ['str', 'unsigned int']);
const fcntl = libc.func('int fcntl(int fd, int command, ...)');

function create(name: string, flags: number, newerFlag: number): number {
  try {
    return checked('memfd_create', memfdCreate(name, flags | newerFlag));
  } catch (error) {
    // Before Linux 6.3 the kernel knows neither MFD_EXEC nor MFD_NOEXEC_SEAL.
    if (error instanceof Error && 'errno' in error && error.errno === EINVAL) {
      return checked('memfd_create', memfdCreate(name, flags));
    }
    throw error;
  }
}

/** An empty file in memory, close-on-exec, that cannot be executed. The caller closes the descriptor. */
export function createMemfd(name: string): number {
  return create(name, MFD_CLOEXEC, MFD_NOEXEC_SEAL);
}

/** A file in memory with these contents that nobody can change again, executable. The caller closes the descriptor. */
export function createSealedMemfd(name: string, contents: Uint8Array): number {
  const descriptor = create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING, MFD_EXEC);
  try {
    for (let offset = 0; offset < contents.length; ) offset += writeSync(descriptor, contents, offset);
    checked('fcntl F_ADD_SEALS', fcntl(descriptor, F_ADD_SEALS, 'int', ALL_SEALS));
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return descriptor;
}
