/** Archives made to do harm: each is refused with a message that says why, and leaves nothing behind. */
import { gzipSync } from 'node:zlib';
import { TsdError } from '@tsd/shared/errors';
import t from 'tap';
import { ByteStream } from '../src/images/byte-stream.ts';
import { importImage } from '../src/images/import-image.ts';
import { loadImage } from '../src/images/load-image.ts';
import { MEDIA_TYPE } from '../src/images/oci-descriptor.ts';
import { decompressed } from '../src/images/outer-compression.ts';
import { DEFAULT_LAYER_LIMITS } from '../src/storage/layer-limits.ts';
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

const layer = await layerOf('file');
const other = await layerOf('other');
const good = dockerMembers([layer]);

function manifestWith(value: unknown): Member[] {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return [...good.filter(({ name }) => name !== 'manifest.json'), { name: 'manifest.json', content: text }];
}

function withConfig(config: Buffer, layers: readonly Buffer[] = [layer]): Member[] {
  return dockerMembers(layers, { config });
}

function oci(blobs: readonly Buffer[], manifests: readonly object[]): Member[] {
  return [...blobs.map(blobMember), { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests }) }];
}

const config = configFor([layer]);
function manifestFor(extra: object): Buffer {
  return Buffer.from(
    JSON.stringify({
      config: descriptorOf(config, MEDIA_TYPE.config),
      layers: [descriptorOf(layer, MEDIA_TYPE.layer)],
      ...extra,
    }),
  );
}
const plain = manifestFor({});
const chart = manifestFor({ config: descriptorOf(config, 'application/vnd.cncf.helm.config.v1+json') });
const noLayerBlob = manifestFor({ layers: [descriptorOf(other, MEDIA_TYPE.layer)] });
const nested = [Buffer.from('{"manifests":[]}')];
for (let depth = 0; depth < 10; depth++) {
  nested.push(Buffer.from(JSON.stringify({ manifests: [descriptorOf(nested.at(-1) ?? layer, MEDIA_TYPE.index)] })));
}
const wide = [Buffer.from('{"manifests":[]}')];
for (let level = 0; level < 2; level++) {
  const child = descriptorOf(wide.at(-1) ?? layer, MEDIA_TYPE.index);
  wide.push(Buffer.from(JSON.stringify({ manifests: Array(1000).fill(child) })));
}

