/**
 * Layers that share an ingest thread share its heap, and when that is full V8 ends the thread with all of them. Before that
 * the one with the most files is refused.
 */
import { getHeapStatistics } from 'node:v8';
import { TsdError } from '@tsd/shared/errors';

/** V8 collects garbage long before this. What is left is for making images. */
const NEARLY_FULL = 0.85;

export const TOO_MANY_FILES = 'the layer has more files than fit in memory';

export interface HeapShare {
  /** To be called often. @throws TsdError `bad_parameter` when this layer is to make room */
  check(fileCount: number): void;
  leave(): void;
}

export class HeapGuard {
  private readonly usage: () => number;
  private readonly fileCounts = new Map<HeapShare, number>();

  /** @param usage how full the heap is, from 0 to 1 */
  constructor(usage: () => number = heapUsage) {
    this.usage = usage;
  }

  /** For one layer. */
  join(): HeapShare {
    const share: HeapShare = {
      check: (fileCount) => {
        this.fileCounts.set(share, fileCount);
        // Alone it may use all of it.
        if (this.fileCounts.size === 1 || Math.max(...this.fileCounts.values()) > fileCount) return;
        if (this.usage() >= NEARLY_FULL) throw new TsdError('bad_parameter', TOO_MANY_FILES);
      },
      leave: () => this.fileCounts.delete(share),
    };
    this.fileCounts.set(share, 0);
    return share;
  }
}

function heapUsage(): number {
  const { used_heap_size, heap_size_limit } = getHeapStatistics();
  return used_heap_size / heap_size_limit;
}
