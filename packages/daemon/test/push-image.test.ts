import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { ProgressMessage } from '@tsd/shared/api-images';
import { TsdError } from '@tsd/shared/errors';
import { parseReference } from '@tsd/shared/image-reference';
import t, { type Test } from 'tap';
import type { Image } from '../src/images/image.ts';
import { loadImage } from '../src/images/load-image.ts';
import { MEDIA_TYPE } from '../src/images/oci-descriptor.ts';
import { type PushImageDeps, pushImage } from '../src/images/push-image.ts';
import { pushMessages } from '../src/images/push-messages.ts';
import type { BlobSource, RemoteRepository } from '../src/images/registry/remote-repository.ts';
import { createLayerCompressor } from '../src/storage/layer-compressor.ts';
import { digestOf, dockerMembers, type ImageBench, imageBench, inPieces, layerOf, tarOf } from './image-archives.ts';

const [bottom, top] = [await layerOf('bottom', 'b'.repeat(5000)), await layerOf('top')];

/** A registry in memory. Blobs belong to a repository; manifests are told by tag. */
class FakeRegistry {
  readonly blobs = new Map<string, Map<string, Buffer>>();
  readonly manifests = new Map<string, { mediaType: string; bytes: Buffer }>();
  readonly calls: string[] = [];
  /** What an upload does before it reads. */
  onUpload: (blob: BlobSource, signal: AbortSignal) => Promise<void> = async () => undefined;
  mounts = true;

  repository(name: string): RemoteRepository {
    const own = this.blobs.get(name) ?? new Map<string, Buffer>();
    this.blobs.set(name, own);
    const call = (verb: string, digest: string): unknown => this.calls.push(`${verb} ${digest.slice(0, 12)}`);
    const unused = (): never => {
      throw new Error('a push does not read');
    };
    return {
      name,
      getManifest: unused,
      headManifest: unused,
      distrustMirrors: () => false,
      openBlob: ({ digest }) => {
        call('get', digest);
        return Readable.from([own.get(digest) ?? '']);
      },
      readBlob: unused,
      listTags: unused,
      hasBlob: async (digest, signal) => {
        signal.throwIfAborted();
        call('head', digest);
        return own.has(digest);
      },
      mountBlob: async (digest, fromPath) => {
        call(`mount ${fromPath}`, digest);
        const bytes = this.blobs.get(`${name.slice(0, name.indexOf('/'))}/${fromPath}`)?.get(digest);
        if (!this.mounts) throw new TsdError('forbidden', 'denied');
        if (bytes === undefined) return false;
        own.set(digest, bytes);
        return true;
      },
      uploadBlob: async (blob, { signal, onBytes }) => {
        call('upload', blob.digest);
        await this.onUpload(blob, signal);
        const pieces: Uint8Array[] = [];
        // A broken connection: the second half is asked for again.
        for await (const piece of blob.open(0)) {
          pieces.push(piece.subarray(0, Math.floor(blob.sizeBytes / 2)));
          break;
        }
        for await (const piece of blob.open(Buffer.concat(pieces).length)) pieces.push(piece);
        const bytes = Buffer.concat(pieces);
        onBytes?.(bytes.length);
        if (bytes.length !== blob.sizeBytes || digestOf(bytes) !== blob.digest) throw new Error('a wrong blob');
        own.set(blob.digest, bytes);
      },
      putManifest: async (tag, { mediaType, bytes }) => {
        call('put', tag);
        this.manifests.set(`${name}:${tag}`, { mediaType, bytes });
        return digestOf(bytes);
      },
    };
  }
}

interface PushBench extends ImageBench {
  readonly registry: FakeRegistry;
  push(name: string, signal?: AbortSignal): Promise<ProgressMessage[]>;
  load(layers: readonly Buffer[], tags: readonly string[]): Promise<Image>;
  manifest(name: string): { mediaType: string; bytes: Buffer; document: ManifestDocument };
}

