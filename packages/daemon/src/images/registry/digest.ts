/** Digests of content: OCI image-spec, "digests". */
import { createHash } from 'node:crypto';
import { isDigest } from '@tsd/shared/image-reference';

/** `sha256:…` of the bytes. */
export function sha256Digest(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Whether the bytes have a digest; of any algorithm that references know. */
export function hasDigest(bytes: Uint8Array, digest: string): boolean {
  if (!isDigest(digest)) return false;
  const [algorithm = '', hex] = digest.split(':');
  return createHash(algorithm).update(bytes).digest('hex') === hex;
}
