/** OCI image layout: index.json leads, through nested indexes, to manifests. OCI image-spec, "image layout" and "image index". */
import { TsdError } from '@tsd/shared/errors';
import { type ImageReference, parseReference, withDefaultTag } from '@tsd/shared/image-reference';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { ArchiveContents } from './archive-contents.ts';
import { MAX_LAYERS, parseImageConfig } from './image-config.ts';
import type { NewImage } from './image-store.ts';
import { parseJson } from './parse-json.ts';
import { planImage, requireDocument } from './planned-image.ts';
import { formatPlatform, HOST_PLATFORM, type Platform, platformMatches } from './platform.ts';

export const OCI_INDEX_PATH = 'index.json';

export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const;

/** Full name of an image, as containerd and buildx note it. */
export const IMAGE_NAME_ANNOTATION = 'io.containerd.image.name';
/** Full name (skopeo) or the tag alone (buildx, docker). */
export const REF_NAME_ANNOTATION = 'org.opencontainers.image.ref.name';

/** Indexes within indexes; real archives have two levels. */
const MAX_INDEX_DEPTH = 8;
const MAX_MANIFESTS = 10_000;

const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

const DescriptorSchema = Type.Object({
  mediaType: Type.Optional(Type.String({ maxLength: 255 })),
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  size: Type.Integer({ minimum: 0 }),
  annotations: nullable(Type.Record(Type.String(), Type.String())),
  platform: nullable(
    Type.Object({
      os: Type.String({ maxLength: 64 }),
      architecture: Type.String({ maxLength: 64 }),
      variant: Type.Optional(Type.String({ maxLength: 64 })),
    }),
  ),
});

const indexChecker = Compile(
  Type.Object({ manifests: nullable(Type.Array(DescriptorSchema, { maxItems: MAX_MANIFESTS })) }),
);
const manifestChecker = Compile(
  Type.Object({ config: DescriptorSchema, layers: nullable(Type.Array(DescriptorSchema, { maxItems: MAX_LAYERS })) }),
);

interface Descriptor {
  readonly mediaType?: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | null;
  readonly platform?: Platform | null;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers?: readonly Descriptor[] | null;
}

/** A manifest somewhere below index.json, with the name that led to it. */
interface FoundManifest {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly platform: Platform;
}

/**
 * The images of an OCI layout: per entry of index.json the one for `platform` (this host's where it is not given).
 *
 * @throws TsdError `bad_parameter` for anything missing, cyclic, invalid or not matching, and when no image is for the
 *   platform.
 */
export function planOciLayout(contents: ArchiveContents, platform?: Platform): NewImage[] {
  const bytes = requireDocument(OCI_INDEX_PATH, contents.at(OCI_INDEX_PATH), 'index');
  const { manifests } = parseJson(bytes, indexChecker, OCI_INDEX_PATH) as { manifests?: readonly Descriptor[] | null };
  const images = new Map<string, { found: FoundManifest; tags: ImageReference[] }>();
  const others = new Set<string>();
  for (const top of manifests ?? []) {
    const candidates = findManifests(contents, top, [], { left: MAX_MANIFESTS });
    const found = choose(candidates, platform);
    if (found === null) {
      for (const candidate of candidates) others.add(formatPlatform(candidate.platform));
      continue;
    }
    const image = images.get(found.descriptor.digest) ?? { found, tags: [] };
    const tag = nameOf(top);
    if (tag !== null) image.tags.push(tag);
    images.set(found.descriptor.digest, image);
  }
  if (images.size === 0) {
    const wanted = formatPlatform(platform ?? HOST_PLATFORM);
    throw new TsdError(
      'bad_parameter',
      others.size === 0
        ? 'the archive holds no container image'
        : `the archive holds no image for ${wanted}, only for ${[...others].sort().join(', ')}`,
    );
  }
  return [...images.values()].map(({ found: { manifest }, tags }) =>
    planImage(
      { name: manifest.config.digest, blob: contents.withDigest(manifest.config.digest) },
      (manifest.layers ?? []).map(({ digest }) => ({ name: digest, blob: contents.withDigest(digest) })),
      tags,
    ),
  );
}

