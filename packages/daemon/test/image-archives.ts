/** Image archives for tests, made in memory member by member, so that each can be wrong in one way. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Header, pack } from 'tar-stream';
import { createEngineEvents, type EngineEvents } from '../src/events/engine-events.ts';
import { createImageStore, type ImageStore } from '../src/images/image-store.ts';
import type { ContainerUse } from '../src/images/image-users.ts';
import { HOST_PLATFORM } from '../src/images/platform.ts';
import { type BlobStore, createBlobStore } from '../src/storage/blob-store.ts';
import { type Database, openDatabase } from '../src/storage/database.ts';
import { createLayerStore, type LayerStore, type LayerStoreOptions } from '../src/storage/layer-store.ts';

export interface Member extends Pick<Header, 'name'> {
  readonly type?: 'file' | 'link' | 'symlink' | 'directory';
  readonly linkname?: string;
  readonly content?: Buffer | string;
}

/** A tar of these members. */
export async function tarOf(members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of members) archive.entry(header, content ?? '');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A layer with one file. */
export async function layerOf(name: string, content: string | Buffer = name): Promise<Buffer> {
  return tarOf([{ name, content }]);
}

export function hexOf(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function digestOf(bytes: Buffer | string): string {
  return `sha256:${hexOf(bytes)}`;
}

export function configFor(layers: readonly Buffer[], extra: Readonly<Record<string, unknown>> = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      architecture: HOST_PLATFORM.architecture,
      os: 'linux',
      created: '2024-05-06T07:08:09.123456789Z',
      config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
      history: layers.map((_layer, index) => ({ created: '2024-05-06T07:08:09Z', created_by: `step ${index}` })),
      ...extra,
    }),
  );
}

/** Members of a docker-archive as docker 20 writes it: layers first, in directories of their own. */
export function dockerMembers(
  layers: readonly Buffer[],
  { config = configFor(layers), tags = ['test:1'] as readonly string[] | null } = {},
): Member[] {
  const paths = layers.map((layer) => `${hexOf(layer)}/layer.tar`);
  return [
    ...layers.flatMap((layer, index) => [
      { name: `${hexOf(layer)}/`, type: 'directory' as const },
      { name: `${hexOf(layer)}/VERSION`, content: '1.0' },
      { name: paths[index] ?? '', content: layer },
    ]),
    { name: `${hexOf(config)}.json`, content: config },
    {
      name: 'manifest.json',
      content: JSON.stringify([{ Config: `${hexOf(config)}.json`, RepoTags: tags, Layers: paths }]),
    },
  ];
}

export function blobMember(content: Buffer): Member {
  return { name: `blobs/sha256/${hexOf(content)}`, content };
}

export function descriptorOf(content: Buffer, mediaType: string, extra: object = {}): Record<string, unknown> {
  return { mediaType, digest: digestOf(content), size: content.length, ...extra };
}

/** Yields the bytes in pieces of an awkward size. */
export async function* inPieces(bytes: Buffer, pieceBytes = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

export interface ImageBench {
  readonly db: Database;
  readonly store: ImageStore;
  readonly layerStore: LayerStore;
  readonly blobStore: BlobStore;
  readonly events: EngineEvents;
  readonly users: Map<string, ContainerUse[]>;
  readonly imageUsers: (imageId: string) => readonly ContainerUse[];
  readonly layerErrors: string[];
  /** Everything below the data root that is not a directory's own. */
  readonly files: () => string[];
  readonly close: () => Promise<void>;
}

/** A store over a data root of its own. */
export function imageBench(options?: Pick<LayerStoreOptions, 'limits' | 'imageMode'>): ImageBench {
  const root = mkdtempSync(join(tmpdir(), 'tsd-images-'));
  const db = openDatabase(':memory:');
  const blobStore = createBlobStore({ root: join(root, 'blobs') });
  const layerStore = createLayerStore({ root: join(root, 'layers'), tmp: join(root, 'tmp'), blobStore, ...options });
  const users = new Map<string, ContainerUse[]>();
  const layerErrors: string[] = [];
  const store = createImageStore({ db, layerStore, blobStore, onLayerError: (diffId) => layerErrors.push(diffId) });
  return {
    db,
    store,
    layerStore,
    blobStore,
    events: createEngineEvents(),
    users,
    imageUsers: (imageId) => users.get(imageId) ?? [],
    layerErrors,
    files: () =>
      readdirSync(root, { recursive: true, withFileTypes: true })
        .filter(
          (entry) => !entry.isDirectory() || entry.parentPath.endsWith('sha256') || entry.parentPath.endsWith('tmp'),
        )
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
    close: async () => {
      await layerStore.close();
      db.close();
      rmSync(root, { recursive: true });
    },
  };
}
