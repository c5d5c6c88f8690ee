/** What a worker thread is asked for, and what it answers. */
import type { ErrorCode } from '@tsd/shared/errors';
import type { ByteSlots } from './byte-slots.ts';
import type { IdRange } from './container-ids.ts';

/** `layer`: a tar of the upper directory; `root`: a tar of all that the container sees; `changes`: JSON, Docker's. */
export type RootTreeJobKind = 'layer' | 'root' | 'changes';

export interface RootTreeJob {
  readonly kind: RootTreeJobKind;
  /** Descriptor of the upper directory; null where nothing was ever written. */
  readonly upper: number | null;
  /** Descriptors of the layers' roots, topmost first. */
  readonly layers: readonly number[];
  readonly idRange: IdRange | null;
  readonly slots: ByteSlots;
}

export type RootTreeAnswer =
  | { readonly kind: 'piece'; readonly slot: number; readonly length: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string; readonly stack: string };
