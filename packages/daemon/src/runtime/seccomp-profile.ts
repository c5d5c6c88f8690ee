/** Seccomp profiles in Docker's JSON format: parsed, and resolved for one container. */

/** One argument condition, seccomp_rule_add(3). */
export interface SeccompCondition {
  readonly index: number;
  readonly op: string;
  readonly value: bigint;
  readonly valueTwo: bigint;
}

/** What remains of a profile once its conditions (capabilities, architecture, kernel) are decided. */
export interface SeccompRules {
  readonly defaultAction: string;
  readonly defaultErrno: number | null;
  readonly rules: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errno: number | null;
    readonly conditions: readonly SeccompCondition[];
  }[];
}
