import { CliError } from '../../cli-error.ts';

/** A --format template that cannot be parsed, or that asks for something that is not there. Exit code 64 as Docker's. */
export class TemplateError extends CliError {
  override readonly name = 'TemplateError';

  constructor(message: string) {
    super(`template parsing error: ${message}`, { exitCode: 64 });
  }
}
