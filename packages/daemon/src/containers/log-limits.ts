/** Where a container's output goes and how much of it is kept: `HostConfig.LogConfig`. */
import { TsdError } from '@tsd/shared/errors';
import { parseBytes } from '@tsd/shared/units';
import type { HostConfig } from './container.ts';
import { checkLogDetails } from './log-details.ts';

export interface LogLimits {
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** Bounded by default: a chatty container must not fill the disk. */
const DEFAULT_LIMITS: LogLimits = { maxBytes: 50 * 1024 * 1024, maxFiles: 5 };
/** A smaller file would be rotated at every line. */
const MINIMUM_BYTES = 4096;
const MAXIMUM_FILES = 1000;

/** Options of Docker's json-file and local drivers that change nothing about what is kept: log-details.ts has most. */
const OTHER_OPTIONS: ReadonlySet<string> = new Set([
  'compress',
  'env',
  'env-regex',
  'labels',
  'labels-regex',
  'mode',
  'tag',
]);

/**
 * The limits of the log; null with driver `none`.
 *
 * @throws TsdError `bad_parameter` for an unknown driver or option
 */
export function parseLogLimits(logConfig: HostConfig['LogConfig']): LogLimits | null {
  const { Type, Config } = logConfig;
  if (Type === 'none') return null;
  if (Type !== 'json-file' && Type !== 'local') {
    throw new TsdError('bad_parameter', `logger: no log driver named '${Type}' is registered`);
  }
  for (const option of Object.keys(Config)) {
    if (option === 'max-size' || option === 'max-file' || OTHER_OPTIONS.has(option)) continue;
    throw new TsdError('bad_parameter', `unknown log opt '${option}' for ${Type} log driver`);
  }
  checkLogDetails(Config);
  const size = Config['max-size'];
  const files = Config['max-file'];
  // -1 is Docker's "no limit": the largest that the rotation's arithmetic takes.
  const maxBytes =
    size === undefined
      ? DEFAULT_LIMITS.maxBytes
      : size === '-1'
        ? Number.MAX_SAFE_INTEGER
        : parseBytes(size, 'max-size');
  if (maxBytes < MINIMUM_BYTES) {
    throw new TsdError('bad_parameter', `invalid log opt max-size: ${size}: at least ${MINIMUM_BYTES} bytes`);
  }
  if (files !== undefined && !/^\d{1,4}$/.test(files)) {
    throw new TsdError('bad_parameter', `invalid log opt max-file: ${files}: a number`);
  }
  // Docker's json-file, not its local, keeps a single file where only a size is given.
  const single = Type === 'json-file' && size !== undefined;
  const maxFiles = files === undefined ? (single ? 1 : DEFAULT_LIMITS.maxFiles) : Number(files);
  if (maxFiles < 1 || maxFiles > MAXIMUM_FILES) {
    throw new TsdError('bad_parameter', `invalid log opt max-file: ${files}: from 1 to ${MAXIMUM_FILES}`);
  }
  return { maxBytes, maxFiles };
}
