/** Events of containers, with Docker's attributes: moby daemon/events.go. */
import type { EventPublisher } from '../events/engine-events.ts';
import type { ContainerRecord } from './container.ts';

type Described = Pick<ContainerRecord, 'id' | 'name' | 'imageReference' | 'config'>;

/** @param attributes those of this action alone; the container's labels, its image and its name come with every one */
export function publishContainerEvent(
  { events }: { readonly events: EventPublisher },
  { id, name, imageReference, config }: Described,
  action: string,
  attributes: Readonly<Record<string, string>> = {},
): void {
  events.publish({
    type: 'container',
    action,
    id,
    attributes: { ...config.Labels, ...attributes, image: imageReference, name },
  });
}
