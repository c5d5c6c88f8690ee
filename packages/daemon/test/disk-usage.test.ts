import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiskUsageSchema } from '@tsd/shared/api-system';
import { NO_FILTERS } from '@tsd/shared/filters';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { Value } from 'typebox/value';
import { containerFiles } from '../src/containers/container-paths.ts';
import { createContainer } from '../src/containers/create-container.ts';
import { type DiskUsageDeps, diskUsage } from '../src/containers/disk-usage.ts';
import { diskUsageRoutes } from '../src/http/routes/disk-usage.ts';
import { createServer } from '../src/http/server.ts';
import { loadImage } from '../src/images/load-image.ts';
import { pruneImages } from '../src/images/prune-images.ts';
import { createWorld } from './container-fakes.ts';
import {
  configFor,
  descriptorOf,
  digestOf,
  dockerMembers,
  type ImageBench,
  imageBench,
  inPieces,
  layerOf,
  tarOf,
} from './image-archives.ts';

const [bottom, top] = [await layerOf('bottom'), await layerOf('top')];
const BLOB_BYTES = 1234;

/** Two images that share a layer, of which a compressed form is kept, and a container that wrote five bytes. */
async function usageBench(t: Test): Promise<{ bench: ImageBench; deps: DiskUsageDeps }> {
  const bench = imageBench();
  const world = createWorld();
  t.teardown(async () => {
    world.close();
    await bench.close();
  });
  for (const layers of [[bottom], [bottom, top]]) {
    const config = configFor(layers);
    const tags = [`image:${layers.length}`];
    await loadImage(bench, inPieces(await tarOf(dockerMembers(layers, { config, tags }))));
  }
  await keepBlob(bench, digestOf(bottom), Buffer.alloc(BLOB_BYTES));
  const containers = await world.daemon();
  const { Id } = createContainer(containers, { Image: 'busybox', Cmd: ['true'] }, { name: 'box' });
  const { upper } = containerFiles(containers.roots, Id);
  mkdirSync(upper, { recursive: true });
  writeFileSync(join(upper, 'file'), 'five.');
  bench.users.set(bench.store.resolve('image:2').id, [{ id: Id, running: false }]);
  return { bench, deps: { containers, images: bench.store, imageUsers: bench.imageUsers } };
}

async function keepBlob(bench: ImageBench, diffId: string, bytes: Buffer): Promise<string> {
  const { digest } = descriptorOf(bytes, '') as { digest: string };
  const file = join(bench.blobStore.path(digest), '../../..', 'blob');
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, bytes);
  await bench.blobStore.adopt(file, digest);
  bench.store.addCompressedForm({ digest, diffId, mediaType: 'x', sizeBytes: bytes.length, kept: true });
  return digest;
}

t.test('every layer counts once, kept blobs with them', async (t) => {
  const { deps } = await usageBench(t);
  const usage = await diskUsage(deps, []);
  t.ok(Value.Check(DiskUsageSchema, usage));
  t.equal(usage.LayersSize, 'bottom'.length + 'top'.length + BLOB_BYTES);
  t.equal(usage.BlobsSize, BLOB_BYTES);
  t.match(
    usage.Images?.map(({ RepoTags, Size, SharedSize, Containers }) => [
      RepoTags[0],
      Size,
      SharedSize,
      Containers,
    ]).sort(),
    [
      ['image:1', 6, 6, 0],
      ['image:2', 9, 6, 1],
    ],
  );
  t.match(usage.Containers, [{ Names: ['/box'], SizeRw: 5, State: 'created' }]);
  t.same([usage.Volumes, usage.BuildCache], [[], []]);
});

t.test('an image that only a container keeps is counted', async (t) => {
  const { bench, deps } = await usageBench(t);
  bench.store.remove(bench.store.resolve('image:2').id, { keepHidden: true });
  t.equal((await diskUsage(deps, ['image'])).LayersSize, 9 + BLOB_BYTES);
});

