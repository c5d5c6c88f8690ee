/** The daemon's side of a thread that checks files, so that hashing does not hold up the event loop. */
import { totalmem } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FileCheckRequest, LayerCheckRequest, LayerVerdict, OnCheckedBytes } from './check-layer.ts';

export type CheckCommand =
  | { readonly kind: 'file'; readonly request: FileCheckRequest }
  | { readonly kind: 'layer'; readonly request: LayerCheckRequest };

export type CheckAnswer =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'done'; readonly verdict: string | null | LayerVerdict }
  | { readonly kind: 'failed'; readonly code: string | null; readonly message: string; readonly stack: string };

/** A layer of two million files takes about half of it, as when it came in. */
const MAX_HEAP_MB = 3072;

/** One check at a time; to be closed after use. */
export interface CheckThread {
  /** As `checkFile` in check-layer.ts. */
  checkFile(request: FileCheckRequest): Promise<string | null>;
  /** As `checkLayer` in check-layer.ts. */
  checkLayer(request: LayerCheckRequest): Promise<LayerVerdict>;
  /** Ends the thread, whatever it is at; a check under way is rejected. */
  close(): Promise<void>;
}

export function startCheckThread(onBytes: OnCheckedBytes): CheckThread {
  const worker = new Worker(new URL(`./check-worker${extname(import.meta.url)}`, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: Math.min(MAX_HEAP_MB, Math.floor(totalmem() / 2 ** 21)) },
  });
  let failure: Error | null = null;
  let pending: { resolve: (verdict: unknown) => void; reject: (error: unknown) => void } | null = null;
  const settle = (settled: (by: NonNullable<typeof pending>) => void): void => {
    const asked = pending;
    pending = null;
    if (asked !== null) settled(asked);
  };
  const fail = (error: Error): void => {
    failure ??= error;
    settle(({ reject }) => reject(failure));
  };
  worker.on('message', (message: CheckAnswer) => {
    if (message.kind === 'bytes') onBytes(message.bytes);
    else if (message.kind === 'done') settle(({ resolve }) => resolve(message.verdict));
    else {
      const { code, stack } = message;
      settle(({ reject }) =>
        reject(Object.assign(new Error(message.message), { stack, ...(code === null ? {} : { code }) })),
      );
    }
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('the check thread ended')));
  const ask = (command: CheckCommand): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (failure !== null) return reject(failure);
      pending = { resolve, reject };
      worker.postMessage(command);
    });
  return {
    checkFile: async (request) => (await ask({ kind: 'file', request })) as string | null,
    checkLayer: async (request) => (await ask({ kind: 'layer', request })) as LayerVerdict,
    close: async () => void (await worker.terminate()),
  };
}
