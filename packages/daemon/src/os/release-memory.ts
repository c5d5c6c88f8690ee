/** malloc_trim(3): gives memory that the C library has freed back to the kernel. */
import { libc } from './libc.ts';

const mallocTrim = libc.func('int malloc_trim(size_t pad)') as (pad: number) => number;

/** To be called after work that used much memory for a short time. Takes some milliseconds. */
export function releaseFreeMemory(): void {
  mallocTrim(0);
}
