import { TsdError } from '@tsd/shared/errors';
import { type ImageReference, isDigest, isValidTag, parseReference } from '@tsd/shared/image-reference';

/**
 * What the API's `fromImage` and `tag` parameters mean; `tag` may be a digest, and `fromImage` may hold either itself. A
 * result without both means every tag. A digest overrides a tag.
 *
 * @throws TsdError `bad_parameter`
 */
export function pullReference(fromImage: string, tag: string): ImageReference {
  // `docker pull -a` of old clients sends a trailing colon.
  const { domain, path, ...named } = parseReference(fromImage.replace(/:$/, ''));
  const digest = isDigest(tag) ? tag : named.digest;
  if (digest !== undefined) {
    if (!digest.startsWith('sha256:')) {
      throw new TsdError('bad_parameter', `${digest}: images are only known by sha256 digests`);
    }
    return { domain, path, digest };
  }
  if (tag !== '' && !isValidTag(tag)) {
    throw new TsdError('bad_parameter', `invalid tag format: ${JSON.stringify(tag)}`);
  }
  const wanted = tag === '' ? named.tag : tag;
  return wanted === undefined ? { domain, path } : { domain, path, tag: wanted };
}