interface ManifestDocument {
  mediaType: string;
  config: { mediaType: string; digest: string };
  layers: { mediaType: string; digest: string; size: number }[];
}

function pushBench(t: Test): PushBench {
  const bench = imageBench();
  t.teardown(bench.close);
  const registry = new FakeRegistry();
  const compressor = createLayerCompressor({
    ...bench,
    tmp: bench.blobStore.path(digestOf('')).replace(/blobs.*/, 'tmp'),
  });
  const deps: PushImageDeps = { ...bench, compressor };
  return {
    ...bench,
    registry,
    async push(name, signal = new AbortController().signal) {
      registry.calls.length = 0;
      const messages: ProgressMessage[] = [];
      const reference = parseReference(name);
      const repositoryOf = (name: string): RemoteRepository => registry.repository(name);
      await pushImage(
        deps,
        { reference, repositoryOf },
        pushMessages((message) => messages.push(message)),
        signal,
      );
      return messages;
    },
    async load(layers, tags) {
      const [added] = await loadImage(bench, inPieces(await tarOf(dockerMembers(layers, { tags }))));
      if (added === undefined) throw new Error('nothing was loaded');
      return added.image;
    },
    manifest(name) {
      const found = registry.manifests.get(name);
      if (found === undefined) throw new Error(`${name} was not pushed`);
      return { ...found, document: JSON.parse(found.bytes.toString()) };
    },
  };
}

const short = (layer: Buffer): string => digestOf(layer).slice(7, 19);

t.test('a loaded image is compressed, once', async (t) => {
  const bench = pushBench(t);
  const image = await bench.load([bottom, top], ['host:1/app:1']);
  const messages = await bench.push('host:1/app:1');
  const { mediaType, bytes, document } = bench.manifest('host:1/app:1');
  t.equal(mediaType, MEDIA_TYPE.dockerManifest);
  t.match(document, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.dockerManifest,
    config: { mediaType: MEDIA_TYPE.dockerConfig, digest: image.id, size: image.configBytes.length },
  });
  const blobs = bench.registry.blobs.get('host:1/app');
  const pushed = document.layers.map(({ digest }) => blobs?.get(digest) ?? Buffer.alloc(0));
  t.same(
    pushed.map((blob) => digestOf(gunzipSync(blob))),
    image.diffIds,
  );
  t.same(
    document.layers.map(({ size }) => size),
    pushed.map((blob) => blob.length),
  );
  t.same(blobs?.get(image.id), image.configBytes);

  t.match(messages.slice(0, 2), [
    { status: 'Preparing', progressDetail: {}, id: short(top) },
    { status: 'Preparing', progressDetail: {}, id: short(bottom) },
  ]);
  for (const layer of [bottom, top]) {
    const told = messages.filter(({ id }) => id === short(layer)).map(({ status }) => status);
    t.same(told, ['Preparing', 'Compressing', 'Pushing', 'Pushed']);
  }
  const digest = digestOf(bytes);
  t.same(messages.slice(-2), [
    { status: `1: digest: ${digest} size: ${bytes.length}` },
    { progressDetail: {}, aux: { Tag: '1', Digest: digest, Size: bytes.length } },
  ]);
  t.same(bench.store.resolve('host:1/app:1').repoDigests, [`host:1/app@${digest}`]);
  t.equal(bench.store.keptBlobs().length, 2);
  t.same(
    bench.files().filter((file) => file.startsWith('tmp')),
    [],
  );

  const again = await bench.push('host:1/app:1');
  t.same(
    again.filter(({ id }) => id === short(top)).map(({ status }) => status),
    ['Preparing', 'Layer already exists'],
  );
  t.notOk(bench.registry.calls.some((call) => call.startsWith('upload')));
  t.same(bench.manifest('host:1/app:1').bytes, bytes);
});

