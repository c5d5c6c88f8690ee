/** Versions of the Docker Engine API: the range that tsd serves, and the version in a request's path. */
import { TsdError } from '@tsd/shared/errors';

/**
 * The newest version whose behaviour tsd has at the endpoints it implements. 1.48 would promise image mounts and the
 * `platform` parameter of load and save.
 */
export const API_VERSION = '1.47';
export const MIN_API_VERSION = '1.24';

const VERSION_PREFIX = /^\/v([0-9]+(?:\.[0-9]+)*)(\/.*)$/;

/** Splits `/v1.45/info` into the version and `/info`; the version is null where the path has none. */
export function splitVersion(url: string): { version: string | null; path: string } {
  const match = VERSION_PREFIX.exec(url);
  return match === null ? { version: null, path: url } : { version: match[1] ?? null, path: match[2] ?? '/' };
}

/** Negative, zero or positive as `a` is older than, the same as or newer than `b`; numbers compare part by part. */
export function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Refuses a version out of range with Docker's texts (moby, middleware/version.go). Throws bad_parameter. */
export function checkVersion(version: string): void {
  if (compareVersions(version, MIN_API_VERSION) < 0) {
    throw new TsdError(
      'bad_parameter',
      `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`,
    );
  }
  if (compareVersions(version, API_VERSION) > 0) {
    throw new TsdError(
      'bad_parameter',
      `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`,
    );
  }
}
