/** OCI image layout: index.json leads, through nested indexes, to manifests. OCI image-spec, "image layout" and "image index". */
import { TsdError } from '@tsd/shared/errors';
import { type ImageReference, parseReference, withDefaultTag } from '@tsd/shared/image-reference';
import type { ArchiveContents } from './archive-contents.ts';
import { parseImageConfig } from './image-config.ts';
import type { NewImage } from './image-store.ts';
import { type Descriptor, isAttestation, MEDIA_TYPE } from './oci-descriptor.ts';
import {
  createOciReader,
  IMAGE_NAME_ANNOTATION,
  type Manifest,
  type OciReader,
  REF_NAME_ANNOTATION,
} from './oci-documents.ts';
import { planImage, requireDocument } from './planned-image.ts';
import { formatPlatform, HOST_PLATFORM, type Platform, platformMatches } from './platform.ts';

/** Indexes within indexes; real archives have two levels. */
const MAX_INDEX_DEPTH = 8;
/** Platforms that an error names. */
const MAX_SHOWN_PLATFORMS = 12;

/** A manifest of an image, somewhere below index.json. */
interface FoundManifest {
  readonly digest: string;
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
  const reader = createOciReader(contents);
  const images = new Map<string, { manifest: Manifest; tags: ImageReference[] }>();
  const others = new Set<string>();
  for (const top of reader.top()) {
    const candidates = findManifests(contents, reader, top, []);
    const found = choose(candidates, platform);
    if (found === null) {
      for (const candidate of candidates) others.add(formatPlatform(candidate.platform));
      continue;
    }
    const image = images.get(found.digest) ?? { manifest: found.manifest, tags: [] };
    const tag = nameOf(top);
    if (tag !== null) image.tags.push(tag);
    images.set(found.digest, image);
  }
  if (images.size === 0) throw noImage(platform ?? HOST_PLATFORM, [...others].sort());
  return [...images.values()].map(({ manifest: { config, layers }, tags }) =>
    planImage(
      { name: config.digest, blob: contents.withDigest(config.digest) },
      (layers ?? []).map(({ digest }) => ({ name: digest, blob: contents.withDigest(digest) })),
      tags,
    ),
  );
}

function noImage(wanted: Platform, others: readonly string[]): TsdError {
  if (others.length === 0) return new TsdError('bad_parameter', 'the archive holds no container image');
  const shown = others.slice(0, MAX_SHOWN_PLATFORMS).join(', ');
  return new TsdError('bad_parameter', `the archive holds no image for ${formatPlatform(wanted)}, only for ${shown}`);
}

/** One image among those of an index: the wanted platform's; without a wish the only one, or the host's. */
function choose(candidates: readonly FoundManifest[], platform: Platform | undefined): FoundManifest | null {
  if (platform === undefined && candidates.length === 1) return candidates[0] ?? null;
  return candidates.find((candidate) => platformMatches(platform ?? HOST_PLATFORM, candidate.platform)) ?? null;
}

function findManifests(
  contents: ArchiveContents,
  reader: OciReader,
  descriptor: Descriptor,
  ancestors: readonly string[],
): FoundManifest[] {
  if (ancestors.includes(descriptor.digest))
    throw new TsdError('bad_parameter', `index ${descriptor.digest} holds itself`);
  if (ancestors.length >= MAX_INDEX_DEPTH) {
    throw new TsdError('bad_parameter', `the archive nests indexes more than ${MAX_INDEX_DEPTH} deep`);
  }
  if (isAttestation(descriptor)) return [];
  switch (descriptor.mediaType) {
    case MEDIA_TYPE.index:
    case MEDIA_TYPE.dockerManifestList: {
      const present = reader
        .index(descriptor)
        .filter((child) => contents.withDigest(child.digest) !== null || isWanted(child));
      return present.flatMap((child) => findManifests(contents, reader, child, [...ancestors, descriptor.digest]));
    }
    case MEDIA_TYPE.manifest:
    case MEDIA_TYPE.dockerManifest: {
      const manifest = reader.manifest(descriptor);
      // Other artifacts (charts, signatures) are manifests too; they are passed over.
      if (manifest.config.mediaType !== MEDIA_TYPE.config && manifest.config.mediaType !== MEDIA_TYPE.dockerConfig)
        return [];
      return [
        { digest: descriptor.digest, manifest, platform: descriptor.platform ?? configPlatform(contents, manifest) },
      ];
    }
    default:
      return [];
  }
}

/** An index may name images of other platforms that the archive leaves out; the host's must be there. */
function isWanted({ platform }: Descriptor): boolean {
  return !platform || platformMatches(HOST_PLATFORM, platform);
}

function configPlatform(contents: ArchiveContents, { config }: Manifest): Platform {
  return parseImageConfig(requireDocument(config.digest, contents.withDigest(config.digest), 'configuration'));
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
