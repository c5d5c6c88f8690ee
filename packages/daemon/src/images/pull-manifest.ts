/** From a name to one image's manifest: through indexes, by platform. */
import { TsdError } from '@tsd/shared/errors';
import type { ImageManifest as StoredManifest } from './image-manifests.ts';
import { formatPlatform, HOST_PLATFORM, type Platform } from './platform.ts';
import { quoted } from './quoted.ts';
import {
  type ImageIndex,
  type ImageManifest,
  type IndexEntry,
  isIndexEntry,
  noMatchingManifest,
  parseManifest,
  rankEntries,
} from './registry/manifest.ts';
import type { RemoteManifest, RemoteRepository } from './registry/remote-repository.ts';

/** Indexes within indexes; real ones have one level. */
const MAX_INDEX_DEPTH = 4;
/** Documents that one pull looks at on its way to the image. */
const MAX_DOCUMENTS = 16;

export interface ResolvedManifest {
  /** From what the name led to, to the image's manifest. */
  readonly documents: readonly StoredManifest[];
  readonly manifest: ImageManifest;
}

export interface ResolveOptions {
  /** Names the image in errors. */
  readonly what: string;
  /** This host's where it is not given. */
  readonly platform: Platform | undefined;
  readonly signal: AbortSignal;
}

/**
 * @param top what the name leads to
 * @throws TsdError `not_found` where an index has no image for the platform; `bad_parameter`; what the repository throws
 */
export async function resolveManifest(
  remote: Pick<RemoteRepository, 'getManifest'>,
  top: RemoteManifest,
  { what, platform = HOST_PLATFORM, signal }: ResolveOptions,
): Promise<ResolvedManifest> {
  let documents = 1;
  const descend = async (index: ImageIndex, path: readonly StoredManifest[]): Promise<ResolvedManifest | null> => {
    if (path.length > MAX_INDEX_DEPTH) {
      throw new TsdError('bad_parameter', `${what}: indexes are nested more than ${MAX_INDEX_DEPTH} deep`);
    }
    for (const entry of rankEntries(index.entries, platform)) {
      if (path.some(({ digest }) => digest === entry.digest)) {
        throw new TsdError('bad_parameter', `${what}: index ${entry.digest} holds itself`);
      }
      if (++documents > MAX_DOCUMENTS) {
        throw new TsdError(
          'bad_parameter',
          `${what}: no image for ${formatPlatform(platform)} among ${MAX_DOCUMENTS} manifests`,
        );
      }
      const remoteManifest = await remote.getManifest(entry.digest, signal);
      const parsed = parseManifest(remoteManifest, what);
      const document = storedForm(remoteManifest);
      checkEntry(document, entry, what);
      if (parsed.kind === 'image') return { documents: [...path, document], manifest: parsed };
      const found = await descend(parsed, [...path, document]);
      if (found !== null) return found;
    }
    return null;
  };

  const parsed = parseManifest(top, what);
  const document = storedForm(top);
  if (parsed.kind === 'image') return { documents: [document], manifest: parsed };
  const found = await descend(parsed, [document]);
  if (found !== null) return found;
  throw noMatchingManifest(what, platform, parsed.entries);
}

/** With the type that the document itself says, where the registry's says nothing. */
function storedForm({ digest, mediaType, bytes }: RemoteManifest): StoredManifest {
  const own = (JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType;
  return { digest, mediaType: own ?? mediaType, bytes };
}

function checkEntry({ digest, mediaType, bytes }: StoredManifest, entry: IndexEntry, what: string): void {
  if (mediaType !== entry.mediaType) {
    const kind = isIndexEntry(entry) ? 'index' : 'manifest';
    throw new TsdError(
      'bad_parameter',
      `${what}: ${kind} ${digest} is ${quoted(mediaType)} where the index says ${quoted(entry.mediaType)}`,
    );
  }
  if (bytes.length !== entry.sizeBytes) {
    throw new TsdError(
      'bad_parameter',
      `${what}: manifest ${digest} has ${bytes.length} bytes where the index says ${entry.sizeBytes}`,
    );
  }
}
