/** `docker tag`. */
import { TsdError } from '@tsd/shared/errors';
import { type ImageReference, isValidTag, parseReference, withDefaultTag } from '@tsd/shared/image-reference';
import type { ImageStore } from './image-store.ts';

/**
 * Gives the image another name, taking it from whichever image had it.
 *
 * @throws TsdError `not_found` for the image, `bad_parameter` for the name.
 */
export function tagImage(
  { store }: { readonly store: ImageStore },
  source: string,
  target: { readonly repository: string; readonly tag: string },
): void {
  const reference = targetReference(target);
  store.tag(store.resolve(source).id, reference);
}

/**
 * The name that the API's `repo` and `tag` parameters mean; `repo` may hold a tag itself.
 * @throws TsdError `bad_parameter` when it is no valid name, or one with a digest.
 */
export function targetReference({
  repository,
  tag,
}: {
  readonly repository: string;
  readonly tag: string;
}): ImageReference {
  const reference = parseReference(repository);
  if (reference.digest !== undefined) {
    throw new TsdError('bad_parameter', 'refusing to create a tag with a digest reference');
  }
  if (tag === '') return withDefaultTag(reference);
  if (!isValidTag(tag)) throw new TsdError('bad_parameter', `invalid tag format: ${JSON.stringify(tag)}`);
  return { ...reference, tag };
}