const refused: [string, Member[] | (() => Promise<Buffer>), RegExp][] = [
  ['no manifest', [{ name: 'readme', content: 'hello' }], /neither manifest.json nor index.json/],
  ['a root file system', [{ name: 'etc/mtab', type: 'symlink', linkname: '/proc/mounts' }], /use import/],
  ['an empty stream', async () => Buffer.alloc(0), /the archive is empty/],
  ['garbage', async () => Buffer.from('this is not a tar archive at all'.repeat(100)), /invalid tar archive/],
  ['a short piece of garbage', async () => Buffer.from('{}'), /truncated/],
  ['a truncated archive', async () => (await tarOf(good)).subarray(0, 1800), /truncated/],
  ['a truncated gzip', async () => gzipSync(await tarOf(good)).subarray(0, 400), /gzip|truncated/],
  ['gzip that is no tar', async () => gzipSync(Buffer.from('x'.repeat(2000))), /invalid tar archive/],
  ['xz', async () => Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2]), /compressed with xz: decompress it first/],
  ['an absolute name', [...good, { name: '/etc/passwd', content: 'x' }], /absolute path "\/etc\/passwd"/],
  ['a name that leads out', [...good, { name: 'a/../../x', content: 'x' }], /leads out of it/],
  ['a symlink that leads out', [...good, { name: 'a/l', type: 'symlink', linkname: '../../x' }], /leads out of it/],
  ['an absolute symlink', [...good, { name: 'l', type: 'symlink', linkname: '/etc/shadow' }], /leads out/],
  ['a hard link that leads out', [...good, { name: 'a/l', type: 'link', linkname: '../x' }], /leads out of it/],
  [
    'links in a circle',
    [
      ...manifestWith([{ Config: 'a', Layers: [] }]),
      { name: 'a', type: 'symlink', linkname: 'b' },
      { name: 'b', type: 'symlink', linkname: 'a' },
    ],
    /lead in a circle/,
  ],
  ['a name twice', [...good, { name: 'manifest.json', content: '[]' }], /"manifest.json" twice/],
  ['a link over a file', [...good, { name: 'manifest.json', type: 'symlink', linkname: 'x' }], /"manifest.json" twice/],
  ['a manifest that is no JSON', manifestWith('[{]'), /manifest.json is not valid JSON/],
  [
    'a manifest that is no UTF-8',
    [{ name: 'manifest.json', content: Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]) }],
    /not valid JSON/,
  ],
  [
    'a manifest of another shape',
    manifestWith({ Config: 'x' }),
    /manifest.json is not valid: the document must be array/,
  ],
  ['a manifest without Config', manifestWith([{ Layers: [] }]), /manifest.json is not valid/],
  [
    'a huge manifest',
    manifestWith(`[${' '.repeat(5 * 1024 * 1024)}]`),
    /manifest.json" is neither a layer nor a document/,
  ],
  ['a deep manifest', manifestWith('['.repeat(1_000_000)), /manifest.json is not valid JSON/],
  ['too many layers', manifestWith([{ Config: 'c', Layers: Array(500).fill('x') }]), /manifest.json is not valid/],
  [
    'a missing configuration',
    manifestWith([{ Config: 'nowhere.json', Layers: [] }]),
    /the archive lacks "nowhere.json"/,
  ],
  ['a configuration outside', manifestWith([{ Config: '../../etc/passwd', Layers: [] }]), /the archive lacks/],
  [
    'an invalid tag',
    manifestWith([{ Config: `${hexOf(config)}.json`, RepoTags: ['Bad:Tag:x'], Layers: [good[2]?.name] }]),
    /must be lowercase/,
  ],
  [
    'a tag with a digest',
    manifestWith([{ Config: `${hexOf(config)}.json`, RepoTags: [`a@${digestOf(layer)}`], Layers: [good[2]?.name] }]),
    /holds a digest/,
  ],
  [
    'a layer as configuration',
    manifestWith([{ Config: good[2]?.name, Layers: [] }]),
    /is not an image configuration: it is a layer/,
  ],
  [
    'a document as layer',
    manifestWith([{ Config: `${hexOf(config)}.json`, Layers: [`${hexOf(config)}.json`] }]),
    /is not a layer/,
  ],
  [
    'a missing layer',
    manifestWith([{ Config: `${hexOf(config)}.json`, Layers: ['gone/layer.tar'] }]),
    /lacks "gone\/layer.tar"/,
  ],
  [
    'fewer layers than the configuration says',
    manifestWith([{ Config: `${hexOf(config)}.json`, Layers: [] }]),
    /layers length mismatch: expected 1, got 0/,
  ],
  ['another layer than the configuration says', withConfig(config, [other]), /wrong diff id for layer 1/],
  [
    'a configuration without rootfs',
    withConfig(Buffer.from('{"architecture":"amd64","os":"linux"}')),
    /image configuration is not valid/,
  ],
  [
    'a diff id that is a path',
    withConfig(Buffer.from(JSON.stringify({ rootfs: { type: 'layers', diff_ids: ['sha256:../../x'] } }))),
    /rootfs\/diff_ids/,
  ],
  ['another operating system', withConfig(configFor([layer], { os: 'windows' })), /cannot load windows image on linux/],
  ['an environment with a NUL', withConfig(configFor([layer], { config: { Env: ['A=\0'] } })), /config\/Env/],
  ['a command that is a number', withConfig(configFor([layer], { config: { Cmd: [1] } })), /config\/Cmd/],
  ['labels that are a list', withConfig(configFor([layer], { config: { Labels: ['x'] } })), /config\/Labels/],
  [
    'a creation time that is none',
    withConfig(configFor([layer], { created: 'yesterday' })),
    /created is not an RFC 3339 time/,
  ],
  [
    'a blob under another digest',
    [
      { name: `blobs/sha256/${hexOf(layer)}`, content: other },
      ...manifestWith([{ Config: `${hexOf(config)}.json`, Layers: [`blobs/sha256/${hexOf(layer)}`] }]),
    ],
    /digest is sha256:.*expected/,
  ],
  [
    'a document under another digest',
    [
      { name: `blobs/sha256/${hexOf(layer)}`, content: '{}' },
      ...manifestWith([{ Config: `blobs/sha256/${hexOf(layer)}`, Layers: [] }]),
    ],
    /is damaged: its content has the digest/,
  ],
  [
    'a damaged layer',
    [
      ...manifestWith([{ Config: `${hexOf(config)}.json`, Layers: ['bad.tar.gz'] }]),
      { name: 'bad.tar.gz', content: gzipSync(layer).subarray(0, 60) },
    ],
    /layer "bad.tar.gz"/,
  ],
  [
    'a layer in xz',
    [
      ...manifestWith([{ Config: `${hexOf(config)}.json`, Layers: ['l.xz'] }]),
      { name: 'l.xz', content: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) },
    ],
    /compressed with xz/,
  ],
  ['an index with nothing in it', oci([], []), /holds no container image/],
  [
    'an index that names what is not there',
    oci([], [descriptorOf(plain, MEDIA_TYPE.manifest)]),
    /the archive lacks "sha256:/,
  ],
  [
    'a manifest whose layer is not there',
    oci([config, noLayerBlob], [descriptorOf(noLayerBlob, MEDIA_TYPE.manifest)]),
    /the archive lacks "sha256:/,
  ],
  [
    'a descriptor of another size',
    oci([config, plain, layer], [{ ...descriptorOf(plain, MEDIA_TYPE.manifest), size: 1 }]),
    /where its descriptor says 1/,
  ],
  [
    'a descriptor whose digest is a path',
    oci([], [{ mediaType: MEDIA_TYPE.manifest, digest: 'sha256:../x', size: 1 }]),
    /index.json is not valid/,
  ],
  [
    'an artifact that is no image',
    oci([config, chart, layer], [descriptorOf(chart, MEDIA_TYPE.manifest)]),
    /holds no container image/,
  ],
  [
    'indexes nested too deep',
    oci(nested, [descriptorOf(nested.at(-1) ?? layer, MEDIA_TYPE.index)]),
    /more than 8 deep/,
  ],
];

