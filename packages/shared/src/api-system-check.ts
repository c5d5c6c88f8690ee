/**
 * POST /tsd/system/check (`?repair=1` mends): a stream of JSON objects, one a line. Progress comes between problems, the
 * summary last; a check that cannot go on ends with Docker's `{"errorDetail": {"message": …}, "error": …}` instead.
 */
import { type Static, Type } from 'typebox';

/** How far the check is; a few a second. */
export const CheckProgressSchema = Type.Object({
  checked: Type.Object({
    items: Type.Integer(),
    totalItems: Type.Integer(),
    sizeBytes: Type.Integer(),
    totalSizeBytes: Type.Integer(),
  }),
});
export type CheckProgress = Static<typeof CheckProgressSchema>;

/** One thing that is not as it should be. */
export const CheckProblemSchema = Type.Object({
  kind: Type.Union([
    Type.Literal('database'),
    Type.Literal('image'),
    Type.Literal('manifest'),
    Type.Literal('layer'),
    Type.Literal('blob'),
    Type.Literal('container'),
  ]),
  /** A digest, or an id; a table's name for `database`. */
  id: Type.String(),
  /** What is wrong, a sentence's worth. */
  problem: Type.String(),
  /** With `repair`: whether it is right now. */
  repaired: Type.Optional(Type.Boolean()),
  /** With `repair`: what was done, or why it could not be. Without: what `repair` would do, or the user can. */
  remedy: Type.Optional(Type.String()),
});
export type CheckProblem = Static<typeof CheckProblemSchema>;

/** The last line. */
export const CheckSummarySchema = Type.Object({
  summary: Type.Object({
    images: Type.Integer(),
    layers: Type.Integer(),
    blobs: Type.Integer(),
    /** Bytes that were read and hashed. */
    sizeBytes: Type.Integer(),
    problems: Type.Integer(),
    repaired: Type.Integer(),
    /** Ids of the images that are marked broken now: they cannot be started. */
    brokenImages: Type.Array(Type.String()),
    durationMs: Type.Integer(),
  }),
});
export type CheckSummary = Static<typeof CheckSummarySchema>;

export const CheckMessageSchema = Type.Union([CheckProgressSchema, CheckProblemSchema, CheckSummarySchema]);
export type CheckMessage = Static<typeof CheckMessageSchema>;