t.test('another registry gets the same manifest; without kept blobs too', async (t) => {
  const bench = pushBench(t);
  const image = await bench.load([bottom, top], ['a:1/app:1', 'b:1/app:1', 'c:1/app:1']);
  await bench.push('a:1/app:1');
  await bench.push('b:1/app:1');
  t.same(bench.manifest('b:1/app:1').bytes, bench.manifest('a:1/app:1').bytes);
  for (const { digest } of bench.store.keptBlobs()) {
    bench.store.setKept(digest, false);
    await bench.store.layers.discard([], [digest]);
  }
  t.same(await bench.blobStore.list(), []);
  const first = bench.manifest('a:1/app:1').bytes;
  bench.registry.blobs.clear();
  const messages = await bench.push('c:1/app:1');
  t.ok(messages.some(({ status }) => status === 'Compressing'));
  t.same(bench.manifest('c:1/app:1').bytes, first, 'compression is deterministic');
  t.equal(bench.store.resolve(image.id).repoDigests.length, 3);
});

t.test('a layer of another repository of the registry is mounted', async (t) => {
  const bench = pushBench(t);
  await bench.load([bottom], ['r:1/base:1', 'r:1/deep/copy:1', 'other:1/app:1']);
  await bench.push('r:1/base:1');
  const messages = await bench.push('r:1/deep/copy:1');
  t.ok(messages.some(({ status, id }) => status === 'Mounted from base' && id === short(bottom)));
  t.same(
    bench.registry.calls.map((call) => call.split(' ')[0]),
    ['head', 'mount', 'head', 'upload', 'put'],
  );
  await bench.push('other:1/app:1');
  t.notOk(
    bench.registry.calls.some((call) => call.startsWith('mount')),
    'not from another registry',
  );

  const refusing = pushBench(t);
  await refusing.load([bottom], ['r:1/base:1', 'r:1/copy:1']);
  await refusing.push('r:1/base:1');
  refusing.registry.mounts = false;
  const uploaded = await refusing.push('r:1/copy:1');
  t.ok(
    uploaded.some(({ status }) => status === 'Pushed'),
    'uploaded where mounting is denied',
  );
});

/** As a pull leaves it: kept blobs of some other compressor, a manifest with peculiar bytes. */
async function pulled(
  bench: PushBench,
  mediaType: string,
  tag: string,
  blob = Buffer.from('not what tsd would make of it'),
): Promise<{ image: Image; manifest: Buffer }> {
  const image = await bench.load([bottom], [tag]);
  const digest = digestOf(blob);
  const file = bench.blobStore.path(digest).replace(/blobs.*/, `tmp/${digest.slice(7)}`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, blob);
  await bench.blobStore.adopt(file, digest);
  const form = { digest, diffId: digestOf(bottom), mediaType, sizeBytes: blob.length, kept: true };
  bench.store.addCompressedForm(form, 'docker.io/library/it');
  const manifest = Buffer.from(
    `{ "schemaVersion":2,  "mediaType": "${MEDIA_TYPE.manifest}",
       "config": {"mediaType":"${MEDIA_TYPE.config}","digest":"${image.id}","size":${image.configBytes.length}},
       "layers": [{"mediaType":"${mediaType}","digest":"${digest}","size":${blob.length}}],
       "annotations": {"a":"b"} }`,
  );
  bench.store.addManifest(
    image.id,
    { digest: digestOf(manifest), mediaType: MEDIA_TYPE.manifest, bytes: manifest },
    'docker.io/library/it',
  );
  return { image, manifest };
}

t.test('a pulled image keeps its manifest, byte for byte', async (t) => {
  const bench = pushBench(t);
  const { manifest } = await pulled(bench, `${MEDIA_TYPE.layer}+gzip`, 'new:1/it:1');
  await bench.push('new:1/it:1');
  t.same(bench.manifest('new:1/it:1').bytes, manifest);
  t.equal(bench.manifest('new:1/it:1').mediaType, MEDIA_TYPE.manifest);
});

