import { CliError } from '../../cli-error.ts';

const PARSE_EXIT_CODE = 64;

/**
 * A --format template that cannot be parsed (exit code 64, as Docker's), or that asks for something that is not there
 * (exit code 1).
 */
export class TemplateError extends CliError {
  override readonly name = 'TemplateError';
  readonly reason: string;

  constructor(reason: string, phase: 'parse' | 'execute' = 'execute') {
    const parsing = phase === 'parse';
    super(`${parsing ? 'template parsing error' : 'failed to execute template'}: ${reason}`, {
      exitCode: parsing ? PARSE_EXIT_CODE : 1,
    });
    this.reason = reason;
  }
}
