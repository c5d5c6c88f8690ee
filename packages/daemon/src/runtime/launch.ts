/** Gives a launcher its plan and follows it until the container's process runs. */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { errnoName, SystemCallError } from '../os/libc.ts';
import { createMemfd, createSealedMemfd } from '../os/memfd.ts';
import { sendDescriptors } from '../os/send-descriptor.ts';
import { LaunchError, type StepFailure } from './launch-error.ts';
import type { LaunchPlan, Slot } from './launch-plan.ts';
import { createLauncherPool, type LauncherPool, type LauncherProcess, type WaitingLaunchers } from './launcher-pool.ts';
import { DESCRIPTORS_PER_MESSAGE, encodePlan, encodePlanFrame, encodeSlots, encodeStart } from './launcher-protocol.ts';
import { type AttachRequest, followSupervisor, type Supervisor } from './supervisor.ts';

export interface LaunchOptions {
  /** The daemon's descriptors for slots 0, 1, …, which the plan takes as given (the layers' mounts). */
  readonly descriptors: readonly number[];
  /** Clients that are attached before the process starts, so that no byte is lost. */
  readonly attach: readonly AttachRequest[];
  /** Optional steps that failed, and what goes wrong later on in the supervisor (its log). */
  readonly onWarning?: (warning: StepFailure) => void;
}

export interface Launcher {
  /**
   * Resolves once the process runs.
   * @throws LaunchError where a step fails: nothing of the container is left then but its cgroup directories.
   */
  launch(plan: LaunchPlan, options: LaunchOptions): Promise<Supervisor>;
  /** Starts launchers that wait for the next plans, where `waiting` asks for some. Every launch does it too, at its end. */
  prepare(): void;
  close(): Promise<void>;
}

export interface LauncherOptions {
  readonly launcherPath: string;
  /** Launchers to start ahead of their plans; none without it. */
  readonly waiting?: WaitingLaunchers;
}

const { EAGAIN, EPIPE } = constants.errno;

/**
 * Reads the launcher once into a sealed file in memory: every launch runs exactly these bytes, and no container can write
 * to them through /proc/PID/exe (CVE-2019-5736).
 * @throws the file system's error where the launcher is missing (build it with `make -C packages/launcher`).
 */
export function createLauncher({ launcherPath, waiting }: LauncherOptions): Launcher {
  const executable = createSealedMemfd('tsd-launch', readFileSync(launcherPath));
  const pool = createLauncherPool(executable, waiting ?? null);
  return {
    async launch(plan, options) {
      try {
        return await launch(pool, plan, options);
      } finally {
        pool.refill();
      }
    },
    prepare: pool.refill,
    async close() {
      await pool.close();
      closeSync(executable);
    },
  };
}

async function launch(pool: LauncherPool, plan: LaunchPlan, options: LaunchOptions): Promise<Supervisor> {
  const report = (failure: { step: number | null; errno: number; detail: string }): void =>
    options.onWarning?.({ ...failure, errnoName: errnoName(failure.errno) });
  let failed: LaunchError | null = null;
  // Clients are attached between the plan and the start; without any, one message says it all.
  const startsAtOnce = options.attach.length === 0;
  const { control, forked } = givePlan(pool, plan, options.descriptors, startsAtOnce);
  const { connection, started } = followSupervisor(control, {
    onWarning: report,
    onFailed: (failure) => {
      failed ??= new LaunchError(plan, failure);
    },
  });
  // A rejection is awaited below; it must not count as unhandled until then.
  started.catch(() => undefined);
  const attached = options.attach.map((request) => connection.attach(request.descriptor, request));
  for (const { done } of attached) {
    done.catch((error: unknown) => {
      const errno = error instanceof Error && 'errno' in error ? Number(error.errno) : EPIPE;
      report({ step: null, errno, detail: 'attach' });
    });
  }
  try {
    await Promise.all(attached.map(({ sent }) => sent));
    if (!startsAtOnce) await connection.start();
    return await started;
  } catch (error) {
    connection.close();
    if (failed !== null) throw failed;
    const detail = `the launcher went away: ${error instanceof Error ? error.message : String(error)}`;
    throw new LaunchError(plan, { step: null, errno: EPIPE, detail });
  } finally {
    await forked;
  }
}

/** Gives the plan to a launcher that waits, or to a new one where those that waited have died. */
function givePlan(
  pool: LauncherPool,
  plan: LaunchPlan,
  descriptors: readonly number[],
  startsAtOnce: boolean,
): LauncherProcess {
  const planDescriptor = createMemfd('tsd-plan');
  try {
    const bytes = encodePlan(plan);
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(planDescriptor, bytes, offset);
    for (;;) {
      const launcher = pool.take();
      try {
        sendPlan(launcher.control, planDescriptor, descriptors, startsAtOnce);
        return launcher;
      } catch (error) {
        closeSync(launcher.control);
        if (!(launcher.waited && error instanceof SystemCallError && error.errno === EPIPE)) throw error;
      }
    }
  } finally {
    closeSync(planDescriptor);
  }
}

/** Each wake-up of the launcher costs, so as much as possible goes in one message. */
function sendPlan(
  control: number,
  planDescriptor: number,
  descriptors: readonly number[],
  startsAtOnce: boolean,
): void {
  let first: Slot = 0;
  for (; descriptors.length - first >= DESCRIPTORS_PER_MESSAGE; first += DESCRIPTORS_PER_MESSAGE) {
    const part = descriptors.slice(first, first + DESCRIPTORS_PER_MESSAGE);
    sendFrames(control, part, [encodeSlots(first, part.length)]);
  }
  const rest = descriptors.slice(first);
  sendFrames(
    control,
    [...rest, planDescriptor],
    [
      ...(rest.length > 0 ? [encodeSlots(first, rest.length)] : []),
      encodePlanFrame(),
      ...(startsAtOnce ? [encodeStart()] : []),
    ],
  );
}

/** These are the first few bytes in the socket's buffer, so there is room. */
function sendFrames(control: number, descriptors: readonly number[], frames: readonly Buffer[]): void {
  const bytes = Buffer.concat(frames);
  if (sendDescriptors(control, descriptors, bytes) !== bytes.length) throw new SystemCallError('sendmsg', EAGAIN);
}
