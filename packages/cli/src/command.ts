/** What a command is: a table of flags, a line of usage, and one function. */
import type { ApiClient } from './api/api-client.ts';
import type { FlagSpec, ParsedFlags } from './flags/flag-spec.ts';
import type { Output } from './output/output.ts';

export interface CommandSpec {
  /** What follows the command's name in the usage line. */
  readonly usage: string;
  /** Flags besides --help. */
  readonly flags: readonly FlagSpec[];
  readonly minArgs: number;
  readonly maxArgs: number;
  /** Whether flags may follow arguments; true if missing. */
  readonly interspersed?: boolean;
  /** Paragraphs below the summary in the help. */
  readonly description?: string;
  /** Command lines with an explanation, shown at the end of the help. */
  readonly examples?: readonly (readonly [explanation: string, command: string])[];
}

/** What a command works with; everything that reaches outside of the process comes from here. */
export interface CommandContext {
  /** The command as the user reaches it, such as `container ls`. */
  readonly commandPath: string;
  readonly client: ApiClient;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface CommandModule {
  readonly spec: CommandSpec;
  /** Resolves with the exit code. Throws CliError or TsdError for what goes wrong. */
  run(context: CommandContext, flags: ParsedFlags): Promise<number>;
}
