/** Digests as file names: `sha256:<64 hexadecimal digits>`. */
import { TsdError } from '@tsd/shared/errors';

const DIGEST = /^sha256:([0-9a-f]{64})$/;

export function isSha256Digest(text: string): boolean {
  return DIGEST.test(text);
}

/** The hexadecimal digits. @throws TsdError bad_parameter for anything else, so that it is safe as a file name */
export function digestHex(digest: string): string {
  const hex = DIGEST.exec(digest)?.[1];
  if (hex === undefined)
    throw new TsdError('bad_parameter', `not a sha256 digest: ${JSON.stringify(digest.slice(0, 80))}`);
  return hex;
}
