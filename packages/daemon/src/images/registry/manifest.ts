/**
 * Manifests and indexes of registries: OCI image-spec 1.1 and Docker's schema 2. Strict where two readers of the same bytes
 * could see two images (CVE-2021-41190): the media type that the registry announces, the one in the document and the fields
 * must agree.
 */
import { TsdError } from '@tsd/shared/errors';
import Type from 'typebox';
import { MAX_LAYERS } from '../image-config.ts';
import { type Descriptor, DescriptorSchema, isAttestation, MEDIA_TYPE, nullable } from '../oci-descriptor.ts';
import { jsonChecker, MAX_JSON_BYTES, parseJson } from '../parse-json.ts';
import { formatPlatform, normalizePlatform, type Platform, platformMatches } from '../platform.ts';
import { quoted } from '../quoted.ts';
import type { BlobDescriptor, RemoteManifest } from './remote-repository.ts';

export interface ImageManifest {
  readonly kind: 'image';
  /** The one that holds: a registry may announce none. */
  readonly mediaType: string;
  readonly config: BlobDescriptor;
  /** Lowest first. */
  readonly layers: readonly BlobDescriptor[];
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  /** Manifests and further indexes; attestations and artifacts are left out. */
  readonly entries: readonly IndexEntry[];
}

export interface IndexEntry extends BlobDescriptor {
  readonly platform: Platform | null;
}

/** Entries of one index. */
const MAX_ENTRIES = 1000;
/** A compressed layer; what it may grow to has a limit of its own. */
const MAX_LAYER_BYTES = 256 * 1024 ** 3;
/** Platforms that an error names. */
const MAX_SHOWN_PLATFORMS = 12;

const INDEX_TYPES: readonly string[] = [MEDIA_TYPE.index, MEDIA_TYPE.dockerManifestList];
const MANIFEST_TYPES: readonly string[] = [MEDIA_TYPE.manifest, MEDIA_TYPE.dockerManifest];
const CONFIG_TYPES: readonly string[] = [MEDIA_TYPE.config, MEDIA_TYPE.dockerConfig];
const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;
const LAYER =
  /^application\/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)$/;
const FOREIGN_LAYER =
  /^application\/vnd\.(oci\.image\.layer\.nondistributable\.v1\.tar(\+\w+)?|docker\.image\.rootfs\.foreign\.diff\.tar(\.\w+)?)$/;
/** Types that say nothing: the document's own counts. */
const VAGUE_TYPES: readonly string[] = ['', 'application/json', 'application/octet-stream', 'text/plain'];

const SCHEMA_1_TEXT =
  'Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported. Ask its author to push it again in the OCI format or as Docker manifest version 2, schema 2';

const documentChecker = jsonChecker(
  Type.Object({
    schemaVersion: Type.Integer(),
    mediaType: Type.Optional(Type.String({ maxLength: 255 })),
    config: nullable(DescriptorSchema),
    layers: nullable(Type.Array(DescriptorSchema, { maxItems: MAX_LAYERS })),
    manifests: nullable(Type.Array(DescriptorSchema, { maxItems: MAX_ENTRIES })),
  }),
);

interface Document {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly config?: Descriptor | null;
  readonly layers?: readonly Descriptor[] | null;
  readonly manifests?: readonly Descriptor[] | null;
  readonly fsLayers?: unknown;
}

/**
 * @param what names the image in errors
 * @throws TsdError `bad_parameter`: schema 1, foreign layers, no container image, ambiguous, not matching its media type, or
 *   beyond a limit
 */
export function parseManifest(manifest: RemoteManifest, what: string): ImageManifest | ImageIndex {
  const refuse = (problem: string): never => {
    throw new TsdError('bad_parameter', `${what}: ${problem}`);
  };
  if (SCHEMA_1.test(manifest.mediaType)) refuse(SCHEMA_1_TEXT);
  const document = readDocument(manifest, what, refuse);
  const announced = VAGUE_TYPES.includes(manifest.mediaType) ? undefined : manifest.mediaType;
  const mediaType = announced ?? document.mediaType;
  if (mediaType === undefined) return refuse('neither the registry nor the manifest says of what media type it is');
  if (document.mediaType !== undefined && document.mediaType !== mediaType) {
    refuse(
      `the registry says that the manifest is ${quoted(mediaType)}, the manifest says ${quoted(document.mediaType)}`,
    );
  }
  if (INDEX_TYPES.includes(mediaType)) {
    if (document.layers != null || document.config != null)
      refuse('an index that holds fields of a manifest is ambiguous');
    return { kind: 'index', mediaType, entries: (document.manifests ?? []).filter(isImage).map(toEntry) };
  }
  if (!MANIFEST_TYPES.includes(mediaType)) refuse(`unsupported manifest media type ${quoted(mediaType)}`);
  if (document.manifests != null) refuse('a manifest that holds fields of an index is ambiguous');
  const { config } = document;
  if (config == null) return refuse('the manifest names no configuration');
  if (!CONFIG_TYPES.includes(config.mediaType ?? '')) {
    refuse(`it is no container image: its configuration is of type ${quoted(config.mediaType ?? '')}`);
  }
  if (config.size > MAX_JSON_BYTES) refuse(`its configuration is larger than ${MAX_JSON_BYTES} bytes`);
  const layers = (document.layers ?? []).map(toBlob);
  for (const layer of layers) {
    if (FOREIGN_LAYER.test(layer.mediaType)) {
      refuse(`foreign layers are not supported (${layer.digest} is to be fetched from elsewhere)`);
    }
    if (!LAYER.test(layer.mediaType)) refuse(`unsupported layer media type ${quoted(layer.mediaType)}`);
    if (layer.sizeBytes > MAX_LAYER_BYTES) refuse(`layer ${layer.digest} is larger than ${MAX_LAYER_BYTES} bytes`);
  }
  return { kind: 'image', mediaType, config: toBlob(config), layers };
}