for (const [name, archive, message] of refused) {
  t.test(name, async (t) => {
    const bench = imageBench();
    t.teardown(bench.close);
    const bytes = typeof archive === 'function' ? await archive() : await tarOf(archive);
    await t.rejects(loadImage(bench, inPieces(bytes, 4096)), { name: 'TsdError', code: 'bad_parameter', message });
    t.same(bench.files(), [], 'no files are left');
    t.equal(bench.store.list().length + bench.store.layerIds().length, 0, 'no rows are left');
  });
}

t.test('one bad image among good ones: none is stored', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const items = [
    { Config: `${hexOf(config)}.json`, RepoTags: ['good:1'], Layers: [good[2]?.name] },
    { Config: 'missing.json', RepoTags: ['bad:1'], Layers: [] },
  ];
  await t.rejects(loadImage(bench, inPieces(await tarOf(manifestWith(items)))), /lacks "missing.json"/);
  t.same(bench.files(), []);
  t.equal(bench.store.count(), 0);
});

t.test('a failed load leaves the layers of other images alone', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  await loadImage(bench, inPieces(await tarOf(good)));
  await t.rejects(loadImage(bench, inPieces(await tarOf(manifestWith('[{]')))));
  t.same(await bench.layerStore.list(), [digestOf(layer)]);
  t.equal(bench.store.resolve('test:1').diffIds[0], digestOf(layer));
});

t.test('while another load needs the same layer, a failed one does not take it away', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  let resume = (): void => undefined;
  const paused = new Promise<void>((resolve) => {
    resume = resolve;
  });
  const archive = await tarOf(good);
  const slow = async function* (): AsyncGenerator<Buffer> {
    yield archive.subarray(0, archive.length - 2048);
    await paused;
    yield archive.subarray(archive.length - 2048);
  };
  const loading = loadImage(bench, slow());
  await t.rejects(loadImage(bench, inPieces(await tarOf(manifestWith('[{]')))));
  resume();
  await loading;
  t.same(await bench.layerStore.list(), [digestOf(layer)]);
});

t.test('an archive that expands without end', async (t) => {
  const zeros = gzipSync(Buffer.alloc(8 * 1024 * 1024));
  const limits = { freeExpansionBytes: 1024 * 1024, maxExpansionRatio: 10 };
  const read = async (): Promise<void> => {
    for await (const _chunk of decompressed(new ByteStream(inPieces(zeros), 1024 ** 3), limits));
  };
  await t.rejects(read(), { code: 'bad_parameter', message: /decompression bomb/ });
  const long = async (): Promise<void> => {
    for await (const _chunk of new ByteStream(inPieces(Buffer.alloc(5000)), 4096).rest());
  };
  await t.rejects(long(), { message: 'the archive is larger than 4096 bytes' });
});

