/** Those who wait for containers to end or to be gone: registered synchronously, told once. */

/** What POST /containers/{id}/wait answers. */
export interface WaitResult {
  readonly exitCode: number;
  /** Why a start failed; empty otherwise. */
  readonly error: string;
}

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

export interface ExitWaiters {
  /** Resolves at the next exit (or failed restart), or with the removal, whichever comes first; for `removed` only then. */
  wait(id: string, condition: 'next-exit' | 'removed', signal?: AbortSignal): Promise<WaitResult>;
  exited(id: string, result: WaitResult): void;
  removed(id: string, result: WaitResult): void;
}

interface Waiter {
  readonly condition: 'next-exit' | 'removed';
  readonly settle: (result: WaitResult) => void;
}

export function createExitWaiters(): ExitWaiters {
  const waitersById = new Map<string, Set<Waiter>>();

  function tell(id: string, result: WaitResult, removed: boolean): void {
    const waiters = waitersById.get(id);
    if (waiters === undefined) return;
    for (const waiter of waiters) {
      if (!removed && waiter.condition === 'removed') continue;
      waiters.delete(waiter);
      waiter.settle(result);
    }
    if (waiters.size === 0) waitersById.delete(id);
  }

  return {
    wait(id, condition, signal) {
      return new Promise((resolve, reject) => {
        const waiters = waitersById.get(id) ?? new Set();
        waitersById.set(id, waiters);
        const abandon = () => {
          waiters.delete(waiter);
          if (waiters.size === 0 && waitersById.get(id) === waiters) waitersById.delete(id);
          reject(signal?.reason);
        };
        const waiter: Waiter = {
          condition,
          settle(result) {
            signal?.removeEventListener('abort', abandon);
            resolve(result);
          },
        };
        waiters.add(waiter);
        signal?.addEventListener('abort', abandon, { once: true });
      });
    },
    exited: (id, result) => tell(id, result, false),
    removed: (id, result) => tell(id, result, true),
  };
}