function readDocument(manifest: RemoteManifest, what: string, refuse: (problem: string) => never): Document {
  const document = parseJson(manifest.bytes, documentChecker, `${what}: the manifest`) as Document;
  if (document.fsLayers != null || document.schemaVersion === 1) return refuse(SCHEMA_1_TEXT);
  if (document.schemaVersion !== 2) return refuse(`unsupported manifest schema version ${document.schemaVersion}`);
  return document;
}

function isImage(descriptor: Descriptor): boolean {
  return [...INDEX_TYPES, ...MANIFEST_TYPES].includes(descriptor.mediaType ?? '') && !isAttestation(descriptor);
}

function toBlob({ digest, size, mediaType }: Descriptor): BlobDescriptor {
  return { digest, sizeBytes: size, mediaType: mediaType ?? '' };
}

function toEntry(descriptor: Descriptor): IndexEntry {
  return { ...toBlob(descriptor), platform: descriptor.platform ?? null };
}

/** Whether an entry of an index is an index itself. */
export function isIndexEntry({ mediaType }: BlobDescriptor): boolean {
  return INDEX_TYPES.includes(mediaType);
}

/**
 * The entries that may serve a platform, best first: the same variant, then older ones (what runs on v7 runs v6), then
 * indexes and manifests that do not say for which platform they are. As containerd chooses (platforms.Only).
 */
export function rankEntries(entries: readonly IndexEntry[], wanted: Platform): IndexEntry[] {
  const variants = runnableVariants(wanted);
  const ranked = entries.flatMap((entry) => {
    if (entry.platform === null) return [{ entry, rank: variants.length }];
    const offered = normalizePlatform(entry.platform);
    if (!platformMatches({ os: wanted.os, architecture: wanted.architecture }, offered)) return [];
    const rank = variants.indexOf(offered.variant ?? '');
    return rank === -1 ? [] : [{ entry, rank }];
  });
  // The sort is stable: among equals the index's order counts.
  return ranked.sort((a, b) => a.rank - b.rank).map(({ entry }) => entry);
}

/** Variants that a wanted one runs, best first; '' is the architecture's default. */
function runnableVariants(wanted: Platform): string[] {
  const { architecture, variant } = normalizePlatform(wanted);
  // 32-bit ARM without a variant is v7.
  const level = Number(/^v(\d+)$/.exec(variant ?? (architecture === 'arm' ? 'v7' : ''))?.[1] ?? Number.NaN);
  const lowest = { arm: 5, arm64: 9, amd64: 2 }[architecture];
  if (lowest === undefined || Number.isNaN(level)) return variant === undefined ? [''] : [variant, ''];
  const lower = Array.from(
    { length: Math.min(Math.max(level - lowest + 1, 0), 16) },
    (_, index) => `v${level - index}`,
  );
  return architecture === 'arm' && level >= 7 ? ['v7', '', ...lower.filter((name) => name !== 'v7')] : [...lower, ''];
}

/** Docker's error for an index that has nothing for a platform. */
export function noMatchingManifest(what: string, wanted: Platform, entries: readonly IndexEntry[]): TsdError {
  const offered = [
    ...new Set(entries.flatMap(({ platform }) => (platform === null ? [] : [formatPlatform(platform)]))),
  ];
  const shown = offered.slice(0, MAX_SHOWN_PLATFORMS).join(', ');
  return new TsdError(
    'not_found',
    `${what}: no matching manifest for ${formatPlatform(wanted)} in the manifest list entries${shown === '' ? '' : ` (there are ${shown})`}`,
  );
}
