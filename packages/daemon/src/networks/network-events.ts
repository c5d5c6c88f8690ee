/** Events of networks, with Docker's attributes: moby daemon/events.go. */
import type { EventPublisher } from '../events/engine-events.ts';
import type { NetworkRecord } from './network.ts';

export function publishNetworkEvent(
  { events }: { readonly events: EventPublisher },
  { id, name, driver }: Pick<NetworkRecord, 'id' | 'name' | 'driver'>,
  action: string,
  attributes: Readonly<Record<string, string>> = {},
): void {
  events.publish({ type: 'network', action, id, attributes: { ...attributes, name, type: driver } });
}