t.test('without its blob a pulled image is compressed anew, unless the registry has it', async (t) => {
  const bench = pushBench(t);
  const { manifest } = await pulled(bench, `${MEDIA_TYPE.layer}+gzip`, 'new:1/it:1');
  const [blob] = bench.store.keptBlobs();
  if (blob === undefined) throw new Error('no blob is kept');
  bench.registry.blobs.set('new:1/from', new Map([[blob.digest, Buffer.from('it is there')]]));
  bench.store.addCompressedForm({ ...blob, mediaType: `${MEDIA_TYPE.layer}+gzip`, kept: true }, 'new:1/from');
  bench.store.setKept(blob.digest, false);
  await bench.store.layers.discard([], [blob.digest]);
  const mounted = await bench.push('new:1/it:1');
  t.ok(mounted.some(({ status }) => status === 'Mounted from from'));
  t.notOk(mounted.some(({ status }) => status?.includes('cannot be reproduced')));
  t.same(bench.manifest('new:1/it:1').bytes, manifest);

  bench.registry.blobs.clear();
  const again = await bench.push('new:1/it:1');
  t.ok(
    again.some(({ status }) => status === 'Compressing'),
    'what was thought to be there is gone',
  );
  t.match(
    again.filter(({ status }) => status?.includes('cannot be reproduced')).map(({ status }) => status),
    [new RegExp(`^The manifest ${digestOf(manifest)} cannot`)],
    'the user is told once',
  );
  const { document } = bench.manifest('new:1/it:1');
  t.equal(document.mediaType, MEDIA_TYPE.dockerManifest);
  t.not(document.layers[0]?.digest, blob.digest);
});

t.test('a layer that has arrived is told once, also where another manifest has to be made', async (t) => {
  const bench = pushBench(t);
  const image = await bench.load([bottom, top], ['new:1/it:1']);
  await bench.push('new:1/it:1');
  const [bottomForm, topForm] = [bottom, top].map((layer) => bench.store.compressedForms(digestOf(layer))[0]);
  if (bottomForm === undefined || topForm === undefined) throw new Error('the forms are kept');
  const gone = digestOf('of another compressor');
  const layers = [{ ...bottomForm, digest: gone }, topForm].map(({ mediaType, digest, sizeBytes }) => ({
    mediaType,
    digest,
    size: sizeBytes,
  }));
  const config = { mediaType: MEDIA_TYPE.config, digest: image.id, size: image.configBytes.length };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config, layers }));
  const manifest = { digest: digestOf(bytes), mediaType: MEDIA_TYPE.manifest, bytes };
  bench.db.exec('DELETE FROM manifests');
  bench.store.addManifest(image.id, manifest, 'docker.io/library/it');
  bench.registry.blobs.clear();
  const messages = await bench.push('new:1/it:1');
  t.same(
    messages
      .filter(({ id }) => id === short(top))
      .map(({ status }) => status)
      .filter((status) => status !== 'Pushing'),
    ['Preparing', 'Pushed'],
  );
  t.equal(messages.filter(({ status }) => status?.includes(`${manifest.digest} cannot be reproduced`)).length, 1);
  const repeated = await bench.push('new:1/it:1');
  t.notOk(
    repeated.some(({ status }) => status?.includes('cannot be reproduced')),
    'the new one is known now',
  );
});

t.test('a blob that is not kept is fetched from where it was seen', async (t) => {
  const bench = pushBench(t);
  const { manifest } = await pulled(bench, `${MEDIA_TYPE.layer}+gzip`, 'new:1/it:1', gzipSync(bottom));
  const [blob] = bench.store.keptBlobs();
  if (blob === undefined) throw new Error('no blob is kept');
  bench.store.setKept(blob.digest, false);
  await bench.store.layers.discard([], [blob.digest]);
  bench.registry.blobs.set('docker.io/library/it', new Map([[blob.digest, gzipSync(bottom)]]));
  const messages = await bench.push('new:1/it:1');
  t.same(bench.manifest('new:1/it:1').bytes, manifest);
  t.ok(bench.registry.calls.some((call) => call.startsWith('get')));
  t.notOk(messages.some(({ status }) => status === 'Compressing'));
  t.match(bench.store.keptBlobs(), [blob], 'and is kept now');
});

