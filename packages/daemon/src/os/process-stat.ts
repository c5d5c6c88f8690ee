/** What /proc/PID/stat tells of a process, proc_pid_stat(5). */
import { readFileSync } from 'node:fs';

/**
 * When the process started, in clock ticks since boot: with the pid it names one process for good, because a reused pid has
 * another start. Null where there is no such process (a zombie counts as none).
 */
export function processStartTicks(pid: number): bigint | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null;
    throw error;
  }
  // The command name may hold blanks and parentheses: count from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return BigInt(fields[19] ?? '0');
}
