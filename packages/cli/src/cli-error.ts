/**
 * An error that ends the command: `message` is shown behind `tsdctl: ` on stderr, without a stack.
 * `exitCode` is 1 unless Docker's client uses another one.
 */
export class CliError extends Error {
  override readonly name: string = 'CliError';
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A mistake in the command line: the command's usage and a pointer to its help are shown below the message. */
export class UsageError extends CliError {
  override readonly name = 'UsageError';
  /** Whether the usage line is shown too, as Docker does where the shape of the command line is wrong. */
  readonly showUsage: boolean;

  constructor(message: string, options: ErrorOptions & { exitCode?: number; showUsage?: boolean } = {}) {
    super(message, { exitCode: 125, ...options });
    this.showUsage = options.showUsage ?? false;
  }
}
