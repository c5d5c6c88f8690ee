/** Building blocks of the API schemas. Only schema files import TypeBox: the client does not load it. */
import { type TSchema, Type } from 'typebox';

/**
 * A field that may be missing or null. Docker's daemon decodes with Go's encoding/json, which takes null for any field,
 * and its clients send null for empty lists and maps.
 */
export function OptionalField<Schema extends TSchema>(schema: Schema) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}

/** An object whose keys are free, such as labels. */
export function MapOf<Schema extends TSchema>(schema: Schema) {
  return Type.Record(Type.String(), schema);
}

export const StringList = Type.Array(Type.String());
export const StringMap = MapOf(Type.String());
/** Go's map[…]struct{}: only the keys count. */
export const KeySet = MapOf(Type.Unknown());
