/** Which events a client asks for: the `filters` of GET /events. Pure; moby daemon/events/filter.go. */
import { type Filters, matchesLabels } from '@tsd/shared/filters';
import type { EngineEvent } from './engine-events.ts';

export const EVENT_FILTERS: ReadonlySet<string> = new Set([
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
]);

/** Kinds of objects that a filter names by id or name, or by the beginning of one. */
const OBJECTS = ['container', 'network', 'volume', 'plugin', 'daemon', 'service', 'node', 'secret', 'config'];
/** Actions with details behind a colon, which their filters need not name. */
const DETAILED = ['health_status', 'exec_create', 'exec_start'];

/** Every key must match, by any of its values. */
export function matchesEvent(filters: Filters, event: EngineEvent): boolean {
  const { type, action, attributes } = event;
  const anyOf = (key: string, matches: (value: string) => boolean): boolean => {
    const values = filters.get(key) ?? [];
    return values.length === 0 || values.some(matches);
  };
  return (
    anyOf('event', (value) => value === action || (DETAILED.includes(value) && action.startsWith(value))) &&
    anyOf('type', (value) => value === type) &&
    anyOf('scope', (value) => value === 'local') &&
    OBJECTS.every((key) => anyOf(key, (value) => type === key && namesObject(event, value))) &&
    anyOf('image', (value) => imageNames(event).includes(value)) &&
    matchesLabels(filters, attributes)
  );
}

function namesObject({ id, attributes }: EngineEvent, value: string): boolean {
  return id.startsWith(value) || (attributes['name'] ?? '').startsWith(value);
}

/** Of an image's own events, and of those of the containers that were made from it; with and without the tag. */
function imageNames({ type, id, attributes }: EngineEvent): readonly string[] {
  const name = attributes[type === 'image' ? 'name' : 'image'] ?? '';
  return [id, name].flatMap((text) => [text, text.replace(/(@[^@/]+|:[^:/]+)$/, '')]);
}
