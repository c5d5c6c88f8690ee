/**
 * One pass over an image archive: layers go straight into the layer store as they stream by, small documents stay in
 * memory, and everything is kept under the name and under the digest that it really has. docker writes manifest.json
 * last, so only afterwards is it known what was needed; the caller discards the rest.
 */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import type { LayerStore } from '../storage/layer-store.ts';
import { type ArchiveMember, readArchive } from './archive-reader.ts';
import type { ByteStream } from './byte-stream.ts';
import type { ImageStore } from './image-store.ts';
import type { Pin } from './layer-pins.ts';
import { type LayerRecord, layerRecord } from './layer-records.ts';
import { MAX_JSON_BYTES } from './parse-json.ts';
import { quoted } from './quoted.ts';
import { type ContentKind, SNIFF_BYTES, sniffContent } from './sniff-content.ts';

/** All documents of one archive together. */
const MAX_DOCUMENTS_BYTES = 64 * 1024 * 1024;
const MAX_LINK_DEPTH = 16;
const BLOB_PATH = /^blobs\/sha256\/([0-9a-f]{64})$/;

export type ArchiveBlob =
  /** `digest` is that of the blob as it lies in the archive, compressed or not. */
  | { readonly kind: 'layer'; readonly digest: string; readonly layer: LayerRecord }
  | { readonly kind: 'document'; readonly digest: string; readonly bytes: Buffer }
  /** Neither of both, or damaged: an error only if something needs it. */
  | { readonly kind: 'unusable'; readonly error: TsdError };

export interface ArchiveContents {
  /** What makes the archive hostile though nothing may need it: a link that leads out. */
  readonly fault: TsdError | null;
  /** The blob under a name, links followed; null when there is none. */
  at(path: string): ArchiveBlob | null;
  /** The blob with a digest, computed from its content; null when there is none. */
  withDigest(digest: string): ArchiveBlob | null;
}

export interface LayerProgress {
  /** The beginning of the layer's name in the archive. */
  readonly id: string;
  readonly currentBytes: number;
  readonly totalBytes: number;
}

export interface ReadContentsDeps {
  readonly store: Pick<ImageStore, 'findLayer'>;
  readonly layerStore: Pick<LayerStore, 'ingest'>;
  /** Takes every layer that is found here or brought in. */
  readonly pin: Pin;
  /** Told of each layer that was brought in, before anything else can fail. */
  readonly onIngested: (diffId: string) => void;
  readonly onProgress: ((progress: LayerProgress) => void) | null;
}

/**
 * Reads the whole archive. The end of a layer's ingest (its image is made, its files go to the disk) overlaps with the
 * reading of what follows; all of it is over when this returns or throws.
 *
 * @throws TsdError `bad_parameter` when the archive itself is damaged or hostile; whatever the layer store throws that is
 *   not about the layer's content (no space left).
 */
export async function readArchiveContents(deps: ReadContentsDeps, stream: ByteStream): Promise<ArchiveContents> {
  const found: FoundBlob[] = [];
  const links = new Map<string, string>();
  const failed = Promise.withResolvers<never>();
  // Seen by whichever race is on, if any.
  failed.promise.catch(() => undefined);
  let documentBytes = 0;
  let fault: TsdError | null = null;
  try {
    for await (const member of readArchive(stream)) {
      const { path, content } = member;
      if (member.kind !== 'file') {
        if (links.has(path)) throw duplicate(path);
        if (member.linkPath === null) {
          fault ??= new TsdError('bad_parameter', `the archive's link ${quoted(path)} leads out of it`);
        }
        links.set(path, member.linkPath ?? '');
        continue;
      }
      const kind = sniffContent(await content.peek(SNIFF_BYTES));
      if (kind === 'tar' || kind === 'gzip' || kind === 'zstd') {
        const blob = readLayer(deps, member);
        blob.catch(failed.reject);
        found.push({ path, blob });
        await Promise.race([blob, content.allTaken(), failed.promise]);
      } else {
        const blob = await readDocument(member, kind);
        if (blob.kind === 'document') documentBytes += blob.bytes.length;
        if (documentBytes > MAX_DOCUMENTS_BYTES) {
          throw new TsdError('bad_parameter', `the archive holds more than ${MAX_DOCUMENTS_BYTES} bytes of documents`);
        }
        found.push({ path, blob });
      }
    }
  } catch (error) {
    stream.abandon(error);
    throw error;
  } finally {
    await Promise.allSettled(found.map(({ blob }) => blob));
  }
  return { fault, ...(await indexBlobs(found, links)) };
}