t.test('type chooses, from API 1.42 on', async (t) => {
  const { deps } = await usageBench(t);
  const server = await createServer({
    config: { sockets: [], group: '' },
    log: pino({ level: 'silent' }),
    version: '1',
    routes: [(app) => diskUsageRoutes(app, deps)],
  });
  t.teardown(() => server.app.close());
  const get = async (url: string) => (await server.app.inject(url)).json();
  const null4 = { Images: null, Containers: null, Volumes: null, BuildCache: null };
  t.same(await get('/system/df?type=volume'), { LayersSize: 0, BlobsSize: 0, ...null4, Volumes: [] });
  t.match(await get('/system/df?type=container&type=build-cache'), {
    ...null4,
    Containers: [{ SizeRw: 5 }],
    BuildCache: [],
  });
  t.match(await get('/v1.41/system/df?type=volume'), { LayersSize: 9 + BLOB_BYTES, Containers: [{}] });
  t.same(await get('/system/df?type=x'), { message: 'unknown object type: x' });
});

t.test('prune with blobs gives the kept blobs back, and images keep working', async (t) => {
  const { bench, deps } = await usageBench(t);
  const topBlob = await keepBlob(bench, digestOf(top), Buffer.alloc(99));
  const prune = (filters: Record<string, string[]>) =>
    pruneImages(bench, new Map([...NO_FILTERS, ...Object.entries(filters)]));
  t.same(await prune({}), { items: [], reclaimedBytes: 0 });
  t.same(await prune({ blobs: ['false'] }), { items: [], reclaimedBytes: 0 });
  t.same(await prune({ blobs: ['true'], label: ['none'] }), { items: [], reclaimedBytes: 0 }, 'no image passes');
  t.same(await prune({ blobs: ['1'] }), { items: [], reclaimedBytes: BLOB_BYTES + 99 });
  t.same(await bench.blobStore.list(), []);
  t.equal((await diskUsage(deps, ['image'])).BlobsSize, 0);
  t.match(bench.store.compressedForms(digestOf(top)), [{ digest: topBlob, kept: false, sizeBytes: 99 }]);
  await t.rejects(prune({ blobs: ['maybe'] }), { code: 'bad_parameter', message: "invalid filter 'blobs=[maybe]'" });
});

t.test('a filter leaves the blobs of other images, shared ones too', async (t) => {
  const { bench } = await usageBench(t);
  await keepBlob(bench, digestOf(top), Buffer.alloc(99));
  const layers = [top];
  const config = configFor(layers, { config: { Labels: { mine: 'yes' } } });
  await loadImage(bench, inPieces(await tarOf(dockerMembers(layers, { config, tags: ['labelled:1'] }))));
  const only = new Map([
    ['blobs', ['true']],
    ['label', ['mine']],
  ]);
  t.equal((await pruneImages(bench, only)).reclaimedBytes, 0, 'image:2 has the layer too');
  const others = new Map([
    ['blobs', ['true']],
    ['label!', ['mine']],
  ]);
  t.equal((await pruneImages(bench, others)).reclaimedBytes, BLOB_BYTES);
});

t.test('what a removed image gives back holds its blobs', async (t) => {
  const { bench } = await usageBench(t);
  bench.users.clear();
  const all = await pruneImages(bench, new Map([['dangling', ['false']]]));
  t.equal(all.reclaimedBytes, 9 + BLOB_BYTES);
  t.same(bench.files(), []);
});

t.test('an image without a tag is dangling, though a registry knows it', async (t) => {
  const { bench } = await usageBench(t);
  const image = bench.store.resolve('image:1');
  const bytes = Buffer.from('{}');
  bench.store.addManifest(image.id, { digest: digestOf(bytes), mediaType: 'm', bytes }, 'docker.io/library/image');
  await pruneImages(bench, new Map());
  t.ok(bench.store.get(image.id));
  bench.store.untag({ domain: 'docker.io', path: 'library/image', tag: '1' });
  const { items } = await pruneImages(bench, new Map());
  t.same(items.slice(0, 2), [{ Untagged: `image@${digestOf(bytes)}` }, { Deleted: image.id }]);
});