t.test('errors do not carry control characters of the archive to a terminal', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const name = `\u001b[31m\u009b31m${'x'.repeat(5000)}`;
  const archive = await tarOf(manifestWith([{ Config: name.slice(0, 4000), Layers: [] }]));
  const error = await loadImage(bench, inPieces(archive)).then(
    () => null,
    (reason: unknown) => reason as Error,
  );
  t.match(error?.message, /lacks "\\u001b\[31m\\u009b31mx+…"/);
  t.ok((error?.message.length ?? 0) < 200);
});

t.test('a disk that fills up ends the load at once', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const full = new TsdError('insufficient_storage', 'no space left in the data root for the layer');
  let ingests = 0;
  const layerStore = {
    ingest: async (source: AsyncIterable<Uint8Array>): Promise<never> => {
      ingests++;
      for await (const _piece of source);
      throw full;
    },
  };
  let pieces = 0;
  const source = async function* (): AsyncGenerator<Buffer> {
    for await (const piece of inPieces(await tarOf(dockerMembers([layer, other, layer, other, layer])), 512)) {
      pieces++;
      yield piece;
    }
  };
  await t.rejects(loadImage({ ...bench, layerStore }, source()), full);
  t.ok(ingests <= 2, 'at most the next one had begun');
  t.ok(pieces < 20, 'the rest is not read');
});

t.test('a client that goes away in the middle', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const archive = await tarOf(good);
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield archive.subarray(0, 3000);
    throw new Error('aborted');
  };
  await t.rejects(loadImage(bench, broken()), { message: 'aborted' });
  t.same(bench.files(), []);
});

t.test('a layer with more entries than are let through', async (t) => {
  const bench = imageBench({
    limits: { ...DEFAULT_LAYER_LIMITS, tar: { ...DEFAULT_LAYER_LIMITS.tar, maxEntries: 5000 } },
  });
  t.teardown(bench.close);
  const names = (count: number) => Array.from({ length: count }, (_, number) => ({ name: `f${number}`, content: '' }));
  const fits = await tarOf(names(5000));
  const many = await tarOf(names(5001));
  await loadImage(bench, inPieces(await tarOf(dockerMembers([fits])), 65536));
  const kept = bench.files();
  await t.rejects(
    loadImage(bench, inPieces(await tarOf(dockerMembers([layer, many], { config: configFor([layer, many]) })), 65536)),
    {
      code: 'bad_parameter',
      message: /more than 5000 entries/,
    },
  );
  t.same(bench.files(), kept, 'nothing of it is left, the layer below included');
});

t.test('a layer that expands without end', async (t) => {
  const bench = imageBench({
    limits: { ...DEFAULT_LAYER_LIMITS, freeExpansionBytes: 1024 * 1024, maxExpansionRatio: 10 },
  });
  t.teardown(bench.close);
  const bomb = gzipSync(await layerOf('zeros', Buffer.alloc(20 * 1024 * 1024)));
  await t.rejects(
    loadImage(
      bench,
      inPieces(
        await tarOf([
          ...manifestWith([{ Config: `${hexOf(config)}.json`, Layers: ['bomb'] }]),
          { name: 'bomb', content: bomb },
        ]),
        65536,
      ),
    ),
    {
      message: /decompression bomb/,
    },
  );
  t.same(bench.files(), []);
});

t.test('import refuses what is no archive, and typing errors before the upload', async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const options = { changes: [], message: '' };
  await t.rejects(importImage(bench, inPieces(Buffer.from('no tar')), options), { message: /the archive is no tar/ });
  await t.rejects(importImage(bench, inPieces(Buffer.alloc(0)), options), TsdError);
  let isRead = false;
  const source = async function* (): AsyncGenerator<Buffer> {
    isRead = true;
    yield layer;
  };
  await t.rejects(importImage(bench, source(), { ...options, changes: ['RUN rm -rf /'] }), {
    message: /RUN is not a valid change command/,
  });
  t.notOk(isRead);
  t.same(bench.files(), []);
});