interface FoundBlob {
  readonly path: string;
  readonly blob: ArchiveBlob | Promise<ArchiveBlob>;
}

async function indexBlobs(
  found: readonly FoundBlob[],
  links: ReadonlyMap<string, string>,
): Promise<Pick<ArchiveContents, 'at' | 'withDigest'>> {
  const byPath = new Map<string, ArchiveBlob>();
  const byDigest = new Map<string, ArchiveBlob>();
  for (const { path, blob: pending } of found) {
    const blob = await pending;
    const former = byPath.get(path);
    if (links.has(path) || (former !== undefined && !sameBlob(former, blob))) throw duplicate(path);
    byPath.set(path, blob);
    if (blob.kind !== 'unusable') byDigest.set(blob.digest, blob);
  }
  return {
    at(path) {
      let current = posix.normalize(path);
      for (let depth = 0; depth <= MAX_LINK_DEPTH; depth++) {
        const target = links.get(current);
        if (target === undefined) return byPath.get(current) ?? null;
        current = target;
      }
      throw new TsdError('bad_parameter', `the archive's links from ${quoted(path)} lead in a circle`);
    },
    withDigest: (digest) => byDigest.get(digest) ?? byPath.get(digest.replace('sha256:', 'blobs/sha256/')) ?? null,
  };
}

async function readDocument({ path, content }: ArchiveMember, kind: ContentKind): Promise<ArchiveBlob> {
  if (kind === 'bzip2' || kind === 'xz') {
    return unusable(`${quoted(path)} is compressed with ${kind}; layers may be plain, gzip or zstd`);
  }
  if (content.sizeBytes > MAX_JSON_BYTES) {
    return unusable(`${quoted(path)} is neither a layer nor a document of at most ${MAX_JSON_BYTES} bytes`);
  }
  const bytes = await content.take();
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const expectedDigest = digestInName(path);
  if (expectedDigest !== undefined && digest !== expectedDigest) {
    return unusable(`${quoted(path)} is damaged: its content has the digest ${digest}`);
  }
  return { kind: 'document', digest, bytes };
}

async function readLayer(deps: ReadContentsDeps, { path, content }: ArchiveMember): Promise<ArchiveBlob> {
  const expectedDigest = digestInName(path);
  const stored = expectedDigest === undefined ? null : await pinnedLayer(deps, expectedDigest);
  // Content that is here already need not be read again: what the archive holds under that digest does not matter.
  if (stored !== null && expectedDigest !== undefined) return { kind: 'layer', digest: expectedDigest, layer: stored };
  const id = (expectedDigest?.slice('sha256:'.length) ?? path).slice(0, 12);
  const report = (currentBytes: number): void => {
    deps.onProgress?.({ id, currentBytes, totalBytes: content.sizeBytes });
  };
  try {
    const layer = await deps.layerStore.ingest(content.chunks(report), {
      compression: 'detect',
      beforePublish: deps.pin,
      ...(expectedDigest === undefined ? {} : { expectedDigest }),
    });
    deps.onIngested(layer.diffId);
    return { kind: 'layer', digest: layer.compressedDigest, layer: layerRecord(layer) };
  } catch (error) {
    if (!(error instanceof TsdError) || error.code !== 'bad_parameter') throw error;
    return {
      kind: 'unusable',
      error: new TsdError('bad_parameter', `layer ${quoted(path)}: ${error.message}`, { cause: error }),
    };
  }
}

async function pinnedLayer({ store, pin }: ReadContentsDeps, digest: string): Promise<LayerRecord | null> {
  const found = store.findLayer(digest);
  if (found === null) return null;
  await pin([found.diffId]);
  return store.findLayer(digest);
}

/** The digest that a blob's name promises; undefined for other names. */
function digestInName(path: string): string | undefined {
  const hex = BLOB_PATH.exec(path)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

function sameBlob(a: ArchiveBlob, b: ArchiveBlob): boolean {
  return a.kind !== 'unusable' && b.kind !== 'unusable' && a.digest === b.digest;
}

function duplicate(path: string): TsdError {
  return new TsdError('bad_parameter', `the archive holds ${quoted(path)} twice, with different contents`);
}

function unusable(message: string): ArchiveBlob {
  return { kind: 'unusable', error: new TsdError('bad_parameter', message) };
}
