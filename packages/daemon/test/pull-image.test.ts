import { statSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { ProgressMessage } from '@tsd/shared/api-images';
import { TsdError } from '@tsd/shared/errors';
import { parseReference } from '@tsd/shared/image-reference';
import t, { type Test } from 'tap';
import { createLayerDownloads } from '../src/images/layer-downloads.ts';
import { loadImage } from '../src/images/load-image.ts';
import { MEDIA_TYPE } from '../src/images/oci-descriptor.ts';
import { parsePlatform } from '../src/images/platform.ts';
import { pullImage } from '../src/images/pull-image.ts';
import { pullReference } from '../src/images/pull-reference.ts';
import { createPullReport } from '../src/images/pull-report.ts';
import { reconcileImages } from '../src/images/reconcile-images.ts';
import type {
  RegistryClient,
  RemoteManifest,
  RemoteRepository,
  TransferOptions,
} from '../src/images/registry/remote-repository.ts';
import { removeImage } from '../src/images/remove-image.ts';
import { progressBar } from '../src/images/transfer-progress.ts';
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

const REPOSITORY = 'registry.test/team/app';
const OTHER_ARCHITECTURE = process.arch === 'x64' ? 'arm64' : 'amd64';
const GZIP = `${MEDIA_TYPE.layer}+gzip`;
const layers = [await layerOf('bottom'), await layerOf('middle'), await layerOf('top')];
const fourLayers = [...layers, await layerOf('roof')];

/** A repository in memory, of which every request is noted and can be held up. */
class FakeRepository
  implements Pick<RemoteRepository, 'name' | 'getManifest' | 'openBlob' | 'distrustMirrors' | 'readBlob' | 'listTags'>
{
  readonly name = REPOSITORY;
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, RemoteManifest>();
  readonly tags = new Map<string, string>();
  readonly opened: string[] = [];
  /** Called within a blob, after its first half. */
  halfway: (digest: string, signal: AbortSignal) => Promise<void> = async () => undefined;

  put(content: Buffer, mediaType: string): Record<string, unknown> {
    this.blobs.set(digestOf(content), content);
    return descriptorOf(content, mediaType);
  }

  putManifest(
    document: Readonly<Record<string, unknown>> & { readonly mediaType: string },
    tag?: string,
  ): Record<string, unknown> {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...document }));
    const { mediaType } = document;
    this.manifests.set(digestOf(bytes), { digest: digestOf(bytes), mediaType, bytes });
    if (tag !== undefined) this.tags.set(tag, digestOf(bytes));
    return descriptorOf(bytes, mediaType);
  }

  /** An image of these layers, each as it is sent. */
  putImage(
    tars: readonly Buffer[],
    {
      tag,
      compress = gzipSync as (tar: Buffer) => Buffer,
      mediaType = GZIP,
      config = configFor(tars),
    }: { tag?: string; compress?: (tar: Buffer) => Buffer; mediaType?: string; config?: Buffer } = {},
  ): Record<string, unknown> {
    return this.putManifest(
      {
        mediaType: MEDIA_TYPE.manifest,
        config: this.put(config, MEDIA_TYPE.config),
        layers: tars.map((tar) => this.put(compress(tar), mediaType)),
      },
      tag,
    );
  }

  async getManifest(tagOrDigest: string): Promise<RemoteManifest> {
    const manifest = this.manifests.get(this.tags.get(tagOrDigest) ?? tagOrDigest);
    if (manifest === undefined) throw new TsdError('not_found', `manifest for ${tagOrDigest} not found`);
    return manifest;
  }

  /** Blobs that a mirror gives wrong. */
  readonly mirrored = new Set<string>();

  distrustMirrors(digest: string): boolean {
    return this.mirrored.delete(digest);
  }

  async *openBlob({ digest }: { digest: string }, { signal, onBytes }: TransferOptions): AsyncGenerator<Uint8Array> {
    this.opened.push(digest);
    const right = this.blobs.get(digest) ?? Buffer.alloc(0);
    const bytes = this.mirrored.has(digest) ? Buffer.alloc(right.length, 'x') : right;
    const half = Math.ceil(bytes.length / 2);
    onBytes?.(half);
    yield bytes.subarray(0, half);
    await this.halfway(digest, signal);
    signal.throwIfAborted();
    onBytes?.(bytes.length);
    yield bytes.subarray(half);
  }

  async readBlob({ digest }: { digest: string }): Promise<Buffer> {
    return this.blobs.get(digest) ?? Buffer.alloc(0);
  }

  async listTags(): Promise<string[]> {
    return [...this.tags.keys()];
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

interface PullBench extends ImageBench {
  readonly remote: FakeRepository;
  pull(
    name?: string,
    options?: { platform?: string; signal?: AbortSignal; messages?: ProgressMessage[] },
  ): Promise<ProgressMessage[]>;
}

function pullBench(t: Test): PullBench {
  const bench = imageBench();
  t.teardown(bench.close);
  const remote = new FakeRepository();
  const client = { repository: () => remote } as unknown as RegistryClient;
  const deps = { ...bench, downloads: createLayerDownloads(bench.layerStore), registry: async () => client };
  return {
    ...bench,
    remote,
    async pull(name = `${REPOSITORY}:1`, { platform, signal = new AbortController().signal, messages = [] } = {}) {
      await pullImage(
        deps,
        {
          reference: parseReference(name),
          platform: platform === undefined ? undefined : parsePlatform(platform),
          credentials: null,
        },
        createPullReport((message) => messages.push(message)),
        signal,
      );
      return messages;
    },
  };
}

function short(digest: string): string {
  return digest.slice('sha256:'.length).slice(0, 12);
}

t.test('layers that a mirror gives wrong are fetched again', async (t) => {
  const { pull, remote, store } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  const digests = layers.map((tar) => digestOf(gzipSync(tar)));
  for (const digest of digests) remote.mirrored.add(digest);
  await pull();
  t.equal(store.resolve(`${REPOSITORY}:1`).id, digestOf(configFor(layers)));
  t.strictSame(
    digests.map((digest) => remote.opened.filter((opened) => opened === digest).length),
    digests.map(() => 2),
  );
});

t.test('waits between tries are told as Docker tells them', async (t) => {
  const { pull, remote } = pullBench(t);
  remote.putImage(layers.slice(0, 1), { tag: '1' });
  const openBlob = remote.openBlob.bind(remote);
  remote.openBlob = async function* (blob, options) {
    for (const secondsLeft of [2, 1]) options.onWait?.(secondsLeft);
    yield* openBlob(blob, options);
  };
  const id = short(digestOf(gzipSync(layers[0] as Buffer)));
  t.strictSame(
    (await pull()).filter(({ status }) => status?.startsWith('Retrying')),
    ['Retrying in 2 seconds', 'Retrying in 1 second'].map((status) => ({ status, progressDetail: {}, id })),
  );
});

t.test('an image of three layers, as Docker tells it', async (t) => {
  const { pull, remote, store, layerStore, blobStore, files, events } = pullBench(t);
  const { digest } = remote.putImage(layers, { tag: '1' });
  const messages = await pull();
  const blobs = layers.map((tar) => gzipSync(tar));
  t.same(messages[0], { status: 'Pulling from team/app', id: '1' });
  t.same(
    messages.slice(1, 4),
    blobs.map((blob) => ({ status: 'Pulling fs layer', progressDetail: {}, id: short(digestOf(blob)) })),
  );
  t.same(messages.slice(-2), [
    { status: `Digest: ${digest}` },
    { status: 'Status: Downloaded newer image for registry.test/team/app:1' },
  ]);
  for (const blob of blobs) {
    const own = messages.filter(({ id }) => id === short(digestOf(blob)));
    t.same(
      own
        .map(({ status }) => status)
        .filter((status, index, all) => all.indexOf(status) === index && status !== 'Waiting'),
      ['Pulling fs layer', 'Downloading', 'Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete'],
    );
    const total = blob.length;
    t.hasStrict(
      own.findLast(({ status }) => status === 'Downloading'),
      {
        progressDetail: { current: total, total },
        progress: progressBar(total, total),
      },
    );
  }
  const image = store.resolve(`${REPOSITORY}:1`);
  t.equal(image.id, digestOf(configFor(layers)));
  t.same(image.repoTags, [`${REPOSITORY}:1`]);
  t.same(image.repoDigests, [`${REPOSITORY}@${digest}`]);
  t.same(store.manifests(image.id), [...remote.manifests.values()]);
  for (const [index, tar] of layers.entries()) {
    const blob = blobs[index] as Buffer;
    t.ok(layerStore.has(digestOf(tar)));
    t.ok(blobStore.has(digestOf(blob)));
    t.same(store.compressedForms(digestOf(tar)), [
      {
        digest: digestOf(blob),
        diffId: digestOf(tar),
        mediaType: GZIP,
        sizeBytes: blob.length,
        kept: true,
        repositories: [REPOSITORY],
      },
    ]);
  }

  remote.opened.length = 0;
  t.same(await pull(), [
    { status: 'Pulling from team/app', id: '1' },
    { status: `Digest: ${digest}` },
    { status: 'Status: Image is up to date for registry.test/team/app:1' },
  ]);
  t.same(remote.opened, []);

  await removeImage({ store, events, imageUsers: () => [] }, image.id, { force: true });
  t.same(files(), [], 'the blobs go with the layers');
});

t.test('layers that are here are not fetched', async (t) => {
  const { pull, remote, store } = pullBench(t);
  remote.putImage(layers.slice(0, 2), { tag: '1' });
  remote.putImage([...layers, layers[0] as Buffer], { tag: '2' });
  await pull();
  remote.opened.length = 0;
  const messages = await pull(`${REPOSITORY}:2`);
  const digests = layers.map((tar) => digestOf(gzipSync(tar)));
  t.same(remote.opened, [digests[2]], 'a layer that occurs twice is one');
  t.same(
    messages.filter(({ status }) => status === 'Already exists').map(({ id }) => id),
    digests.slice(0, 2).map(short),
  );
  t.equal(store.resolve(`${REPOSITORY}:2`).diffIds.length, 4);
});

t.test('of a layer that was loaded the blob is fetched, and no digest is believed for it', async (t) => {
  const { pull, remote, store, layerStore, blobStore, events, files } = pullBench(t);
  const tars = layers.slice(0, 1) as [Buffer];
  const [diffId, blob] = [digestOf(tars[0]), digestOf(gzipSync(tars[0]))];
  await loadImage({ store, layerStore, events }, inPieces(await tarOf(dockerMembers(tars))));
  const before = { files: files(), file: statSync(layerStore.imagePath(diffId)).ino };

  const lie = remote.put(gzipSync(layers[1] as Buffer), GZIP);
  const config = remote.put(configFor(tars), MEDIA_TYPE.config);
  remote.putManifest({ mediaType: MEDIA_TYPE.manifest, config, layers: [lie] }, '1');
  await t.rejects(pull(), { code: 'bad_parameter', message: /failed to register layer .* diff id/ });
  t.same(files(), before.files);
  t.same(store.compressedForms(diffId), []);

  remote.putImage(tars, { tag: '1' });
  remote.opened.length = 0;
  const messages = await pull();
  t.same(remote.opened, [blob]);
  t.ok(messages.some(({ id, status }) => id === short(blob) && status === 'Download complete'));
  t.same(
    store.compressedForms(diffId).map(({ digest, kept, repositories }) => ({ digest, kept, repositories })),
    [{ digest: blob, kept: true, repositories: [REPOSITORY] }],
  );
  t.ok(blobStore.has(blob));
  t.equal(statSync(layerStore.imagePath(diffId)).ino, before.file, 'the layer itself is the one that was loaded');
  t.equal(files().length, before.files.length + 1);
  await pull();

  store.setKept(blob, false);
  await store.layers.discard([], [blob]);
  const again = await pull();
  t.same(remote.opened, [blob], 'what a prune has given up is not fetched again');
  t.notOk(again.some(({ id }) => id === short(blob)));
  t.notOk(blobStore.has(blob));
});

t.test('gzip, zstd and plain layers', async (t) => {
  const { pull, remote, store, blobStore } = pullBench(t);
  const [first, second, third] = layers as [Buffer, Buffer, Buffer];
  remote.putManifest(
    {
      mediaType: MEDIA_TYPE.manifest,
      config: remote.put(configFor(layers), MEDIA_TYPE.config),
      layers: [
        remote.put(gzipSync(first), GZIP),
        remote.put(zstdCompressSync(second), `${MEDIA_TYPE.layer}+zstd`),
        remote.put(third, MEDIA_TYPE.layer),
      ],
    },
    '1',
  );
  await pull();
  t.equal((await blobStore.list()).length, 2, 'a plain layer is its own blob');
  t.hasStrict(store.compressedForms(digestOf(third)), [
    { digest: digestOf(third), mediaType: MEDIA_TYPE.layer, kept: false, repositories: [REPOSITORY] },
  ]);
});

t.test('an index: the platform decides', async (t) => {
  const { pull, remote, store } = pullBench(t);
  const host = process.arch === 'x64' ? 'amd64' : 'arm64';
  const foreign = configFor(layers.slice(0, 1), { architecture: OTHER_ARCHITECTURE });
  const manifests = [
    {
      ...remote.putImage(layers.slice(0, 1), { config: foreign }),
      platform: { os: 'linux', architecture: OTHER_ARCHITECTURE },
    },
    { ...remote.putImage(layers), platform: { os: 'linux', architecture: host } },
  ];
  const { digest } = remote.putManifest({ mediaType: MEDIA_TYPE.index, manifests }, '1');
  await pull();
  const image = store.resolve(`${REPOSITORY}:1`);
  t.equal(image.id, digestOf(configFor(layers)));
  t.same(image.repoDigests, [`${REPOSITORY}@${digest}`], "the index's digest");
  t.same(
    store.manifests(image.id).map((manifest) => manifest.mediaType),
    [MEDIA_TYPE.index, MEDIA_TYPE.manifest],
  );
  await pull(`${REPOSITORY}:1`, { platform: `linux/${OTHER_ARCHITECTURE}` });
  t.equal(store.resolve(`${REPOSITORY}:1`).id, digestOf(foreign), 'the tag moves');
  await t.rejects(pull(`${REPOSITORY}:1`, { platform: 'linux/s390x' }), {
    code: 'not_found',
    message: /no matching manifest for linux\/s390x in the manifest list entries/,
  });
});

t.test('an index within an index; one that lies about its entries', async (t) => {
  const { pull, remote, store } = pullBench(t);
  const inner = remote.putManifest({ mediaType: MEDIA_TYPE.index, manifests: [remote.putImage(layers)] });
  remote.putManifest({ mediaType: MEDIA_TYPE.index, manifests: [inner] }, '1');
  await pull();
  t.equal(store.manifests(store.resolve(`${REPOSITORY}:1`).id).length, 3);

  let deep = remote.putImage(layers);
  for (let depth = 0; depth < 6; depth++) {
    deep = remote.putManifest({ mediaType: MEDIA_TYPE.index, manifests: [deep] }, 'deep');
  }
  await t.rejects(pull(`${REPOSITORY}:deep`), { code: 'bad_parameter', message: /nested/ });

  const manifest = remote.putImage(layers);
  const lies = { size: { ...manifest, size: 7 }, type: { ...manifest, mediaType: MEDIA_TYPE.dockerManifest } };
  for (const [tag, entry] of Object.entries(lies)) {
    remote.putManifest({ mediaType: MEDIA_TYPE.index, manifests: [entry] }, tag);
    await t.rejects(pull(`${REPOSITORY}:${tag}`), { code: 'bad_parameter', message: /where the index says/ });
  }
});

t.test('by digest', async (t) => {
  const { pull, remote, store } = pullBench(t);
  const { digest } = remote.putImage(layers, { tag: '1' });
  const name = `${REPOSITORY}@${digest}`;
  const messages = await pull(name);
  t.same(messages[0], { status: 'Pulling from team/app', id: digest });
  t.same(messages.at(-1), { status: `Status: Downloaded newer image for ${name}` });
  t.same(store.resolve(name).repoTags, []);
  t.same(store.resolve(name).repoDigests, [name]);
  t.same((await pull(name)).at(-1), { status: `Status: Image is up to date for ${name}` });
});

t.test('all tags', async (t) => {
  const { pull, remote, store } = pullBench(t);
  remote.putImage(layers, { tag: 'a' });
  remote.putImage(layers.slice(0, 1), { tag: 'b' });
  const messages = await pull(REPOSITORY);
  t.same(
    messages.filter(({ status }) => status?.startsWith('Pulling from')).map(({ id }) => id),
    ['a', 'b'],
  );
  t.same(messages.at(-1), { status: 'Status: Downloaded newer image for registry.test/team/app' });
  t.same(
    store
      .list()
      .flatMap(({ repoTags }) => repoTags)
      .sort(),
    [`${REPOSITORY}:a`, `${REPOSITORY}:b`],
  );
});

t.test('what the API names', async (t) => {
  const digest = digestOf('x');
  for (const [fromImage, tag, expected] of [
    ['alpine', 'latest', { domain: 'docker.io', path: 'library/alpine', tag: 'latest' }],
    ['alpine', '', { domain: 'docker.io', path: 'library/alpine' }],
    ['alpine:', '', { domain: 'docker.io', path: 'library/alpine' }],
    ['alpine:3', '', { domain: 'docker.io', path: 'library/alpine', tag: '3' }],
    ['localhost:5000/a:3', '4', { domain: 'localhost:5000', path: 'a', tag: '4' }],
    ['alpine', digest, { domain: 'docker.io', path: 'library/alpine', digest }],
    [`alpine:3@${digest}`, '', { domain: 'docker.io', path: 'library/alpine', digest }],
  ] as const) {
    t.same(pullReference(fromImage, tag), expected, `${fromImage} ${tag}`);
  }
  for (const [fromImage, tag] of [
    ['Alpine', ''],
    ['alpine', 'no tag'],
    ['alpine', `sha512:${'0'.repeat(128)}`],
  ] as const) {
    t.throws(() => pullReference(fromImage, tag), { code: 'bad_parameter' }, `${fromImage} ${tag}`);
  }
});

t.test('what cannot be accepted leaves nothing, and the next try succeeds', async (t) => {
  const { pull, remote, store, files } = pullBench(t);
  const blob = gzipSync(layers[2] as Buffer);
  const damages: readonly [string, () => void, RegExp][] = [
    [
      'a wrong digest',
      () => remote.blobs.set(digestOf(blob), gzipSync(Buffer.from('other'))),
      /failed to register layer/,
    ],
    ['a truncated layer', () => remote.blobs.set(digestOf(blob), blob.subarray(0, blob.length - 9)), /digest|damaged/],
    [
      'another content than the configuration says',
      () => remote.putImage(layers, { tag: '1', config: configFor([...layers.slice(0, 2), Buffer.from('other')]) }),
      /diff id/,
    ],
    [
      'too few layers',
      () => remote.putImage(layers.slice(1), { tag: '1', config: configFor(layers) }),
      /length mismatch/,
    ],
    [
      'one blob as two layers',
      () => {
        const tars = layers.slice(0, 1) as [Buffer];
        const blobs = tars.map((tar) => remote.put(gzipSync(tar), GZIP));
        const config = remote.put(configFor(layers.slice(0, 2)), MEDIA_TYPE.config);
        remote.putManifest({ mediaType: MEDIA_TYPE.manifest, config, layers: [...blobs, ...blobs] }, '1');
        remote.opened.length = 0;
      },
      /invalid manifest, layer sha256:\w+ is named twice, for the diff ids sha256:\w+ and sha256:\w+$/,
    ],
    [
      'another operating system',
      () => remote.putImage(layers, { tag: '1', config: configFor(layers, { os: 'windows' }) }),
      /windows/,
    ],
  ];
  for (const [what, damage, message] of damages) {
    remote.putImage(layers, { tag: '1' });
    damage();
    await t.rejects(pull(), { code: 'bad_parameter', message }, what);
    t.same(files(), [], what);
    t.equal(store.count(), 0);
    if (what === 'one blob as two layers') t.same(remote.opened, [], 'nothing is fetched');
  }
  remote.putImage(layers, { tag: '1' });
  await pull();
  t.equal(store.count(), 1);
});

t.test('two pulls share the work', async (t) => {
  const { pull, remote, store } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  remote.putImage(layers, { tag: '2' });
  const messages = await Promise.all([pull(), pull(`${REPOSITORY}:2`), pull()]);
  t.same([...remote.opened].sort(), layers.map((tar) => digestOf(gzipSync(tar))).sort());
  for (const told of messages) t.equal(told.filter(({ status }) => status === 'Pull complete').length, layers.length);
  t.same(store.resolve(`${REPOSITORY}:1`).repoTags.length, 2);
});

t.test('a layer that has come for a pull that is still going on is shared too', async (t) => {
  const { pull, remote, store } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  const last = digestOf(gzipSync(layers[2] as Buffer));
  let second: Promise<unknown> = Promise.resolve();
  remote.halfway = async (digest) => {
    // The first two are complete by the time that the last one begins, or shared as they come.
    if (digest === last) second = pull();
  };
  await pull();
  await second;
  t.equal(remote.opened.length, layers.length);
  t.equal(store.count(), 1);
});

t.test('three layers come at once; other pulls and other ways do not wait for them', async (t) => {
  const { pull, remote, store, layerStore, events } = pullBench(t);
  remote.putImage(fourLayers, { tag: '1' });
  const other = await layerOf('other');
  remote.putImage([other], { tag: '2' });
  const otherBlob = digestOf(gzipSync(other));
  const [goOn, three] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let underWay = 0;
  let most = 0;
  remote.halfway = async (digest) => {
    if (digest === otherBlob) return;
    underWay += 1;
    most = Math.max(most, underWay);
    if (underWay === 3) three.resolve();
    await goOn.promise;
    underWay -= 1;
  };
  const messages: ProgressMessage[] = [];
  const first = pull(undefined, { messages });
  await three.promise;
  t.equal(messages.filter(({ status }) => status === 'Waiting').length, 1);
  await pull(`${REPOSITORY}:2`);
  const archive = await tarOf(dockerMembers([await layerOf('loaded')]));
  await loadImage({ store, layerStore, events }, inPieces(archive));
  t.equal(store.count(), 2);
  goOn.resolve();
  await first;
  t.equal(store.count(), 3);
  t.equal(most, 3);
});

t.test('a pull that is cancelled stops and leaves nothing', async (t) => {
  const { pull, remote, store, files } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  const controller = new AbortController();
  const last = digestOf(gzipSync(layers[1] as Buffer));
  let stopped = 0;
  remote.halfway = async (digest, signal) => {
    if (digest !== last) return;
    controller.abort(new Error('cancelled'));
    await aborted(signal);
    stopped++;
  };
  await t.rejects(pull(`${REPOSITORY}:1`, { signal: controller.signal }), { message: 'cancelled' });
  t.equal(stopped, 1);
  t.same(files(), []);
  t.equal(store.count(), 0);
  await t.rejects(pull(`${REPOSITORY}:1`, { signal: AbortSignal.abort(new Error('at once')) }), { message: 'at once' });
  remote.halfway = async () => undefined;
  await pull();
  t.equal(store.count(), 1);
});

t.test('cancelling one of two pulls does not disturb the other', async (t) => {
  const { pull, remote, store } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  const controller = new AbortController();
  const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  remote.halfway = async () => {
    reached.resolve();
    await goOn.promise;
  };
  const [first, second] = [pull(`${REPOSITORY}:1`, { signal: controller.signal }), pull()];
  await reached.promise;
  controller.abort(new Error('cancelled'));
  await t.rejects(first, { message: 'cancelled' });
  goOn.resolve();
  await second;
  t.equal(remote.opened.length, layers.length);
  t.equal(store.count(), 1);
});

t.test('one layer that fails stops the others', async (t) => {
  const { pull, remote, files } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  const [bad, other] = layers.map((tar) => digestOf(gzipSync(tar)));
  remote.halfway = (digest, signal) => {
    if (digest === bad) throw new TsdError('unavailable', 'reset by peer');
    if (digest !== other) return Promise.resolve();
    return aborted(signal);
  };
  await t.rejects(pull(), { code: 'unavailable', message: /failed to register layer sha256:.* reset by peer/ });
  t.same(files(), []);
});

t.test('an image that is removed while another pull needs its layers', async (t) => {
  const { pull, remote, store, layerStore, blobStore, events } = pullBench(t);
  remote.putImage(layers.slice(0, 2), { tag: '1' });
  remote.putImage(layers, { tag: '2' });
  await pull();
  remote.halfway = async () => {
    await removeImage({ store, events, imageUsers: () => [] }, `${REPOSITORY}:1`, { force: false });
  };
  await pull(`${REPOSITORY}:2`);
  for (const tar of layers) t.ok(layerStore.has(digestOf(tar)));
  t.equal(store.keptBlobs().length, layers.length);
  t.equal((await blobStore.list()).length, layers.length);
  t.same(
    store.imageLayers(store.resolve(`${REPOSITORY}:2`).id).map(({ diffId }) => diffId),
    layers.map(digestOf),
  );
});

t.test('while a pull is under way the space of other images is given back', async (t) => {
  const { pull, remote, store, layerStore, blobStore, events, files } = pullBench(t);
  const [shared, own, stalled] = layers as [Buffer, Buffer, Buffer];
  remote.putImage([shared, own], { tag: '1' });
  remote.putImage([shared, stalled], { tag: '2' });
  await pull();
  const loaded = await layerOf('loaded');
  await loadImage({ store, layerStore, events }, inPieces(await tarOf(dockerMembers([loaded]))));
  const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  remote.halfway = async () => {
    reached.resolve();
    await goOn.promise;
  };
  const pulling = pull(`${REPOSITORY}:2`);
  await reached.promise;
  for (const name of [`${REPOSITORY}:1`, 'test:1'])
    await removeImage({ store, events, imageUsers: () => [] }, name, { force: false });
  for (const tar of [own, loaded]) t.notOk(layerStore.has(digestOf(tar)), 'the layer has gone with the answer');
  t.notOk(blobStore.has(digestOf(gzipSync(own))), 'and its blob');
  t.ok(layerStore.has(digestOf(shared)), 'what the pull has found here stays');
  t.ok(blobStore.has(digestOf(gzipSync(shared))));
  goOn.resolve();
  await pulling;
  t.same(
    store.imageLayers(store.resolve(`${REPOSITORY}:2`).id).map(({ diffId }) => diffId),
    [shared, stalled].map(digestOf),
  );
  t.equal(store.keptBlobs().length, 2);
  await removeImage({ store, events, imageUsers: () => [] }, `${REPOSITORY}:2`, { force: false });
  t.same(files(), []);
});

t.test('a broken image is mended by pulling it again', async (t) => {
  const { pull, remote, store, layerStore } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  await pull();
  const { id } = store.resolve(`${REPOSITORY}:1`);
  await layerStore.remove(digestOf(layers[1] as Buffer));
  store.setBroken(id, 'a layer is missing');
  remote.opened.length = 0;
  await pull();
  t.same(remote.opened, [digestOf(gzipSync(layers[1] as Buffer))]);
  t.ok(layerStore.has(digestOf(layers[1] as Buffer)));
  t.equal(store.get(id)?.broken, null);
});

t.test('reconcile: blobs without rows, rows without blobs', async (t) => {
  const { pull, remote, store, layerStore, blobStore } = pullBench(t);
  remote.putImage(layers, { tag: '1' });
  await pull();
  // What a daemon leaves that is killed between a layer's arrival and the commit of its image.
  const stray = await layerOf('stray');
  await layerStore.ingest(inPieces(gzipSync(stray)), { keepCompressed: true });
  const lost = digestOf(gzipSync(layers[0] as Buffer));
  await blobStore.remove(lost);
  const found = await reconcileImages({ store, layerStore, blobStore, imageUsers: () => [] });
  t.same(found, {
    removedLayers: [digestOf(stray)],
    removedBlobs: [digestOf(gzipSync(stray))],
    removedImages: [],
    damagedImages: [],
  });
  t.same(
    (await blobStore.list()).sort(),
    layers
      .slice(1)
      .map((tar) => digestOf(gzipSync(tar)))
      .sort(),
  );
  t.equal(store.keptBlobs().length, 2);
});

t.test('bars', async (t) => {
  t.equal(progressBar(0, 0), '');
  t.equal(progressBar(512, 0), '    512B');
  t.equal(progressBar(1, 100), `[>${' '.repeat(50)}]       1B/100B`);
  t.equal(progressBar(557_056, 63_737_444), `[>${' '.repeat(50)}]  557.1kB/63.74MB`);
  t.equal(progressBar(100, 100), `[${'='.repeat(50)}>]     100B/100B`);
  t.equal(progressBar(120, 100), `[${'='.repeat(50)}>]     120B`);
});
