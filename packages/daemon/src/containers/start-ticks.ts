/** Tells a container's process from another one with its pid. */
import { processStartTicks } from '../os/process-stat.ts';

/** As the record holds it; null when the process is gone already. */
export function startTicks(pid: number): number | null {
  const ticks = processStartTicks(pid);
  return ticks === null ? null : Number(ticks);
}
