import { Readable } from 'node:stream';
import t from 'tap';
import { extract } from 'tar-stream';
import { loadImage } from '../src/images/load-image.ts';
import { saveImages } from '../src/images/save-images.ts';
import { tarFileHeader } from '../src/images/tar-writer.ts';
import { parseTarHeader } from '../src/storage/tar/tar-header.ts';
import {
  configFor,
  digestOf,
  dockerMembers,
  hexOf,
  type ImageBench,
  imageBench,
  inPieces,
  layerOf,
  tarOf,
} from './image-archives.ts';

const [bottom, top] = [await layerOf('bottom'), await layerOf('top', Buffer.alloc(3_000_000, 'x'))];

async function saved(bench: ImageBench, names: readonly string[]): Promise<Buffer> {
  const archive = await saveImages(bench, names);
  const chunks: Buffer[] = [];
  for await (const chunk of archive.stream) chunks.push(Buffer.from(chunk));
  archive.close();
  const bytes = Buffer.concat(chunks);
  t.equal(bytes.length, archive.sizeBytes, 'the size was told in advance');
  return bytes;
}

async function membersOf(archive: Buffer): Promise<Map<string, Buffer>> {
  const members = new Map<string, Buffer>();
  for await (const entry of Readable.from([archive]).pipe(extract())) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    t.notOk(members.has(entry.header.name), `${entry.header.name} is there once`);
    members.set(entry.header.name, Buffer.concat(chunks));
  }
  return members;
}

function json(members: ReadonlyMap<string, Buffer>, name: string): unknown {
  return JSON.parse(members.get(name)?.toString() ?? 'null');
}

const bench = imageBench();
t.teardown(bench.close);
const configs = { one: configFor([bottom]), two: configFor([bottom, top], { unknown: { kept: true } }) };
await loadImage(
  bench,
  inPieces(await tarOf(dockerMembers([bottom], { config: configs.one, tags: ['one:1', 'one:2'] }))),
);
await loadImage(
  bench,
  inPieces(await tarOf(dockerMembers([bottom, top], { config: configs.two, tags: ['localhost:5000/two:x'] })), 65536),
);

t.test('both layouts over the same blobs, each layer once', async (t) => {
  const members = await membersOf(await saved(bench, ['one:1', 'localhost:5000/two:x']));
  t.equal([...members.keys()].filter((name) => name.startsWith('blobs/')).length, 2 + 2 + 2);
  for (const [name, bytes] of members) if (name.startsWith('blobs/')) t.equal(name, `blobs/sha256/${hexOf(bytes)}`);
  t.ok(members.get(`blobs/sha256/${hexOf(configs.two)}`)?.equals(configs.two), 'the configuration byte for byte');
  t.ok(members.get(`blobs/sha256/${hexOf(top)}`)?.equals(top), 'the layer byte for byte');
  t.same(json(members, 'manifest.json'), [
    { Config: `blobs/sha256/${hexOf(configs.one)}`, RepoTags: ['one:1'], Layers: [`blobs/sha256/${hexOf(bottom)}`] },
    {
      Config: `blobs/sha256/${hexOf(configs.two)}`,
      RepoTags: ['localhost:5000/two:x'],
      Layers: [`blobs/sha256/${hexOf(bottom)}`, `blobs/sha256/${hexOf(top)}`],
    },
  ]);
  t.same(json(members, 'repositories'), { one: { 1: hexOf(bottom) }, 'localhost:5000/two': { x: hexOf(top) } });
  t.match(json(members, 'index.json'), {
    manifests: [
      {
        annotations: {
          'io.containerd.image.name': 'docker.io/library/one:1',
          'org.opencontainers.image.ref.name': '1',
        },
      },
      { annotations: { 'io.containerd.image.name': 'localhost:5000/two:x' } },
    ],
  });
});

t.test('a repository means all its tags, an id none', async (t) => {
  const all = json(await membersOf(await saved(bench, ['one'])), 'manifest.json') as [{ RepoTags: string[] }];
  t.same(all[0].RepoTags, ['one:1', 'one:2']);
  const untagged = await membersOf(await saved(bench, [digestOf(configs.one)]));
  t.match(json(untagged, 'manifest.json'), [{ RepoTags: null }]);
  t.notOk(untagged.has('repositories'));
});

t.test('what is saved loads again, through either layout', async (t) => {
  const archive = await saved(bench, ['one', 'localhost:5000/two:x']);
  const members = await membersOf(archive);
  const ociOnly = await tarOf(
    [...members].filter(([name]) => name !== 'manifest.json').map(([name, content]) => ({ name, content })),
  );
  for (const bytes of [archive, ociOnly]) {
    const again = imageBench();
    await loadImage(again, inPieces(bytes, 100_000));
    t.equal(again.store.resolve('one:2').id, digestOf(configs.one));
    t.equal(again.store.resolve('localhost:5000/two:x').id, digestOf(configs.two));
    t.same(await saved(again, ['one', 'localhost:5000/two:x']), archive, 'and saves to the same bytes');
    await again.close();
  }
});

t.test('refusals', async (t) => {
  await t.rejects(saveImages(bench, []), { code: 'bad_parameter' });
  await t.rejects(saveImages(bench, ['one:1', 'missing']), {
    code: 'not_found',
    message: 'No such image: missing:latest',
  });
});

t.test('no layer goes while an archive that holds it is read', async (t) => {
  const archives = [await saveImages(bench, ['one:1']), await saveImages(bench, ['localhost:5000/two:x'])];
  await bench.store.layers.discard(
    bench.store.remove(digestOf(configs.two), { keepHidden: false }).map((l) => l.diffId),
  );
  t.ok(bench.layerStore.has(digestOf(top)));
  archives[1]?.close();
  archives[1]?.close();
  await bench.store.layers.discard([digestOf(top)]);
  t.notOk(bench.layerStore.has(digestOf(top)), 'others do not matter');
  archives[0]?.close();
});

t.test('sizes beyond eight gigabytes', async (t) => {
  const size = 20 * 1024 ** 3 + 5;
  t.equal(parseTarHeader(tarFileHeader('big', size), 0).sizeBytes, size);
  t.equal(parseTarHeader(tarFileHeader('small', 5), 0).sizeBytes, 5);
});
