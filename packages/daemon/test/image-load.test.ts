import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { importImage } from '../src/images/import-image.ts';
import { loadImage } from '../src/images/load-image.ts';
import { MEDIA_TYPE } from '../src/images/oci-descriptor.ts';
import { HOST_PLATFORM } from '../src/images/platform.ts';
import {
  blobMember,
  configFor,
  descriptorOf,
  digestOf,
  dockerMembers,
  hexOf,
  imageBench,
  inPieces,
  layerOf,
  type Member,
  tarOf,
} from './image-archives.ts';

const [bottom, top] = [await layerOf('bottom'), await layerOf('top')];

const compressions: [string, (bytes: Buffer) => Buffer][] = [
  ['plain', (bytes) => bytes],
  ['gzip', (bytes) => gzipSync(bytes)],
  ['zstd', (bytes) => zstdCompressSync(bytes)],
];
for (const [name, compress] of compressions) {
  t.test(`a docker-archive, ${name}`, async (t) => {
    const bench = imageBench();
    t.teardown(bench.close);
    const config = configFor([bottom, top]);
    const archive = await tarOf(dockerMembers([bottom, top], { config, tags: ['test:1', 'docker.io/me/app:2'] }));
    const [added] = await loadImage(bench, inPieces(compress(archive)));
    t.equal(added?.image.id, digestOf(config));
    t.same(added?.image.repoTags, ['test:1', 'me/app:2'], 'in the order of the complete names');
    t.ok(added?.image.configBytes.equals(config), 'the bytes are kept');
    const image = bench.store.resolve('test:1');
    t.same(image.diffIds, [digestOf(bottom), digestOf(top)]);
    t.equal(image.sizeBytes, 'bottom'.length + 'top'.length);
    t.equal(image.createdAt, '2024-05-06T07:08:09.123456789Z');
    t.ok(bench.layerStore.has(digestOf(top)));
  });
}

t.test('layers in every compression, and known again by their digests', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const third = await layerOf('third');
  const layers = [bottom, top, third];
  const packed = [gzipSync(bottom), zstdCompressSync(top), third];
  const config = configFor(layers);
  const members: Member[] = [
    ...packed.map(blobMember),
    blobMember(config),
    {
      name: 'manifest.json',
      content: JSON.stringify([
        {
          Config: `blobs/sha256/${hexOf(config)}`,
          RepoTags: null,
          Layers: packed.map((layer) => `blobs/sha256/${hexOf(layer)}`),
        },
      ]),
    },
  ];
  const [added] = await loadImage(bench, inPieces(await tarOf(members)));
  t.same(added?.tags, []);
  t.equal(bench.store.findLayer(digestOf(packed[0] ?? bottom))?.diffId, digestOf(bottom));
  let ingested = 0;
  const counting = {
    ...bench,
    layerStore: {
      ingest: (...args: Parameters<typeof bench.layerStore.ingest>) => {
        ingested++;
        return bench.layerStore.ingest(...args);
      },
    },
  };
  await loadImage(counting, inPieces(await tarOf(members)));
  t.equal(ingested, 0, 'nothing is read again');
});

t.test('links, one layer used twice, and blobs that nobody asked for', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const stray = await layerOf('stray');
  const config = configFor([bottom, top, bottom]);
  const members: Member[] = [
    { name: 'a/layer.tar', content: bottom },
    { name: './b/layer.tar', type: 'symlink', linkname: '../a/layer.tar' },
    { name: 'c/layer.tar', type: 'link', linkname: 'd.tar' },
    { name: 'd.tar', content: top },
    { name: 'stray.tar', content: stray },
    { name: 'broken.tar.gz', content: Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]) },
    { name: 'config.json', content: config },
    {
      name: 'manifest.json',
      content: JSON.stringify([
        { Config: './config.json', RepoTags: ['twice'], Layers: ['a/layer.tar', 'c/layer.tar', 'b/layer.tar'] },
      ]),
    },
  ];
  const [added] = await loadImage(bench, inPieces(await tarOf(members)));
  t.same(added?.image.diffIds, [digestOf(bottom), digestOf(top), digestOf(bottom)]);
  t.notOk(bench.layerStore.has(digestOf(stray)), 'a stray layer is dropped');
  t.same((await bench.layerStore.list()).sort(), [digestOf(bottom), digestOf(top)].sort());
});

function ociManifest(config: Buffer, layers: readonly Buffer[], configType: string = MEDIA_TYPE.config): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.manifest,
      config: descriptorOf(config, configType),
      layers: layers.map((layer) => descriptorOf(layer, MEDIA_TYPE.layer)),
    }),
  );
}

function index(manifests: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests }));
}

