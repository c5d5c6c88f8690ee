import { appendFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { CheckMessage, CheckProblem, CheckSummary } from '@tsd/shared/api-system-check';
import { TsdError } from '@tsd/shared/errors';
import { repositoryName } from '@tsd/shared/image-reference';
import t, { type Test } from 'tap';
import { checkSystem } from '../src/images/check-system.ts';
import { createImageStore } from '../src/images/image-store.ts';
import { layerRecord } from '../src/images/layer-records.ts';
import type { RegistryClient, RemoteRepository } from '../src/images/registry/remote-repository.ts';
import type { LayerImageMode } from '../src/storage/layer-image.ts';
import { configFor, descriptorOf, digestOf, type ImageBench, imageBench, inPieces, layerOf } from './image-archives.ts';

// Every check starts a thread, which takes its time on a busy host.
t.setTimeout(110_000);

const REPOSITORY = 'registry.test/app';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

interface Bench extends ImageBench {
  /** What the only repository has, by digest; empty by default. */
  readonly remote: Map<string, Buffer>;
  readonly imageId: string;
  readonly layer: Buffer;
  readonly diffId: string;
  readonly blob: Buffer;
  readonly manifest: Buffer;
  check(repair: boolean, signal?: AbortSignal): Promise<{ problems: CheckProblem[]; summary: CheckSummary['summary'] }>;
  pull(): Promise<void>;
}

/** One image of one gzip layer, as a pull leaves it. */
async function bench(tap: Test, imageMode: LayerImageMode = 'index'): Promise<Bench> {
  const images = imageBench({ imageMode });
  tap.teardown(() => images.close());
  const remote = new Map<string, Buffer>();
  const layer = await layerOf('etc/file', Buffer.alloc(3_000_000, 'content'));
  const blob = gzipSync(layer);
  const config = configFor([layer]);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: descriptorOf(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [descriptorOf(blob, LAYER_TYPE)],
    }),
  );
  const find = (digest: string): Buffer => {
    const bytes = remote.get(digest);
    if (bytes === undefined) throw new TsdError('not_found', `${digest} not found`);
    return bytes;
  };
  const repository: Partial<RemoteRepository> = {
    distrustMirrors: () => false,
    openBlob: ({ digest }) => inPieces(find(digest), 100_000),
    readBlob: async ({ digest }) => find(digest),
    getManifest: async (digest) => ({ digest, mediaType: MANIFEST_TYPE, bytes: find(digest) }),
  };
  const client: Partial<RegistryClient> = {
    repository: (reference, credentials) => {
      tap.equal(repositoryName(reference), REPOSITORY);
      tap.equal(credentials, null);
      return repository as RemoteRepository;
    },
  };
  const pull = async (): Promise<void> => {
    const stored = await images.layerStore.ingest(inPieces(blob, 100_000), { keepCompressed: true });
    images.store.add([
      {
        configBytes: config,
        layers: [layerRecord(stored)],
        layerDigests: [
          {
            digest: digestOf(blob),
            diffId: digestOf(layer),
            mediaType: LAYER_TYPE,
            sizeBytes: blob.length,
            kept: true,
          },
        ],
        source: {
          repository: REPOSITORY,
          manifests: [{ digest: digestOf(manifest), mediaType: MANIFEST_TYPE, bytes: manifest }],
          digest: digestOf(manifest),
        },
        tags: [{ domain: 'registry.test', path: 'app', tag: '1' }],
      },
    ]);
  };
  await pull();
  return {
    ...images,
    remote,
    imageId: digestOf(config),
    layer,
    diffId: digestOf(layer),
    blob,
    manifest,
    pull,
    async check(repair, signal = new AbortController().signal) {
      const messages: CheckMessage[] = [];
      const registry = async (): Promise<RegistryClient> => client as RegistryClient;
      await checkSystem({ ...images, registry }, { repair, signal, emit: (message) => messages.push(message) });
      const last = messages.pop() as CheckSummary;
      const progress = messages.findLast((message) => 'checked' in message);
      tap.match(progress, { checked: { items: last.summary.blobs + last.summary.layers } }, 'progress up to the end');
      const problems = messages.filter((message): message is CheckProblem => 'problem' in message);
      tap.equal(last.summary.problems, problems.length);
      tap.equal(last.summary.repaired, problems.filter(({ repaired }) => repaired).length);
      return { problems, summary: last.summary };
    },
  };
}

