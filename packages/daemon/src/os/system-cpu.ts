/** The processor time of the whole host: /proc/stat, proc_stat(5). */
import { readFileSync } from 'node:fs';

/** USER_HZ is 100 on every architecture that tsd runs on. */
export const NS_PER_TICK = 10_000_000;

export interface SystemCpu {
  /** Of all processors together, idle time included, since the boot; nanoseconds. */
  readonly totalNs: number;
  readonly onlineCpus: number;
}

/** Those of user, nice, system, idle, iowait, irq and softirq; guests' time is part of the user's. As moby counts. */
const COUNTED_COLUMNS = 7;

export function parseSystemCpu(text: string): SystemCpu {
  const columns = /^cpu +(.*)$/m.exec(text)?.[1]?.split(' ') ?? [];
  const ticks = columns.slice(0, COUNTED_COLUMNS).reduce((sum, column) => sum + Number(column), 0);
  return { totalNs: ticks * NS_PER_TICK, onlineCpus: text.match(/^cpu\d/gm)?.length ?? 0 };
}

export function readSystemCpu(): SystemCpu {
  return parseSystemCpu(readFileSync('/proc/stat', 'utf8'));
}
