/** `docker tag`. */
import { TsdError } from '@tsd/shared/errors';
import {
  familiarString,
  type ImageReference,
  isValidTag,
  parseReference,
  withDefaultTag,
} from '@tsd/shared/image-reference';
import type { EventPublisher } from '../events/engine-events.ts';
import { publishImageEvent } from './image-events.ts';
import type { ImageStore } from './image-store.ts';

/**
 * Gives the image another name, taking it from whichever image had it.
 *
 * @throws TsdError `not_found` for the image, `bad_parameter` for the name.
 */
export function tagImage(
  { store, events }: { readonly store: ImageStore; readonly events: EventPublisher },
  source: string,
  target: { readonly repository: string; readonly tag: string },
): void {
  const reference = targetReference(target);
  const image = store.resolve(source);
  store.tag(image.id, reference);
  publishImageEvent({ events }, 'tag', image.id, { name: familiarString(reference), image });
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
