/** Resident memory of processes, from /proc. */
import { readFileSync, writeFileSync } from 'node:fs';

const KIB_PER_MB = 1_000_000 / 1024;

/** Resident set of a process in MB; proc_pid_status(5), VmRSS. */
export function residentMb(pid: number): number {
  return statusMb(pid, 'VmRSS');
}

/** The largest resident set since {@link forgetPeak}, in MB; proc_pid_status(5), VmHWM. */
export function peakMb(pid: number): number {
  return statusMb(pid, 'VmHWM');
}

/** Starts {@link peakMb} anew; proc_pid_clear_refs(5). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function statusMb(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / KIB_PER_MB;
}

/** Parent of a process. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Children of a process, by the command's name. */
export function childPids(pid: number, name: string, pids: readonly number[]): number[] {
  return pids.filter((candidate) => {
    try {
      return parentOf(candidate) === pid && readFileSync(`/proc/${candidate}/comm`, 'utf8').trim() === name;
    } catch {
      return false; // Ended meanwhile.
    }
  });
}
