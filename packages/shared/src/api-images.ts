/** Requests and answers under /images, Docker Engine API. */
import { type Static, Type } from 'typebox';
import { OptionalField, StringMap } from './api-schema.ts';

/** Docker reads a query flag as true unless it is empty, `0`, `no`, `false` or `none`. */
const Flag = Type.Optional(Type.String());

/** One value or the parameter repeated. */
const Texts = Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())]));

export const ImageListQuerySchema = Type.Object({
  all: Flag,
  filters: Type.Optional(Type.String()),
  'shared-size': Flag,
  digests: Flag,
  manifests: Flag,
});
export type ImageListQuery = Static<typeof ImageListQuerySchema>;

export const ImageLoadQuerySchema = Type.Object({ quiet: Flag, platform: Texts });
export type ImageLoadQuery = Static<typeof ImageLoadQuerySchema>;

export const ImageCreateQuerySchema = Type.Object({
  fromImage: Type.Optional(Type.String()),
  fromSrc: Type.Optional(Type.String()),
  repo: Type.Optional(Type.String()),
  tag: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  changes: Texts,
  platform: Type.Optional(Type.String()),
});
export type ImageCreateQuery = Static<typeof ImageCreateQuerySchema>;

export const ImageSaveQuerySchema = Type.Object({ names: Texts, platform: Texts });
export type ImageSaveQuery = Static<typeof ImageSaveQuerySchema>;

export const ImageTagQuerySchema = Type.Object({
  repo: Type.Optional(Type.String()),
  tag: Type.Optional(Type.String()),
});
export type ImageTagQuery = Static<typeof ImageTagQuerySchema>;

export const ImagePushQuerySchema = Type.Object({
  tag: Type.Optional(Type.String()),
  platform: Type.Optional(Type.String()),
});
export type ImagePushQuery = Static<typeof ImagePushQuerySchema>;

export const ImageDeleteQuerySchema = Type.Object({ force: Flag, noprune: Flag });
export type ImageDeleteQuery = Static<typeof ImageDeleteQuerySchema>;

export const ImagePruneQuerySchema = Type.Object({ filters: Type.Optional(Type.String()) });
export type ImagePruneQuery = Static<typeof ImagePruneQuerySchema>;

export const ImageSummarySchema = Type.Object({
  Id: Type.String(),
  ParentId: Type.String(),
  RepoTags: Type.Array(Type.String()),
  RepoDigests: Type.Array(Type.String()),
  /** Unix seconds. */
  Created: Type.Integer(),
  /** Bytes, as the two below. -1: not computed. */
  Size: Type.Integer(),
  SharedSize: Type.Integer(),
  VirtualSize: Type.Optional(Type.Integer()),
  Labels: Type.Union([StringMap, Type.Null()]),
  /** -1: not counted. */
  Containers: Type.Integer(),
});
export type ImageSummary = Static<typeof ImageSummarySchema>;

export const ImageHistoryItemSchema = Type.Object({
  Id: Type.String(),
  /** Unix seconds. */
  Created: Type.Integer(),
  CreatedBy: Type.String(),
  Tags: Type.Union([Type.Array(Type.String()), Type.Null()]),
  /** Bytes. */
  Size: Type.Integer(),
  Comment: Type.String(),
});
export type ImageHistoryItem = Static<typeof ImageHistoryItemSchema>;

const nullableTexts = Type.Union([Type.Array(Type.String()), Type.Null()]);

export const ImageInspectSchema = Type.Object({
  Id: Type.String(),
  RepoTags: Type.Array(Type.String()),
  RepoDigests: Type.Array(Type.String()),
  Parent: Type.String(),
  Comment: Type.String(),
  /** RFC 3339. */
  Created: Type.String(),
  DockerVersion: Type.String(),
  Author: Type.String(),
  /** The image's own `config`; unknown fields are left out. */
  Config: Type.Object(
    {
      User: Type.String(),
      Env: nullableTexts,
      Cmd: nullableTexts,
      Entrypoint: nullableTexts,
      Volumes: Type.Unknown(),
      WorkingDir: Type.String(),
      OnBuild: nullableTexts,
      Labels: OptionalField(StringMap),
    },
    { additionalProperties: true },
  ),
  Architecture: Type.String(),
  Variant: Type.Optional(Type.String()),
  Os: Type.String(),
  OsVersion: Type.Optional(Type.String()),
  /** Bytes of all layers' files. */
  Size: Type.Integer(),
  VirtualSize: Type.Optional(Type.Integer()),
  GraphDriver: Type.Object({ Name: Type.String(), Data: Type.Union([StringMap, Type.Null()]) }),
  RootFS: Type.Object({ Type: Type.String(), Layers: Type.Array(Type.String()) }),
  Metadata: Type.Object({ LastTagTime: Type.String() }),
});
export type ImageInspect = Static<typeof ImageInspectSchema>;

export const ImageDeleteItemSchema = Type.Object({
  Untagged: Type.Optional(Type.String()),
  Deleted: Type.Optional(Type.String()),
});
export type ImageDeleteItem = Static<typeof ImageDeleteItemSchema>;

export const ImagePruneResultSchema = Type.Object({
  ImagesDeleted: Type.Union([Type.Array(ImageDeleteItemSchema), Type.Null()]),
  /** Bytes. */
  SpaceReclaimed: Type.Integer(),
});
export type ImagePruneResult = Static<typeof ImagePruneResultSchema>;

/** OCI image-spec, "descriptor" and "image index". */
export const DistributionInspectSchema = Type.Object({
  Descriptor: Type.Object({ mediaType: Type.String(), digest: Type.String(), size: Type.Integer() }),
  Platforms: Type.Array(
    Type.Object({ architecture: Type.String(), os: Type.String(), variant: Type.Optional(Type.String()) }),
  ),
});
export type DistributionInspect = Static<typeof DistributionInspectSchema>;

/** One line of a load, import or pull stream (moby, pkg/jsonmessage). */
export const ProgressMessageSchema = Type.Object({
  stream: Type.Optional(Type.String()),
  status: Type.Optional(Type.String()),
  id: Type.Optional(Type.String()),
  progressDetail: Type.Optional(
    Type.Object({ current: Type.Optional(Type.Integer()), total: Type.Optional(Type.Integer()) }),
  ),
  /** The bar that `progressDetail` amounts to, drawn. */
  progress: Type.Optional(Type.String()),
  error: Type.Optional(Type.String()),
  errorDetail: Type.Optional(Type.Object({ message: Type.String() })),
  /** Of a push: what a tag is in the registry now. */
  aux: Type.Optional(Type.Object({ Tag: Type.String(), Digest: Type.String(), Size: Type.Integer() })),
});
export type ProgressMessage = Static<typeof ProgressMessageSchema>;
