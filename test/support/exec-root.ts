/** A place for engines' exec roots: in memory, as /run is on a host that systemd has set up. */
import { mkdtempSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARED_MEMORY, TEMPORARY_PREFIX } from './leaks.ts';

/** linux/magic.h */
const TMPFS_MAGIC = 0x0102_1994;

/** Makes one; the caller removes it. */
export function makeExecRoot(): string {
  const place = statfsSync(SHARED_MEMORY).type === TMPFS_MAGIC ? SHARED_MEMORY : tmpdir();
  return mkdtempSync(join(place, TEMPORARY_PREFIX));
}
