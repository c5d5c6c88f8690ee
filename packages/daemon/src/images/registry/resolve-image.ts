/** From a tag or digest to one image's manifest, through indexes. */
import { TsdError } from '@tsd/shared/errors';
import type { Platform } from '../platform.ts';
import {
  type ImageManifest,
  type IndexEntry,
  isIndexEntry,
  noMatchingManifest,
  parseManifest,
  rankEntries,
} from './manifest.ts';
import type { RemoteManifest, RemoteRepository } from './remote-repository.ts';

export interface ResolvedImage {
  /** What the tag or digest names: the index's digest where there is one. */
  readonly digest: string;
  /** The documents on the way, the image's manifest last. */
  readonly manifests: readonly RemoteManifest[];
  readonly manifest: ImageManifest;
}

/** Indexes within indexes; real ones have two levels. */
const MAX_DEPTH = 4;
/** Documents that are fetched for one image. */
const MAX_MANIFESTS = 32;

/**
 * @param what names the image in errors, as its user wrote it
 * @throws TsdError as {@link RemoteRepository.getManifest} and {@link parseManifest} do; `not_found` when no image is for
 *   the platform, `bad_parameter` for indexes without end
 */
export async function resolveImage(
  repository: RemoteRepository,
  tagOrDigest: string,
  options: { readonly platform: Platform; readonly what: string; readonly signal: AbortSignal },
): Promise<ResolvedImage> {
  const { platform, what, signal } = options;
  const seen: IndexEntry[] = [];
  let fetched = 0;
  const descend = async (
    ancestors: readonly RemoteManifest[],
    next: string | IndexEntry,
  ): Promise<ResolvedImage | null> => {
    if (ancestors.length >= MAX_DEPTH || ++fetched > MAX_MANIFESTS) {
      throw new TsdError('bad_parameter', `${what}: its indexes are nested too deep or are too many`);
    }
    const digest = typeof next === 'string' ? next : next.digest;
    if (ancestors.some((ancestor) => ancestor.digest === digest)) {
      throw new TsdError('bad_parameter', `${what}: index ${digest} holds itself`);
    }
    const answer = await repository.getManifest(digest, signal);
    const parsed = parseManifest(answer, what);
    const document = { ...answer, mediaType: parsed.mediaType };
    if (typeof next !== 'string') checkDescriptor(document, next, what);
    const manifests = [...ancestors, document];
    if (parsed.kind === 'image') return { digest: (manifests[0] ?? document).digest, manifests, manifest: parsed };
    seen.push(...parsed.entries.filter((entry) => !isIndexEntry(entry)));
    for (const entry of rankEntries(parsed.entries, platform)) {
      const image = await descend(manifests, entry);
      if (image !== null) return image;
    }
    return null;
  };
  const image = await descend([], tagOrDigest);
  if (image === null) throw noMatchingManifest(what, platform, seen);
  return image;
}

/** An index's word on an entry holds. */
function checkDescriptor(document: RemoteManifest, entry: IndexEntry, what: string): void {
  const problem =
    document.bytes.length !== entry.sizeBytes
      ? `has ${document.bytes.length} bytes where the index says ${entry.sizeBytes}`
      : document.mediaType !== entry.mediaType
        ? `is of another media type than the index says (${entry.mediaType})`
        : null;
  if (problem !== null) throw new TsdError('bad_parameter', `${what}: manifest ${entry.digest} ${problem}`);
}
