/** When a container is started again after its exit (Docker's --restart). Pure. */
import type { HostConfig } from './container.ts';

/** moby restartmanager: the delay doubles from 100 ms to a minute, and starts over after a run of ten seconds. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
const LONG_RUN_MS = 10_000;

export interface EndedRun {
  readonly policy: HostConfig['RestartPolicy'];
  readonly exitCode: number;
  /** A user stopped or killed it. */
  readonly stopRequested: boolean;
  readonly ranForMs: number;
  /** Restarts since a user started it. */
  readonly restartCount: number;
  /** Delay before the previous restart; 0 where there was none. */
  readonly previousDelayMs: number;
}

/** Milliseconds until the restart, or null for none. */
export function restartDelayMs(run: EndedRun): number | null {
  if (!wantsRestart(run)) return null;
  if (run.previousDelayMs === 0 || run.ranForMs >= LONG_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(run.previousDelayMs * 2, LONGEST_DELAY_MS);
}

function wantsRestart({
  policy,
  exitCode,
  stopRequested,
  restartCount,
}: Omit<EndedRun, 'ranForMs' | 'previousDelayMs'>): boolean {
  if (stopRequested) return false;
  switch (policy.Name) {
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure':
      return exitCode !== 0 && (policy.MaximumRetryCount === 0 || restartCount < policy.MaximumRetryCount);
    case 'no':
      return false;
  }
}

/**
 * Whether a container that is not running is started when the daemon starts (moby, ShouldRestart): `always` even where a user stopped
 * it, `on-failure` where its last run failed and it may be tried again.
 */
export function startsWithDaemon(run: Omit<EndedRun, 'ranForMs' | 'previousDelayMs'>): boolean {
  return run.policy.Name === 'always' || wantsRestart(run);
}
