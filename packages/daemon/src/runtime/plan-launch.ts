/** The one place where a container's configuration becomes the steps that make it. Pure. */
import type { LaunchInput } from './launch-input.ts';
import type { LaunchPlan } from './launch-plan.ts';

export interface PlannedLaunch {
  readonly plan: LaunchPlan;
  /** What the container will not get although it was asked for, in Docker's words, for the create response. */
  readonly warnings: readonly string[];
}

export declare function planLaunch(input: LaunchInput): PlannedLaunch;
