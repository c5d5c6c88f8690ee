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

export interface QuietCollections {
  /** A request was answered: its garbage is collected when no other has been for a moment. */
  answered(): void;
  /** Work that used much memory is over: the memory is given back when no request has been answered for a while. */
  release(): void;
}

/** What happens in quiet times; tests have their own. */
export interface QuietCollectionsParts {
  readonly collectYoungGarbage: () => void;
  readonly releaseFreeMemory: () => void;
  readonly momentMs: number;
  readonly whileMs: number;
}

/** Collects when nobody waits for an answer, since either collection holds up the event loop. Keeps no process alive. */
export function createQuietCollections(parts: QuietCollectionsParts): QuietCollections {
  let moment: NodeJS.Timeout | undefined;
  let release: NodeJS.Timeout | undefined;
  const releaseLater = (): void => {
    clearTimeout(release);
    release = setTimeout(() => {
      release = undefined;
      parts.releaseFreeMemory();
    }, parts.whileMs).unref();
  };
  return {
    answered() {
      clearTimeout(moment);
      moment = setTimeout(parts.collectYoungGarbage, parts.momentMs).unref();
      if (release !== undefined) releaseLater();
    },
    release: releaseLater,
  };
}

/** Of this process. */
export const quietCollections = createQuietCollections({
  collectYoungGarbage,
  releaseFreeMemory,
  momentMs: 50,
  whileMs: 1000,
});
