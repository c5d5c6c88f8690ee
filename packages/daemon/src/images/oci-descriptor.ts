/** Descriptors, with which indexes and manifests point at content, and the media types that they name. */
import Type from 'typebox';
import type { Platform } from './platform.ts';

export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

export interface Descriptor {
  readonly mediaType?: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | null;
  readonly platform?: Platform | null;
}

/** Go's encoders write `null` for what is empty. */
export const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const PlatformPart = Type.String({ maxLength: 64, pattern: '^[A-Za-z0-9._-]*$' });

export const DescriptorSchema = Type.Object({
  mediaType: Type.Optional(Type.String({ maxLength: 255 })),
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  size: Type.Integer({ minimum: 0 }),
  annotations: nullable(Type.Record(Type.String(), Type.String())),
  platform: nullable(
    Type.Object({ os: PlatformPart, architecture: PlatformPart, variant: Type.Optional(PlatformPart) }),
  ),
});

/** buildx's provenance and SBOM documents: no images, though they look like manifests. */
export function isAttestation({ annotations, platform }: Descriptor): boolean {
  return platform?.os === 'unknown' || annotations?.['vnd.docker.reference.type'] === 'attestation-manifest';
}
