/** A number of places for work that must not all run at once; who comes first goes first. */
export interface Slots {
  areTaken(): boolean;
  /** Waits for a place; the caller must call what it gets, once. @throws the signal's reason */
  enter(signal: AbortSignal): Promise<() => void>;
}

export function createSlots(count: number): Slots {
  const waiting = new Set<() => void>();
  let taken = 0;
  const leave = (): void => {
    const [next] = waiting;
    // The place passes on.
    if (next === undefined) taken--;
    else next();
  };
  return {
    areTaken: () => taken >= count,
    async enter(signal) {
      signal.throwIfAborted();
      if (taken < count) {
        taken++;
        return leave;
      }
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          waiting.delete(onTurn);
          reject(signal.reason);
        };
        const onTurn = (): void => {
          waiting.delete(onTurn);
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        waiting.add(onTurn);
        signal.addEventListener('abort', onAbort, { once: true });
      });
      return leave;
    },
  };
}
