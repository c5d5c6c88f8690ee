/**
 * Allocates each container its own range of host ids for its user namespace (user_namespaces(7)): 65,536 ids from
 * 0x40000000 upward, far above every uid that distributions, subuid(5) or systemd hand out. Two containers never share
 * an id, so a process that escaped one could not touch the files of another; but for those that share namespaces on request
 * (`--pid container:…`), which share the range too, until the last of them is removed. The database is the truth; this is its
 * in-memory index.
 */
import { TsdError } from '@tsd/shared/errors';

export const ID_RANGE_SIZE = 65_536;
export const FIRST_ID_RANGE = 0x4000_0000;
/** 4294967295 is (uid_t)-1 and 0x7fffffff the largest id that every tool reads as positive: stay below it. */
const RANGE_COUNT = (0x7fff_0000 - FIRST_ID_RANGE) / ID_RANGE_SIZE;

export interface IdRanges {
  /** The first host id of a free range. @throws TsdError `insufficient_storage` when all 16,383 are in use */
  allocate(): number;
  /** One more container has this range. */
  share(firstId: number): void;
  /** One container less has it. */
  release(firstId: number): void;
}

/** @param inUse first ids of the ranges that containers of the database have, once for each container */
export function createIdRanges(inUse: Iterable<number>): IdRanges {
  const taken = new Map<number, number>();
  const share = (firstId: number): void => void taken.set(firstId, (taken.get(firstId) ?? 0) + 1);
  for (const firstId of inUse) share(firstId);
  // Round robin: a range is reused as late as possible, since files that a container left on a volume keep its ids.
  let cursor = 0;
  for (const first of taken.keys()) cursor = Math.max(cursor, (first - FIRST_ID_RANGE) / ID_RANGE_SIZE + 1);
  return {
    allocate() {
      for (let tried = 0; tried < RANGE_COUNT; tried++) {
        const first = FIRST_ID_RANGE + ((cursor + tried) % RANGE_COUNT) * ID_RANGE_SIZE;
        if (taken.has(first)) continue;
        share(first);
        cursor = (cursor + tried + 1) % RANGE_COUNT;
        return first;
      }
      throw new TsdError(
        'insufficient_storage',
        `all ${RANGE_COUNT} user-id ranges are in use: remove a container, or create this one with --userns=host`,
      );
    },
    share,
    release(firstId) {
      const count = taken.get(firstId) ?? 0;
      if (count > 1) taken.set(firstId, count - 1);
      else taken.delete(firstId);
    },
  };
}