/** One image among those of an index: the wanted platform's; without a wish the only one, or the host's. */
function choose(candidates: readonly FoundManifest[], platform: Platform | undefined): FoundManifest | null {
  if (platform === undefined && candidates.length === 1) return candidates[0] ?? null;
  return candidates.find((candidate) => platformMatches(platform ?? HOST_PLATFORM, candidate.platform)) ?? null;
}

function findManifests(
  contents: ArchiveContents,
  descriptor: Descriptor,
  ancestors: readonly string[],
  budget: { left: number },
): FoundManifest[] {
  if (ancestors.includes(descriptor.digest))
    throw new TsdError('bad_parameter', `index ${descriptor.digest} holds itself`);
  if (ancestors.length >= MAX_INDEX_DEPTH) {
    throw new TsdError('bad_parameter', `the archive nests indexes more than ${MAX_INDEX_DEPTH} deep`);
  }
  if (--budget.left < 0) throw new TsdError('bad_parameter', `the archive names more than ${MAX_MANIFESTS} manifests`);
  if (isAttestation(descriptor)) return [];
  switch (descriptor.mediaType) {
    case MEDIA_TYPE.index:
    case MEDIA_TYPE.dockerManifestList: {
      const { manifests } = readJson(contents, descriptor, indexChecker, 'index') as {
        manifests?: readonly Descriptor[] | null;
      };
      const present = (manifests ?? []).filter(
        (child) => contents.withDigest(child.digest) !== null || isWanted(child),
      );
      return present.flatMap((child) => findManifests(contents, child, [...ancestors, descriptor.digest], budget));
    }
    case MEDIA_TYPE.manifest:
    case MEDIA_TYPE.dockerManifest: {
      const manifest = readJson(contents, descriptor, manifestChecker, 'manifest') as Manifest;
      // Other artifacts (charts, signatures) are manifests too; they are passed over.
      if (manifest.config.mediaType !== MEDIA_TYPE.config && manifest.config.mediaType !== MEDIA_TYPE.dockerConfig)
        return [];
      return [{ descriptor, manifest, platform: descriptor.platform ?? configPlatform(contents, manifest) }];
    }
    default:
      return [];
  }
}

/** An index may name images of other platforms that the archive leaves out; the host's must be there. */
function isWanted({ platform }: Descriptor): boolean {
  return !platform || platformMatches(HOST_PLATFORM, platform);
}

/** buildx's provenance and SBOM documents: no images, though they look like manifests. */
function isAttestation({ annotations, platform }: Descriptor): boolean {
  return platform?.os === 'unknown' || annotations?.['vnd.docker.reference.type'] === 'attestation-manifest';
}

function configPlatform(contents: ArchiveContents, { config }: Manifest): Platform {
  return parseImageConfig(requireDocument(config.digest, contents.withDigest(config.digest), 'configuration'));
}

function readJson(
  contents: ArchiveContents,
  { digest, size }: Descriptor,
  checker: Parameters<typeof parseJson>[1],
  what: string,
): unknown {
  const bytes = requireDocument(digest, contents.withDigest(digest), what);
  if (bytes.length !== size) {
    throw new TsdError(
      'bad_parameter',
      `${what} ${digest} has ${bytes.length} bytes where its descriptor says ${size}`,
    );
  }
  return parseJson(bytes, checker, `${what} ${digest}`);
}

/** Null where only a tag, or nothing, is noted: an image without a repository stays untagged. */
function nameOf({ annotations }: Descriptor): ImageReference | null {
  const fullName = annotations?.[IMAGE_NAME_ANNOTATION];
  const refName = annotations?.[REF_NAME_ANNOTATION];
  const text = fullName ?? (refName !== undefined && /[:/]/.test(refName) ? refName : undefined);
  if (text === undefined) return null;
  const reference = withDefaultTag(parseReference(text));
  return reference.digest === undefined ? reference : null;
}
