/** Starts a launcher with a plan and follows it until the container's process runs. */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { errnoName } from '../os/libc.ts';
import { createMemfd, createSealedMemfd } from '../os/memfd.ts';
import { createSocketPair } from '../os/socket-pair.ts';
import { reapProcess, spawnDescriptor } from '../os/spawn-launcher.ts';
import { LaunchError, type StepFailure } from './launch-error.ts';
import type { LaunchPlan, Slot } from './launch-plan.ts';
import { CONTROL_DESCRIPTOR, encodePlan, FIRST_SLOT_DESCRIPTOR, PLAN_DESCRIPTOR } from './launcher-protocol.ts';
import { type AttachRequest, followSupervisor, type Supervisor } from './supervisor.ts';

export interface LaunchOptions {
  /** The daemon's descriptors for the slots that the plan takes as given (the layers' mounts). */
  readonly descriptors: ReadonlyMap<Slot, number>;
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
  close(): void;
}

const EPIPE = 32;

/**
 * Reads the launcher once into a sealed file in memory: every launch runs exactly these bytes, and no container can write
 * to them through /proc/PID/exe (CVE-2019-5736).
 * @throws the file system's error where the launcher is missing (build it with `make -C packages/launcher`).
 */
export function createLauncher(options: { readonly launcherPath: string }): Launcher {
  const executable = createSealedMemfd('tsd-launch', readFileSync(options.launcherPath));
  return {
    launch: (plan, launchOptions) => launch(executable, plan, launchOptions),
    close: () => closeSync(executable),
  };
}

async function launch(executable: number, plan: LaunchPlan, options: LaunchOptions): Promise<Supervisor> {
  const report = (failure: { step: number | null; errno: number; detail: string }): void =>
    options.onWarning?.({ ...failure, errnoName: errnoName(failure.errno) });
  let failed: LaunchError | null = null;
  const { daemonEnd, pid } = startLauncher(executable, plan, options.descriptors);
  const { connection, started } = followSupervisor(daemonEnd, {
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
    await connection.start();
    return await started;
  } catch (error) {
    connection.close();
    if (failed !== null) throw failed;
    const detail = `the launcher went away: ${error instanceof Error ? error.message : String(error)}`;
    throw new LaunchError(plan, { step: null, errno: EPIPE, detail });
  } finally {
    // The launcher's first process only forks; it has ended long ago.
    await reapProcess(pid);
  }
}

/** Writes the plan into memory and starts the launcher on it. */
function startLauncher(
  executable: number,
  plan: LaunchPlan,
  slots: ReadonlyMap<Slot, number>,
): { daemonEnd: number; pid: number } {
  const planDescriptor = createMemfd('tsd-plan');
  const opened = [planDescriptor];
  try {
    const bytes = encodePlan(plan);
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(planDescriptor, bytes, offset);
    const [daemonEnd, launcherEnd] = createSocketPair();
    opened.push(launcherEnd);
    const descriptors = new Map([
      [CONTROL_DESCRIPTOR, launcherEnd],
      [PLAN_DESCRIPTOR, planDescriptor],
    ]);
    for (const [slot, descriptor] of slots) descriptors.set(FIRST_SLOT_DESCRIPTOR + slot, descriptor);
    try {
      return { daemonEnd, pid: spawnDescriptor(executable, ['tsd-launch'], descriptors) };
    } catch (error) {
      closeSync(daemonEnd);
      throw error;
    }
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}
