/** Starts a launcher with a plan and follows it until the container's process runs. */
import type { LaunchPlan, Slot } from './launch-plan.ts';
import type { AttachRequest, Supervisor } from './supervisor.ts';

/** A step of the plan that the kernel refused. */
export interface LaunchFailure {
  /** Index into the plan's steps. */
  readonly step: number;
  readonly errno: number;
  readonly errnoName: string;
  /** Path or object of the step. */
  readonly detail: string;
}

export interface Launcher {
  /**
   * Resolves once the process runs. Warnings of optional steps come through `onWarning`.
   * @throws LaunchError where a step fails; nothing of the container is left then but its cgroup directories.
   */
  launch(
    plan: LaunchPlan,
    options: {
      readonly descriptors: ReadonlyMap<Slot, number>;
      /** Clients that are attached before the process starts, so that no byte is lost. */
      readonly attach: readonly AttachRequest[];
      readonly onWarning?: (warning: LaunchFailure) => void;
    },
  ): Promise<Supervisor>;
  close(): void;
}

export declare function createLauncher(options: { readonly launcherPath: string }): Launcher;
