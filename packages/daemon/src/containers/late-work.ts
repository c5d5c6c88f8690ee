/**
 * Work that nobody waits for, put off until no more of it has come for a while, or too much: it would take processor time from
 * containers that start and from those who wait for them.
 */

/** How long nothing more must have come. */
const QUIET_MS = 100;
/** So many do not wait for quiet. */
const MOST_WAITING = 100;

export interface LateWork {
  add(key: string): void;
  /** Does it now if it waits; resolves when it is not being done any more. */
  finish(key: string): Promise<void>;
  /** Begins what waits at once; resolves when nothing is being done: for an orderly end and for tests. */
  idle(): Promise<void>;
}

/** @param work one after the other. It must not reject. */
export function createLateWork(work: (key: string) => Promise<void>): LateWork {
  const waiting = new Set<string>();
  let tail: Promise<void> = Promise.resolve();
  let current: { readonly key: string; readonly done: Promise<void> } | undefined;
  let timer: NodeJS.Timeout | undefined;

  function begin(): void {
    clearTimeout(timer);
    tail = tail.then(async () => {
      for (const key of waiting) {
        waiting.delete(key);
        current = { key, done: work(key) };
        await current.done;
        current = undefined;
      }
    });
  }

  return {
    add(key) {
      waiting.add(key);
      clearTimeout(timer);
      if (waiting.size >= MOST_WAITING) begin();
      else timer = setTimeout(begin, QUIET_MS);
    },
    finish: async (key) => {
      if (waiting.delete(key)) await work(key);
      else if (current?.key === key) await current.done;
    },
    idle() {
      begin();
      return tail;
    },
  };
}
