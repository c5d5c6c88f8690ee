/** Takes out of memory what only the start needed of the executables: their pages stay in the page cache, and come back on use. */
import { readFileSync } from 'node:fs';
import { checked, libc } from './libc.ts';

/** asm-generic/mman-common.h */
const MADV_DONTNEED = 4;
/** Smaller mappings are not worth the call. */
const LEAST_KB = 256;

const madvise = libc.func('int madvise(uintptr_t address, size_t length, int advice)') as (
  address: bigint,
  length: bigint,
  advice: number,
) => number;

/**
 * Unmaps the pages of all files that are mapped to be read or executed and of which this process has changed nothing:
 * madvise(2), proc_pid_smaps(5). What is used again is mapped again, 64 KiB at a time.
 * @throws SystemCallError
 */
export function unmapExecutablePages(): void {
  for (const mapping of readFileSync('/proc/self/smaps', 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
    const header = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +\//.exec(mapping);
    if (header === null || kilobytes(mapping, 'Rss') < LEAST_KB) continue;
    // Relocated pages are the process' own, though they are read-only by now: they would be lost.
    if (kilobytes(mapping, 'Anonymous') !== 0 || kilobytes(mapping, 'Private_Dirty') !== 0) continue;
    const [start, end] = [BigInt(`0x${header[1]}`), BigInt(`0x${header[2]}`)];
    checked('madvise', madvise(start, end - start, MADV_DONTNEED));
  }
}

function kilobytes(mapping: string, field: string): number {
  return Number(new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(mapping)?.[1] ?? Number.NaN);
}
