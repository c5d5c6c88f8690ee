/** JSON of images: hostile bytes, parsed within a bound and checked against a schema before anyone looks at a field. */
import { TsdError } from '@tsd/shared/errors';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';

/** Gives the validator of a schema, compiled at its first use: a daemon that loads no image need not hold it. */
export type JsonChecker = () => Validator;

export function jsonChecker(schema: TSchema): JsonChecker {
  let compiled: Validator | undefined;
  return () => {
    compiled ??= Compile(schema);
    return compiled;
  };
}

/** Largest configuration, manifest or index that is accepted, in bytes; registries draw the line at the same place. */
export const MAX_JSON_BYTES = 4 * 1024 * 1024;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses `bytes` as JSON and checks it. `what` names the document in errors.
 *
 * @throws TsdError `bad_parameter`: too large, not UTF-8, not JSON, not of the expected shape (the first fault is named).
 */
export function parseJson(bytes: Uint8Array, checker: JsonChecker, what: string): unknown {
  if (bytes.length > MAX_JSON_BYTES) {
    throw new TsdError('bad_parameter', `${what} is larger than ${MAX_JSON_BYTES} bytes`);
  }
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new TsdError('bad_parameter', `${what} is not valid JSON`, { cause: error });
  }
  const validator = checker();
  if (!validator.Check(value)) {
    throw new TsdError('bad_parameter', `${what} is not valid: ${firstFault(validator, value)}`);
  }
  return value;
}

function firstFault(validator: Validator, value: unknown): string {
  for (const { instancePath, message } of validator.Errors(value)) {
    return `${instancePath === '' ? 'the document' : instancePath.slice(1, 200)} ${message}`;
  }
  return 'it does not have the expected fields';
}

/** Go's encoders write `null` for an empty list, map or pointer: drops such fields, one level deep. */
export function withoutNulls(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}
