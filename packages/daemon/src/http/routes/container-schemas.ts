/** What the routes of /containers have in common: their parameters and how they are described in /openapi.json. */
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { type Static, type TSchema, Type } from 'typebox';

export const IdParams = Type.Object({ id: Type.String({ minLength: 1 }) });
export type Id = { Params: Static<typeof IdParams> };

/** Query parameters are all optional text; what they mean is read by query-values.ts. */
export function queryOf<Name extends string>(...names: readonly Name[]) {
  const properties = Object.fromEntries(names.map((name) => [name, Type.Optional(Type.String())]));
  return Type.Object(properties as Record<Name, ReturnType<typeof Type.Optional<ReturnType<typeof Type.String>>>>);
}

export type Query<Name extends string> = { Querystring: { readonly [N in Name]?: string } };

export function describe(summary: string, answer: TSchema, parts: object, status = 200): object {
  return { tags: ['Container'], summary, ...parts, response: { [status]: answer, default: ErrorResponseSchema } };
}

export function describeEmpty(summary: string, parts: object, status = 204): object {
  return describe(summary, Type.Null(), { params: IdParams, ...parts }, status);
}
