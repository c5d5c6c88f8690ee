/** Gives memory back to the kernel after work that used much of it for a short time: V8's garbage, then malloc_trim(3). */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { libc } from './libc.ts';

const mallocTrim = libc.func('int malloc_trim(size_t pad)') as (pad: number) => number;

/** V8's own collector, which Node.js shows only behind a flag; made at the first use. */
let collect: ((options?: { type: 'minor' }) => void) | undefined;

function collector(): NonNullable<typeof collect> {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as NonNullable<typeof collect>;
  }
  return collect;
}

/** Takes some tens of milliseconds: to be called when the work is done, not on the way of a request. */
export function releaseFreeMemory(): void {
  collector()();
  mallocTrim(0);
}

/** Takes a millisecond, which the next request then need not spend. */
export function collectYoungGarbage(): void {
  collector()({ type: 'minor' });
}