/** Changes one byte, keeping the size. */
function flip(path: string, at = Math.floor(statSync(path).size / 2)): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 0xff;
  writeFileSync(path, bytes);
}

const tarPath = (b: Bench): string => b.layerStore.tarPath(b.diffId);
const erofsPath = (b: Bench): string => b.layerStore.files(b.diffId).erofsPath;
const broken = (b: Bench): string | null | undefined => b.store.get(b.imageId)?.broken;

async function checkSound(b: Bench, tap: Test): Promise<void> {
  const { problems, summary } = await b.check(false);
  tap.strictSame(problems, []);
  tap.match(summary, { images: 1, layers: 1, brokenImages: [] });
  tap.equal(broken(b), null);
}

t.test('what is sound stays as it is', async (t) => {
  const b = await bench(t);
  for (const repair of [false, true]) {
    const files = b.files();
    const { problems, summary } = await b.check(repair);
    t.strictSame(problems, []);
    t.match(summary, { images: 1, layers: 1, blobs: 1, problems: 0, repaired: 0, brokenImages: [] });
    t.equal(summary.sizeBytes, b.layer.length + b.blob.length);
    t.strictSame(b.files(), files);
  }
});

t.test('an image is made again from the tar', async (t) => {
  const b = await bench(t);
  const right = readFileSync(erofsPath(b));
  const damages: [RegExp, () => void][] = [
    [/^layer.erofs is not what the tar gives, from byte \d+$/, () => flip(erofsPath(b))],
    [/^layer.erofs is not what the tar gives/, () => flip(erofsPath(b), 1024)],
    [/^layer.erofs is not what the tar gives/, () => truncateSync(erofsPath(b), 700)],
    [/^layer.erofs has \d+ bytes instead of \d+$/, () => appendFileSync(erofsPath(b), 'more')],
    [/^layer.erofs is missing$/, () => rmSync(erofsPath(b))],
  ];
  const changed: string[] = [];
  b.layerStore.onRemove((diffId) => changed.push(diffId));
  for (const [problem, damage] of damages) {
    damage();
    const files = b.files();
    const told = await b.check(false);
    t.match(told.problems, [{ kind: 'layer', id: b.diffId, problem }]);
    t.notOk('repaired' in (told.problems[0] as object), 'a look repairs nothing');
    t.strictSame(b.files(), files);
    t.match((await b.check(true)).problems, [{ problem, repaired: true, remedy: 'made again from the tar' }]);
    t.ok(readFileSync(erofsPath(b)).equals(right));
    t.strictSame(changed.splice(0), [b.diffId], 'mounts of the old one are not used again');
    await checkSound(b, t);
  }
});

t.test('an image with its content inside', async (t) => {
  const b = await bench(t, 'copy');
  const right = readFileSync(erofsPath(b));
  t.ok(right.length > b.layer.length - 10_000);
  await checkSound(b, t);
  flip(erofsPath(b));
  t.match((await b.check(true)).problems, [{ repaired: true, remedy: 'made again from the tar' }]);
  t.ok(readFileSync(erofsPath(b)).equals(right));
  await checkSound(b, t);
});

t.test('a tar is brought in again from its kept blob', async (t) => {
  const b = await bench(t);
  const damages: [RegExp, () => void][] = [
    [/^layer.tar has the digest sha256:/, () => flip(tarPath(b))],
    [/^layer.tar has the digest sha256:/, () => truncateSync(tarPath(b), 1000)],
    [/^layer.tar is missing$/, () => rmSync(tarPath(b))],
    [/^layer.tar is missing$/, () => rmSync(tarPath(b).replace(/\/[^/]*$/, ''), { recursive: true })],
  ];
  for (const [problem, damage] of damages) {
    damage();
    t.match((await b.check(false)).problems, [{ kind: 'layer', id: b.diffId, problem }]);
    const { problems, summary } = await b.check(true);
    t.match(problems, [{ problem, repaired: true, remedy: 'brought in again from its kept blob' }]);
    t.strictSame(summary.brokenImages, []);
    t.ok(readFileSync(tarPath(b)).equals(b.layer));
    await checkSound(b, t);
  }
  t.notOk(
    b.files().some((path) => path.includes('damaged')),
    'nothing stays aside',
  );
});

