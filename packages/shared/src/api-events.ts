/** GET /events of the Docker Engine API. */
import { type Static, Type } from 'typebox';
import { OptionalField, StringMap } from './api-schema.ts';

export const EventTypeSchema = Type.Enum(['container', 'image', 'network', 'daemon']);
export type EventType = Static<typeof EventTypeSchema>;

/** One line of the answer. `status`, `id` and `from` are for older clients, of containers and images only. */
export const EventMessageSchema = Type.Object({
  status: OptionalField(Type.String()),
  id: OptionalField(Type.String()),
  from: OptionalField(Type.String()),
  Type: EventTypeSchema,
  Action: Type.String(),
  Actor: Type.Object({ ID: Type.String(), Attributes: StringMap }),
  scope: Type.String(),
  /** Unix time, seconds. */
  time: Type.Integer(),
  /** Unix time, nanoseconds: more than a double holds exactly. */
  timeNano: Type.Integer(),
});
export type EventMessage = Static<typeof EventMessageSchema>;