const layout: Member = { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' };

t.test('an OCI layout with nested indexes: the platform is chosen, attestations are passed over', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const other = HOST_PLATFORM.architecture === 'arm64' ? 'amd64' : 'arm64';
  const mine = configFor([bottom]);
  const foreign = configFor([top], { architecture: other });
  const manifests = [ociManifest(foreign, [top]), ociManifest(mine, [gzipSync(bottom)])] as const;
  const attestation = ociManifest(Buffer.from('{}'), []);
  const inner = index([
    descriptorOf(manifests[0], MEDIA_TYPE.manifest, { platform: { os: 'linux', architecture: other } }),
    descriptorOf(manifests[1], MEDIA_TYPE.manifest, { platform: { ...HOST_PLATFORM } }),
    descriptorOf(attestation, MEDIA_TYPE.manifest, { platform: { os: 'unknown', architecture: 'unknown' } }),
    descriptorOf(Buffer.from('absent'), MEDIA_TYPE.manifest, { platform: { os: 'linux', architecture: 's390x' } }),
  ]);
  const outer = index([
    descriptorOf(inner, MEDIA_TYPE.index, {
      annotations: {
        'io.containerd.image.name': 'docker.io/library/multi:3',
        'org.opencontainers.image.ref.name': '3',
      },
    }),
  ]);
  const archive = await tarOf([
    ...[mine, foreign, ...manifests, attestation, inner, top, gzipSync(bottom)].map(blobMember),
    { name: 'index.json', content: outer },
    layout,
  ]);
  const [added] = await loadImage(bench, inPieces(archive));
  t.equal(added?.image.id, digestOf(mine));
  t.same(added?.image.repoTags, ['multi:3']);
  t.same(await bench.layerStore.list(), [digestOf(bottom)], 'layers of other platforms do not stay');
  const [chosen] = await loadImage(bench, inPieces(archive), { platform: { os: 'linux', architecture: other } });
  t.equal(chosen?.image.config.architecture, other);
  await t.rejects(loadImage(bench, inPieces(archive), { platform: { os: 'linux', architecture: 'mips' } }), {
    code: 'bad_parameter',
    message: /no image for linux\/mips, only for linux\/a/,
  });
});

t.test('names in an OCI layout: skopeo notes a full name, buildx a tag alone', async (t) => {
  for (const [refName, tags] of [
    ['app:1', ['app:1']],
    ['localhost/app', ['localhost/app:latest']],
    ['latest', []],
  ] as const) {
    const bench = imageBench();
    const config = configFor([bottom]);
    const manifest = ociManifest(config, [bottom]);
    const entry = descriptorOf(manifest, MEDIA_TYPE.manifest, {
      annotations: { 'org.opencontainers.image.ref.name': refName },
    });
    const archive = await tarOf([
      ...[bottom, config, manifest].map(blobMember),
      layout,
      { name: 'index.json', content: index([entry]) },
    ]);
    const [added] = await loadImage(bench, inPieces(archive));
    t.same(added?.image.repoTags, tags, refName);
    await bench.close();
  }
});

t.test('a name moves, and the image that lost it is told', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const [first] = await loadImage(bench, inPieces(await tarOf(dockerMembers([bottom]))));
  const [second] = await loadImage(bench, inPieces(await tarOf(dockerMembers([top]))));
  t.equal(second?.replaced[0]?.imageId, first?.image.id);
  t.equal(bench.store.resolve('test:1').id, second?.image.id);
  t.same(bench.store.get(first?.image.id ?? '')?.repoTags, []);
});

t.test('progress is told', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const seen: number[] = [];
  await loadImage(bench, inPieces(await tarOf(dockerMembers([bottom]))), {
    onProgress: ({ currentBytes, totalBytes }) => {
      t.equal(totalBytes, bottom.length);
      seen.push(currentBytes);
    },
  });
  t.equal(seen.at(-1), bottom.length);
});

t.test('long names, as POSIX and as GNU tar write them', async (t) => {
  const directory = t.testdir();
  const config = configFor([bottom]);
  const path = join('x'.repeat(90), 'y'.repeat(120));
  mkdirSync(join(directory, dirname(path)));
  writeFileSync(join(directory, path), bottom);
  writeFileSync(join(directory, 'c.json'), config);
  symlinkSync(path, join(directory, 'link'));
  writeFileSync(
    join(directory, 'manifest.json'),
    JSON.stringify([{ Config: 'c.json', RepoTags: ['long:1'], Layers: ['link'] }]),
  );
  for (const format of ['gnu', 'posix']) {
    const args = ['--create', `--format=${format}`, '--directory', directory, '.'];
    const bench = imageBench();
    const [added] = await loadImage(bench, inPieces(execFileSync('tar', args)));
    t.same(added?.image.repoTags, ['long:1'], format);
    await bench.close();
  }
});

t.test('the same archive several times at once', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const archive = await tarOf(dockerMembers([bottom, top]));
  const loads = await Promise.all(Array.from({ length: 5 }, () => loadImage(bench, inPieces(archive, 700))));
  t.equal(new Set(loads.map(([added]) => added?.image.id)).size, 1);
  t.equal(bench.store.count(), 1);
  t.same((await bench.layerStore.list()).sort(), [digestOf(bottom), digestOf(top)].sort());
});

t.test('an image without layers, and one whose layer is an empty tar', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const bare = configFor([], { history: null, config: null, rootfs: { type: 'layers', diff_ids: null } });
  const [scratch] = await loadImage(
    bench,
    inPieces(await tarOf(dockerMembers([], { config: bare, tags: ['scratch:1'] }))),
  );
  t.same(scratch?.image.diffIds, []);
  t.equal(scratch?.image.sizeBytes, 0);
  for (const empty of [Buffer.alloc(1024), Buffer.alloc(10240)]) {
    const [added] = await loadImage(bench, inPieces(await tarOf(dockerMembers([empty]))));
    t.same(added?.image.diffIds, [digestOf(empty)]);
    const { image } = await importImage(bench, inPieces(empty), { changes: [], message: '' });
    t.same(image.diffIds, [digestOf(empty)]);
  }
});