t.test('a tar is fetched again where there is no blob', async (t) => {
  const b = await bench(t);
  b.store.setKept(digestOf(b.blob), false);
  await b.store.layers.discard([], [digestOf(b.blob)]);
  b.remote.set(digestOf(b.blob), b.blob);
  b.users.set(b.imageId, [{ id: 'c'.repeat(64), running: true }]);
  flip(tarPath(b));
  t.match((await b.check(true)).problems, [
    {
      repaired: true,
      remedy:
        'brought in again from registry.test/app; these containers use the damaged files until they are restarted: cccccccccccc',
    },
  ]);
  await checkSound(b, t);
  t.notOk(b.blobStore.has(digestOf(b.blob)), 'what was not kept is not kept now');
});

t.test('without any source the image is marked, until the layer comes', async (t) => {
  const b = await bench(t);
  flip(tarPath(b));
  flip(b.blobStore.path(digestOf(b.blob)));
  const { problems, summary } = await b.check(true);
  t.match(
    problems.sort((a, b) => (a.kind < b.kind ? -1 : 1)),
    [
      {
        kind: 'blob',
        id: digestOf(b.blob),
        repaired: true,
        remedy: /^no longer kept: .*registry.test\/app: .*not found/,
      },
      {
        kind: 'layer',
        id: b.diffId,
        repaired: false,
        remedy: /^set aside as damaged \(registry.test\/app: .*not found/,
      },
    ],
  );
  t.strictSame(summary.brokenImages, [b.imageId]);
  t.match(broken(b), /^layer sha256:.* is damaged: layer.tar has the digest/);
  t.notOk(b.layerStore.has(b.diffId), 'a pull brings it in again');
  t.ok(
    b.files().some((path) => path.endsWith('.damaged/layer.tar')),
    'the only copy is not thrown away',
  );
  t.strictSame(await b.layerStore.list(), [b.diffId]);

  const again = await b.check(true);
  t.match(again.problems, [{ kind: 'layer', repaired: false }], 'and again');
  t.strictSame(again.summary.brokenImages, [b.imageId]);

  await b.pull();
  await checkSound(b, t);
  t.notOk(b.files().some((path) => path.includes('damaged')));
});

t.test('a layer that turns out to be right after all is used again', async (t) => {
  const b = await bench(t);
  b.store.setBroken(b.imageId, 'because');
  await b.layerStore.setAside(b.diffId);
  t.match((await b.check(false)).problems, [{ kind: 'layer', problem: 'layer.tar is missing' }]);
  t.match((await b.check(true)).problems, [
    { kind: 'image', id: b.imageId, problem: /marked as broken.*because/, repaired: true },
  ]);
  await checkSound(b, t);
});

t.test('a removed image takes along what was set aside', async (t) => {
  const b = await bench(t);
  await b.layerStore.setAside(b.diffId);
  const removed = b.store.remove(b.imageId, { keepHidden: false });
  await b.store.layers.discard(removed.map(({ diffId }) => diffId));
  t.strictSame(b.files(), []);
});

t.test('a kept blob is fetched again, or given up', async (t) => {
  const b = await bench(t);
  const path = b.blobStore.path(digestOf(b.blob));
  b.remote.set(digestOf(b.blob), b.blob);
  for (const damage of [() => flip(path), () => rmSync(path)]) {
    damage();
    t.match((await b.check(false)).problems, [{ kind: 'blob', id: digestOf(b.blob) }]);
    t.match((await b.check(true)).problems, [{ repaired: true, remedy: 'fetched again from registry.test/app' }]);
    t.ok(readFileSync(path).equals(b.blob));
    await checkSound(b, t);
  }
  b.remote.set(digestOf(b.blob), gzipSync(await layerOf('something', 'else')));
  flip(path);
  t.match((await b.check(true)).problems, [{ repaired: true, remedy: /^no longer kept: .* expected sha256:/ }]);
  t.notOk(existsSync(path));
  t.strictSame(b.store.keptBlobs(), []);
  await checkSound(b, t);
});

t.test('rows', async (t) => {
  const b = await bench(t);
  const right = b.store.get(b.imageId)?.configBytes as Buffer;
  const cases: [string, string, CheckProblem['kind'], RegExp][] = [
    ['size', 'UPDATE images SET size_bytes = 1', 'image', /its size/],
    ['counts', 'UPDATE layers SET entry_count = 99, tar_size_bytes = 7', 'layer', /other sizes/],
    ['no reference', 'DELETE FROM image_layers', 'image', /its layers/],
  ];
  for (const [name, sql, kind, problem] of cases) {
    b.db.exec(sql);
    t.match((await b.check(false)).problems[0], { kind, problem }, name);
    t.match((await b.check(true)).problems[0], { kind, problem, repaired: true, remedy: 'corrected' }, name);
    await checkSound(b, t);
  }

  b.db.prepare('UPDATE images SET config = ?').run(Buffer.from('{"not": "it"}'));
  const nextDaemon = createImageStore({ ...b, onLayerError: (digest) => t.fail(digest) });
  t.equal(nextDaemon.list()[0]?.broken, 'its configuration is damaged', 'it is listed all the same');
  t.match((await b.check(true)).problems, [
    { kind: 'image', id: b.imageId, problem: 'its configuration is damaged', repaired: false },
  ]);
  t.equal(broken(b), 'its configuration is damaged');
  b.remote.set(b.imageId, right);
  t.match((await b.check(true)).problems, [
    { kind: 'image', repaired: true, remedy: 'fetched again from registry.test/app' },
    { kind: 'image', problem: /marked as broken/, repaired: true },
  ]);
  await checkSound(b, t);

  for (const remedy of [/^forgotten/, /^fetched again/]) {
    await b.pull();
    b.db.prepare('UPDATE manifests SET bytes = ?').run(Buffer.from('{}'));
    t.match((await b.check(false)).problems, [{ kind: 'manifest', id: digestOf(b.manifest), problem: 'is damaged' }]);
    t.match((await b.check(true)).problems, [{ kind: 'manifest', repaired: true, remedy }]);
    await checkSound(b, t);
    b.remote.set(digestOf(b.manifest), b.manifest);
  }
  t.ok(b.store.manifests(b.imageId)[0]?.bytes.equals(b.manifest));

  b.db.pragma('foreign_keys = OFF');
  b.db.exec(`INSERT INTO image_tags (repository, tag, image_id) VALUES ('x', 'y', 'sha256:gone')`);
  t.match((await b.check(true)).problems, [
    { kind: 'database', id: 'image_tags', problem: 'a row refers to one of images that is not there', repaired: false },
  ]);
});

t.test('ends when it is aborted, at any moment', async (t) => {
  const b = await bench(t);
  flip(tarPath(b));
  for (let step = 0; step < 6; step += 1) {
    const controller = new AbortController();
    let messages = 0;
    const emit = (): void => {
      messages += 1;
      if (messages > step) controller.abort(new Error('the client went away'));
    };
    const registry = async (): Promise<RegistryClient> => ({}) as RegistryClient;
    const checked = checkSystem({ ...b, registry }, { repair: true, signal: controller.signal, emit });
    await checked.then(
      () => t.ok(messages <= step || controller.signal.aborted, 'the end was reached'),
      (error: unknown) => t.match(error, { message: 'the client went away' }),
    );
    t.ok(b.store.get(b.imageId)?.broken !== null || b.layerStore.has(b.diffId));
  }
  await b.check(true);
  await checkSound(b, t);
});