t.test('a layer that the pull found here is fetched in the form that its manifest names', async (t) => {
  const bench = pushBench(t);
  const { image, manifest } = await pulled(bench, `${MEDIA_TYPE.layer}+gzip`, 'new:1/it:1', gzipSync(bottom));
  const [blob] = bench.store.keptBlobs();
  bench.db.exec('DELETE FROM layer_digests');
  await bench.store.layers.discard([], [blob?.digest ?? '']);
  bench.registry.blobs.set('docker.io/library/it', new Map([[blob?.digest ?? '', gzipSync(top)]]));
  const other = await bench.push('new:1/it:1');
  t.ok(
    other.some(({ status }) => status === 'Compressing'),
    'what has the wrong content is not sent',
  );
  t.not(bench.manifest('new:1/it:1').bytes.toString(), manifest.toString());
  t.notOk(bench.store.compressedForms(digestOf(bottom)).some(({ digest }) => digest === blob?.digest));

  bench.registry.blobs.set('docker.io/library/it', new Map([[blob?.digest ?? '', gzipSync(bottom)]]));
  bench.db.prepare('DELETE FROM manifests WHERE digest <> ?').run(digestOf(manifest));
  await bench.push('new:1/it:1');
  t.same(bench.manifest('new:1/it:1').bytes, manifest);
  t.equal(bench.store.get(image.id)?.id, image.id);
});

t.test('an image on top of a zstd layer gets an OCI manifest', async (t) => {
  const bench = pushBench(t);
  await pulled(bench, `${MEDIA_TYPE.layer}+zstd`, 'new:1/it:1');
  await bench.load([bottom, top], ['new:1/on-top:1']);
  await bench.push('new:1/on-top:1');
  const { document, mediaType } = bench.manifest('new:1/on-top:1');
  t.equal(mediaType, MEDIA_TYPE.manifest);
  t.equal(document.config.mediaType, MEDIA_TYPE.config);
  t.same(
    document.layers.map((layer) => layer.mediaType),
    [`${MEDIA_TYPE.layer}+zstd`, `${MEDIA_TYPE.layer}+gzip`],
  );
});

t.test('plain layers are sent as they are', async (t) => {
  const bench = pushBench(t);
  const image = await bench.load([bottom], ['p:1/plain:1']);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.manifest,
      config: { mediaType: MEDIA_TYPE.config, digest: image.id, size: image.configBytes.length },
      layers: [{ mediaType: MEDIA_TYPE.layer, digest: digestOf(bottom), size: bottom.length }],
    }),
  );
  const digest = digestOf(manifest);
  bench.store.addManifest(image.id, { digest, mediaType: MEDIA_TYPE.manifest, bytes: manifest }, 'q:1/plain');
  await bench.push('p:1/plain:1');
  t.same(bench.registry.blobs.get('p:1/plain')?.get(digestOf(bottom)), bottom);
});

t.test('all tags of a repository; nothing is asked twice', async (t) => {
  const bench = pushBench(t);
  await bench.load([bottom], ['r:1/app:one', 'r:1/app:two', 'r:1/else:x']);
  const messages = await bench.push('r:1/app');
  t.same([...bench.registry.manifests.keys()], ['r:1/app:one', 'r:1/app:two']);
  t.equal(bench.registry.calls.filter((call) => call.startsWith('head')).length, 2);
  t.equal(messages.filter(({ aux }) => aux !== undefined).length, 2);
});

t.test('what is not there is refused as by Docker', async (t) => {
  const bench = pushBench(t);
  await bench.load([bottom], ['r:1/app:1']);
  await t.rejects(bench.push('r:1/none:1'), {
    code: 'not_found',
    message: 'An image does not exist locally with the tag: r:1/none',
  });
  await t.rejects(bench.push('r:1/app:2'), { code: 'not_found', message: 'tag does not exist: r:1/app:2' });
  await t.rejects(bench.push(`r:1/app@sha256:${'0'.repeat(64)}`), { message: 'cannot push a digest reference' });
  t.same(bench.registry.calls, []);
});

