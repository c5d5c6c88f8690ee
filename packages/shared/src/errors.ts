/**
 * The error catalogue: every error that the API answers with, its HTTP status and its stable code.
 * The body on the wire is Docker's `{"message": …}`; docs/errors.md lists the codes.
 */

const STATUS_BY_CODE = {
  not_modified: 304,
  bad_parameter: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  internal: 500,
  not_implemented: 501,
  unavailable: 503,
  insufficient_storage: 507,
} as const;

export type ErrorCode = keyof typeof STATUS_BY_CODE;

/** An error that a user sees. `message` names the field or object at fault and the remedy; it never holds a stack. */
export class TsdError extends Error {
  override readonly name = 'TsdError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** HTTP status, Docker Engine API. */
  get status(): number {
    return STATUS_BY_CODE[this.code];
  }
}

export const ERROR_STATUS: Readonly<Record<ErrorCode, number>> = STATUS_BY_CODE;
