/** POST /commit and GET /containers/{id}/changes of the Docker Engine API. */
import { Type } from 'typebox';

export const CommitQuerySchema = Type.Object({
  /** Id or name of the container. */
  container: Type.Optional(Type.String()),
  repo: Type.Optional(Type.String()),
  tag: Type.Optional(Type.String()),
  comment: Type.Optional(Type.String()),
  author: Type.Optional(Type.String()),
  /** A flag; true if missing. */
  pause: Type.Optional(Type.String()),
  /** Dockerfile instructions. */
  changes: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
});

export const IdResponseSchema = Type.Object({ Id: Type.String() });

/** Kind 0: modified, 1: added, 2: deleted. */
export const ContainerChangesSchema = Type.Union([
  Type.Array(Type.Object({ Path: Type.String(), Kind: Type.Integer() })),
  Type.Null(),
]);