t.test('a failure stops the other layers; a cancelled push stops', async (t) => {
  const bench = pushBench(t);
  const layers = await Promise.all(['1', '2', '3', '4', '5', '6', '7'].map((name) => layerOf(name)));
  await bench.load(layers, ['r:1/app:1']);
  let running = 0;
  let begun = 0;
  const refused = new TsdError('forbidden', 'denied: requested access to the resource is denied');
  bench.registry.onUpload = async (_blob, signal) => {
    running++;
    try {
      if (++begun === 3) throw refused;
      await once(signal, 'abort');
      throw signal.reason;
    } finally {
      running--;
    }
  };
  await t.rejects(bench.push('r:1/app:1'), refused);
  t.equal(running, 0, 'nothing goes on');
  t.ok(begun <= 5);
  t.equal(bench.registry.manifests.size, 0);

  const controller = new AbortController();
  const gone = new Error('the client has closed the connection');
  bench.registry.onUpload = async (_blob, signal) => {
    controller.abort(gone);
    signal.throwIfAborted();
  };
  await t.rejects(bench.push('r:1/app:1', controller.signal), gone);
  bench.registry.onUpload = async () => undefined;
  await bench.push('r:1/app:1');
  t.ok(bench.registry.manifests.has('r:1/app:1'), 'the next try succeeds');
});

t.test('cancelled while compressing: nothing is left', async (t) => {
  const bench = pushBench(t);
  await bench.load([await layerOf('big', Buffer.alloc(30_000_000, 'x'))], ['r:1/app:1']);
  const controller = new AbortController();
  const pushing = bench.push('r:1/app:1', controller.signal);
  setImmediate(() => controller.abort(new Error('gone')));
  await t.rejects(pushing, { message: 'gone' });
  t.same(
    bench.files().filter((file) => !file.startsWith('layers')),
    [],
  );
});

t.test('an image that is removed while it is pushed arrives, and leaves nothing', async (t) => {
  const bench = pushBench(t);
  const image = await bench.load([bottom, top], ['r:1/app:1']);
  bench.registry.onUpload = async () => {
    if (bench.store.get(image.id) === null) return;
    await bench.store.layers.discard(bench.store.remove(image.id, { keepHidden: false }).map(({ diffId }) => diffId));
  };
  await bench.push('r:1/app:1');
  t.ok(bench.registry.manifests.has('r:1/app:1'));
  await bench.store.layers.idle();
  t.same(bench.files(), []);
});

t.test('a prune during a push takes the blobs when it is done', async (t) => {
  const bench = pushBench(t);
  await bench.load([bottom], ['r:1/app:1']);
  bench.registry.onUpload = async () => {
    for (const { digest } of bench.store.keptBlobs()) {
      bench.store.setKept(digest, false);
      await bench.store.layers.discard([], [digest]);
    }
  };
  await bench.push('r:1/app:1');
  await bench.store.layers.idle();
  t.same(await bench.blobStore.list(), []);
  t.same(bench.store.keptBlobs(), []);
});

t.test('a broken image is not sent', async (t) => {
  const bench = pushBench(t);
  const image = await bench.load([bottom], ['r:1/app:1']);
  bench.store.setBroken(image.id, 'a layer is damaged');
  await t.rejects(bench.push('r:1/app:1'), { code: 'conflict', message: /is broken: a layer is damaged/ });
  t.same(bench.registry.calls, []);
});

t.test('a damaged layer is not sent', async (t) => {
  const bench = pushBench(t);
  await bench.load([bottom], ['r:1/app:1']);
  writeFileSync(bench.layerStore.tarPath(digestOf(bottom)), Buffer.alloc(bottom.length));
  await t.rejects(bench.push('r:1/app:1'), { code: 'internal', message: /is damaged.*system check --repair/ });
  t.same(await bench.blobStore.list(), []);
});
