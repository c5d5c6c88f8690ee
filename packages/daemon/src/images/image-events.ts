/** Events of images, with Docker's attributes: moby daemon/images/image_events.go. */
import type { EventPublisher } from '../events/engine-events.ts';
import type { Image } from './image.ts';

/** @param id the image's; of pulls and pushes the name that was asked for */
export function publishImageEvent(
  { events }: { readonly events: EventPublisher },
  action: string,
  id: string,
  { name = id, image }: { readonly name?: string; readonly image?: Image | null } = {},
): void {
  events.publish({ type: 'image', action, id, attributes: { ...image?.config.config?.Labels, name } });
}
