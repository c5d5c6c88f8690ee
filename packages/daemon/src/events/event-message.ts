/** An event as a line of GET /events. Pure. */
import type { TimedEvent } from './engine-events.ts';

/** JSON with a final line feed; with the fields `status`, `id` and `from` of before API 1.52. */
export function eventMessage({ type, action, id, attributes, timeNs }: TimedEvent): string {
  const message = {
    ...(type === 'container' || type === 'image' ? { status: action, id } : {}),
    ...(type === 'container' ? { from: attributes['image'] ?? '' } : {}),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: 'local',
    time: Number(timeNs / 1_000_000_000n),
  };
  // A number that JSON.stringify cannot write: it is more than a double holds exactly.
  return `${JSON.stringify(message).slice(0, -1)},"timeNano":${timeNs}}\n`;
}
