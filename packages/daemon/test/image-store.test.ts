import { parseFilters } from '@tsd/shared/filters';
import { parseReference } from '@tsd/shared/image-reference';
import t, { type Test } from 'tap';
import type { Image } from '../src/images/image.ts';
import { LIST_FILTER_KEYS } from '../src/images/image-filters.ts';
import { imageHistory } from '../src/images/image-history.ts';
import { importImage } from '../src/images/import-image.ts';
import { inspectImage } from '../src/images/inspect-image.ts';
import { createLayerPins } from '../src/images/layer-pins.ts';
import { listImages } from '../src/images/list-images.ts';
import { loadImage } from '../src/images/load-image.ts';
import { pruneImages } from '../src/images/prune-images.ts';
import { reconcileImages } from '../src/images/reconcile-images.ts';
import { removeHiddenImages, removeImage } from '../src/images/remove-image.ts';
import { tagImage } from '../src/images/tag-image.ts';
import {
  configFor,
  digestOf,
  dockerMembers,
  type ImageBench,
  imageBench,
  inPieces,
  layerOf,
  tarOf,
} from './image-archives.ts';

const [bottom, top] = [await layerOf('bottom'), await layerOf('top')];

async function benchWith(t: Test): Promise<ImageBench> {
  const bench = imageBench();
  t.teardown(bench.close);
  return bench;
}

async function load(
  bench: ImageBench,
  layers: readonly Buffer[],
  tags: readonly string[] | null,
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Image> {
  const archive = await tarOf(dockerMembers(layers, { config: configFor(layers, extra), tags }));
  const [added] = await loadImage(bench, inPieces(archive));
  if (added === undefined) throw new Error('nothing was loaded');
  return added.image;
}

t.test('references as Docker resolves them', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['alpine', 'localhost:5000/team/app:1.2']);
  const hex = image.id.slice('sha256:'.length);
  for (const reference of [
    'alpine',
    'alpine:latest',
    'library/alpine',
    'docker.io/library/alpine:latest',
    'localhost:5000/team/app:1.2',
    image.id,
    hex,
    hex.slice(0, 12),
    `sha256:${hex.slice(0, 7)}`,
  ]) {
    t.equal(bench.store.resolve(reference).id, image.id, reference);
  }
  for (const [reference, code, message] of [
    ['nothing', 'not_found', 'No such image: nothing:latest'],
    ['alpine:edge', 'not_found', 'No such image: alpine:edge'],
    ['localhost:5000/team/app', 'not_found', 'No such image: localhost:5000/team/app:latest'],
    [`sha256:${'0'.repeat(64)}`, 'not_found', `No such image: sha256:${'0'.repeat(64)}`],
    [`alpine@sha256:${'0'.repeat(64)}`, 'not_found', `No such image: alpine@sha256:${'0'.repeat(64)}`],
    ['Alpine', 'bad_parameter', /must be lowercase/],
    ['', 'bad_parameter', /invalid reference format/],
    ["x'; DROP TABLE images", 'bad_parameter', /invalid reference format/],
  ] as const) {
    t.throws(() => bench.store.resolve(reference), { code, message }, reference);
  }
});

t.test('an id prefix that several images share', async (t) => {
  const bench = await benchWith(t);
  const byDigit = new Map<string, Image>();
  for (let index = 0; ; index++) {
    const image = await load(bench, [bottom], null, { comment: String(index) });
    const digit = image.id.slice(7, 8);
    if (byDigit.has(digit)) {
      t.throws(() => bench.store.resolve(digit), { code: 'bad_parameter', message: /ambiguous/ });
      t.equal(bench.store.resolve(image.id.slice(7, 40)).id, image.id);
      return;
    }
    byDigit.set(digit, image);
  }
});

t.test('tag', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['a:1']);
  tagImage(bench, 'a:1', { repository: 'b', tag: '' });
  tagImage(bench, image.id.slice(7, 19), { repository: 'localhost:5000/c', tag: 'v2' });
  tagImage(bench, 'b', { repository: 'd:5', tag: '' });
  t.same(bench.store.resolve('a:1').repoTags, ['a:1', 'b:latest', 'd:5', 'localhost:5000/c:v2']);
  t.throws(() => tagImage(bench, 'missing', { repository: 'x', tag: '' }), { code: 'not_found' });
  t.throws(() => tagImage(bench, 'b', { repository: 'X', tag: '' }), { code: 'bad_parameter' });
  t.throws(() => tagImage(bench, 'b', { repository: 'x', tag: 'not a tag' }), { message: /invalid tag format/ });
  t.throws(() => tagImage(bench, 'b', { repository: `x@${image.id}`, tag: '' }), {
    message: 'refusing to create a tag with a digest reference',
  });
});

t.test('rmi takes one name, and the image with the last', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom, top], ['a:1', 'b:1']);
  const shared = await load(bench, [bottom], ['base']);
  t.same((await removeImage(bench, 'a:1', { force: false })).items, [{ Untagged: 'a:1' }]);
  t.ok(bench.layerStore.has(digestOf(top)));
  const { items, reclaimedBytes } = await removeImage(bench, 'b:1', { force: false });
  t.same(items.slice(0, 2), [{ Untagged: 'b:1' }, { Deleted: image.id }]);
  t.equal(items.length, 3, 'one layer goes, the shared one stays');
  t.equal(reclaimedBytes, 'top'.length);
  t.same(await bench.layerStore.list(), [digestOf(bottom)]);
  await removeImage(bench, shared.id.slice(7, 19), { force: false });
  t.same(bench.files(), []);
  t.equal(bench.store.layerIds().length, 0);
  await t.rejects(removeImage(bench, 'base', { force: false }), {
    code: 'not_found',
    message: 'No such image: base:latest',
  });
});

t.test('rmi by id', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['a:1', 'b:1']);
  const short = image.id.slice(7, 19);
  await t.rejects(removeImage(bench, short, { force: false }), {
    code: 'conflict',
    message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
  });
  t.same(bench.store.resolve(short).repoTags, ['a:1', 'b:1'], 'nothing was taken');
  const { items } = await removeImage(bench, short, { force: true });
  t.same(items.slice(0, 3), [{ Untagged: 'a:1' }, { Untagged: 'b:1' }, { Deleted: image.id }]);
});

t.test('rmi while containers use the image', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['a:1']);
  const short = image.id.slice(7, 19);
  const id = 'c'.repeat(64);
  bench.users.set(image.id, [{ id, running: true }]);
  await t.rejects(removeImage(bench, 'a:1', { force: false }), {
    code: 'conflict',
    message: `conflict: unable to remove repository reference "a:1" (must force) - container cccccccccccc is using its referenced image ${short}`,
  });
  await t.rejects(removeImage(bench, short, { force: true }), {
    message: `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container cccccccccccc`,
  });
  bench.users.set(image.id, [{ id, running: false }]);
  await t.rejects(removeImage(bench, short, { force: false }), {
    message: `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container cccccccccccc`,
  });
  const { items } = await removeImage(bench, 'a:1', { force: true });
  t.same(items.slice(0, 2), [{ Untagged: 'a:1' }, { Deleted: image.id }]);
  t.equal(bench.store.count(), 0);
  t.throws(() => bench.store.resolve(image.id), { code: 'not_found' });
  t.equal(bench.store.get(image.id)?.id, image.id, 'the container still finds it');
  t.ok(bench.layerStore.has(digestOf(bottom)), 'and its layers');
  await removeHiddenImages(bench);
  t.ok(bench.layerStore.has(digestOf(bottom)));
  bench.users.clear();
  await removeHiddenImages(bench);
  t.same(bench.files(), [], 'until the container is gone');
});

t.test('rmi -f of a running container takes the last name only', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['a:1']);
  bench.users.set(image.id, [{ id: 'd'.repeat(64), running: true }]);
  t.same((await removeImage(bench, 'a:1', { force: true })).items, [{ Untagged: 'a:1' }]);
  t.equal(bench.store.resolve(image.id).id, image.id, 'dangling');
});

t.test('an image that was removed by force comes back by loading it', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['a:1']);
  bench.users.set(image.id, [{ id: 'e'.repeat(64), running: false }]);
  await removeImage(bench, image.id, { force: true });
  await load(bench, [bottom], ['a:1']);
  t.equal(bench.store.resolve('a:1').id, image.id);
});

t.test('repo digests go with the last tag of their repository', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom], ['a:1', 'b:1']);
  const digest = `sha256:${'ab'.repeat(32)}`;
  bench.db
    .prepare('INSERT INTO image_digests (repository, digest, image_id) VALUES (?, ?, ?)')
    .run('docker.io/library/a', digest, image.id);
  t.equal(bench.store.resolve(`a@${digest}`).id, image.id);
  t.same(bench.store.resolve('a:1').repoDigests, [`a@${digest}`]);
  t.same((await removeImage(bench, 'a:1', { force: false })).items, [{ Untagged: 'a:1' }, { Untagged: `a@${digest}` }]);
});

t.test('list, its filters and its order', async (t) => {
  const bench = await benchWith(t);
  const labels = { config: { Labels: { tier: 'web', empty: '' } } };
  await load(bench, [bottom], ['old:1', 'me/old:2'], { created: '2020-01-01T00:00:00Z', ...labels });
  await load(bench, [top], ['mid:1'], { created: '2021-01-01T00:00:00Z' });
  await load(bench, [bottom, top], null, { created: '2022-01-01T00:00:00Z' });
  const names = (filters: object): string[] =>
    listImages(bench, { filters: parseFilters(JSON.stringify(filters), LIST_FILTER_KEYS), sharedSize: false }).map(
      (image) => image.RepoTags.join() || '<none>',
    );
  t.same(names({}), ['<none>', 'mid:1', 'old:1,me/old:2']);
  t.same(names({ dangling: ['true'] }), ['<none>']);
  t.same(names({ dangling: ['false'] }), ['mid:1', 'old:1,me/old:2']);
  t.same(names({ label: ['tier=web'] }), ['old:1,me/old:2']);
  t.same(names({ label: ['tier', 'empty'] }), ['old:1,me/old:2']);
  t.same(names({ label: ['tier=db'] }), []);
  t.same(names({ before: ['mid:1'] }), ['old:1,me/old:2']);
  t.same(names({ since: ['mid:1'] }), ['<none>']);
  t.same(names({ until: ['2021-06-01'] }), ['mid:1', 'old:1,me/old:2']);
  t.same(names({ reference: ['old'] }), ['old:1']);
  t.same(names({ reference: ['*:1'] }), ['mid:1', 'old:1']);
  t.same(names({ reference: ['*/*'] }), ['me/old:2']);
  t.same(names({ reference: ['m?d', 'me/ol[a-e]:2'] }), ['mid:1', 'me/old:2']);
  t.throws(() => names({ reference: ['[a'] }), { message: /syntax error in pattern/ });
  t.throws(() => names({ dangling: ['maybe'] }), { code: 'bad_parameter' });
  t.throws(() => names({ before: ['gone'] }), { code: 'not_found' });
  t.throws(() => names({ until: ['soon'] }), { code: 'bad_parameter' });
  t.throws(() => names({ colour: ['red'] }), { message: "invalid filter 'colour'" });
  const [first] = listImages(bench, { filters: new Map(), sharedSize: true });
  t.match(first, { Created: 1640995200, Size: 9, SharedSize: 9, ParentId: '', Labels: null, Containers: 0 });
});

t.test('history and inspect', async (t) => {
  const bench = await benchWith(t);
  const image = await load(bench, [bottom, top], ['h:1'], {
    author: 'me',
    comment: 'text',
    config: { Cmd: null, Env: ['A=1'], Labels: { a: 'b' }, Healthcheck: { Test: ['NONE'] }, Unknown: true },
    history: [
      { created: '2024-01-01T00:00:00Z', created_by: 'first', comment: 'c' },
      { created: '2024-01-02T00:00:00Z', created_by: 'env', empty_layer: true },
      { created_by: 'last' },
    ],
  });
  t.same(imageHistory(bench, 'h:1'), [
    { Id: image.id, Created: 0, CreatedBy: 'last', Tags: ['h:1'], Size: 3, Comment: '' },
    { Id: '<missing>', Created: 1704153600, CreatedBy: 'env', Tags: null, Size: 0, Comment: '' },
    { Id: '<missing>', Created: 1704067200, CreatedBy: 'first', Tags: null, Size: 6, Comment: 'c' },
  ]);
  t.match(inspectImage(bench, 'h:1'), {
    Id: image.id,
    RepoTags: ['h:1'],
    Author: 'me',
    Comment: 'text',
    Config: { Cmd: null, Env: ['A=1'], Labels: { a: 'b' }, Entrypoint: null, Healthcheck: { Test: ['NONE'] } },
    Os: 'linux',
    Size: 9,
    GraphDriver: { Name: 'erofs' },
    RootFS: { Type: 'layers', Layers: [digestOf(bottom), digestOf(top)] },
  });
});

t.test('import', async (t) => {
  const bench = await benchWith(t);
  const { image } = await importImage(bench, inPieces(top), {
    reference: parseReference('imported:1'),
    changes: ['CMD ["sh"]', 'ENV A=1'],
    message: 'from a test',
    platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
  });
  t.same(image.repoTags, ['imported:1']);
  t.same(image.diffIds, [digestOf(top)]);
  t.match(image.config, {
    architecture: 'arm',
    variant: 'v7',
    comment: 'from a test',
    config: { Cmd: ['sh'], Env: ['A=1'] },
  });
});

t.test('prune', async (t) => {
  const bench = await benchWith(t);
  const dangling = await load(bench, [bottom, top], null, { created: '2020-01-01T00:00:00Z' });
  const used = await load(bench, [bottom], null, { comment: 'used' });
  await load(bench, [bottom], ['named:1'], { config: { Labels: { keep: 'yes' } } });
  bench.users.set(used.id, [{ id: 'f'.repeat(64), running: false }]);
  const prune = (filters: object) => pruneImages(bench, parseFilters(JSON.stringify(filters)));
  t.same((await prune({ dangling: ['true'], until: ['2019-01-01'] })).items, []);
  const first = await prune({ dangling: ['true'] });
  t.same(first.items[0], { Deleted: dangling.id });
  t.equal(first.reclaimedBytes, 'top'.length);
  t.same((await prune({ dangling: ['false'], 'label!': ['keep'] })).items, []);
  t.match((await prune({ dangling: ['false'] })).items, [{ Untagged: 'named:1' }, { Deleted: /^sha256:/ }]);
  t.equal(bench.store.count(), 1, 'the used one stays');
});

t.test('reconcile: files without rows, rows without files', async (t) => {
  const bench = await benchWith(t);
  const whole = await load(bench, [bottom], ['whole:1']);
  const broken = await load(bench, [top], ['broken:1']);
  const needed = await load(bench, [top], ['needed:1'], { comment: 'needed' });
  bench.users.set(needed.id, [{ id: 'a'.repeat(64), running: true }]);
  const stray = await bench.layerStore.ingest(inPieces(await layerOf('stray')));
  await bench.layerStore.remove(digestOf(top));
  t.same(await reconcileImages(bench), {
    removedLayers: [stray.diffId],
    removedBlobs: [],
    removedImages: [broken.id],
    damagedImages: [needed.id],
  });
  t.same(
    bench.store
      .list()
      .map((image) => image.id)
      .sort(),
    [whole.id, needed.id].sort(),
  );
  await load(bench, [top], ['needed:1'], { comment: 'needed' });
  t.ok(bench.layerStore.has(digestOf(top)), 'loading again repairs');
  t.same(await reconcileImages(bench), {
    removedLayers: [],
    removedBlobs: [],
    removedImages: [],
    damagedImages: [],
  });
});

t.test('pins: what is pinned stays, all else goes, and each is looked at again', async (t) => {
  const removed: string[] = [];
  const errors: string[] = [];
  const referenced = new Set(['kept']);
  const files = {
    isReferenced: (digest: string) => referenced.has(digest),
    remove: async (digest: string) => {
      if (digest === 'stuck') throw new Error('busy');
      removed.push(digest);
    },
  };
  const pins = createLayerPins({
    layers: files,
    blobs: files,
    onError: (diffId) => errors.push(diffId),
  });
  await pins.discard(['a', 'kept', 'stuck']);
  t.same(removed, ['a']);
  t.same(errors, ['stuck']);
  const { pin, leave } = pins.enter();
  await pin(['b']);
  await pins.hold(async (pinToo) => {
    await pinToo(['b', 'c', 'd', 'b']);
    await pins.discard(['b', 'c', 'd', 'other'], ['b']);
    t.same(removed.splice(0), ['a', 'other'], 'nothing that is pinned');
    referenced.add('c');
  });
  await pins.discard([]);
  t.same(removed.splice(0), ['d'], 'b is pinned by someone else, c is needed now');
  let isIdle = false;
  const idle = pins.idle().then(() => {
    isIdle = true;
  });
  await pins.discard(['e']);
  t.equal(isIdle, false);
  leave();
  await idle;
  t.same(removed.splice(0), ['e', 'b', 'b'], 'of both kinds');
  await t.rejects(pin(['b']), /has ended/);
  pins.doom(['blob', 'kept']);
  t.same(removed, [], 'a doomed blob goes with the next removal');
  await pins.discard([]);
  t.same(removed, ['blob']);
});

t.test('pins: who pins what is being removed waits until it is gone', async (t) => {
  const there = new Set(['a', 'b']);
  const goOn = Promise.withResolvers<void>();
  const files = {
    isReferenced: () => false,
    remove: async (digest: string) => {
      if (digest === 'a') await goOn.promise;
      there.delete(digest);
    },
  };
  const pins = createLayerPins({ layers: files, blobs: files, onError: () => t.fail('nothing fails') });
  const removal = pins.discard(['a', 'b']);
  await pins.hold(async (pin) => {
    await pin(['b', 'c']);
    t.ok(there.has('b'), 'one whose removal has not begun is not waited for');
    const pinned = pin(['a']).then(() => t.notOk(there.has('a')));
    goOn.resolve();
    await pinned;
    there.add('a');
    await removal;
    await pins.discard(['a', 'b']);
    t.same([...there].sort(), ['a', 'b'], 'what has come since stays');
  });
  await pins.idle();
  t.same([...there], []);
});

t.test('pins: what is discarded while others are being removed is gone too when that is done', async (t) => {
  const removed: string[] = [];
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const pins = createLayerPins({
    layers: { isReferenced: () => false, remove: async (digest) => void removed.push(digest) },
    blobs: {
      isReferenced: () => false,
      remove: async (digest) => {
        begun.resolve();
        await goOn.promise;
        removed.push(digest);
      },
    },
    onError: () => t.fail('nothing fails'),
  });
  const first = pins.discard(['a'], ['slow blob']);
  await begun.promise;
  const second = pins.discard(['b'], ['another blob']);
  goOn.resolve();
  await second;
  t.same([...removed].sort(), ['a', 'another blob', 'b', 'slow blob']);
  await first;
  await pins.discard(['c']);
  t.equal(removed.at(-1), 'c');
});

t.test('pins: bringing in and removing the same few files, in every order', async (t) => {
  const [files, rows] = [new Set<string>(), new Set<string>()];
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48271) % 0x7fffffff;
    return seed % below;
  };
  const pause = async (): Promise<void> => {
    for (let turns = random(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  };
  const remove = async (digest: string): Promise<void> => {
    await pause();
    files.delete(digest);
    await pause();
  };
  const guarded = { isReferenced: (digest: string) => rows.has(digest), remove };
  const pins = createLayerPins({ layers: guarded, blobs: guarded, onError: () => t.fail('nothing fails') });
  let vanished = 0;
  const bringIn = async (digest: string): Promise<void> => {
    await pins.hold(async (pin) => {
      await pause();
      await pin([digest]);
      // As a pull that finds the layer here, or brings it.
      if (!files.has(digest)) {
        await pause();
        files.add(digest);
      }
      await pause();
      if (!files.has(digest)) vanished++;
      if (random(3) > 0) rows.add(digest);
      await pause();
    });
    await pins.discard([digest]);
  };
  const removeRow = async (digest: string): Promise<void> => {
    rows.delete(digest);
    await pins.discard([digest], [digest]);
  };
  const worker = async (): Promise<void> => {
    for (let round = 0; round < 200; round++) {
      const digest = String(random(3));
      await (random(2) === 0 ? bringIn(digest) : removeRow(digest));
      await pause();
    }
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  await pins.idle();
  t.equal(vanished, 0, 'what was found under a pin stays');
  t.same([...files].sort(), [...rows].sort(), 'and nothing else is left');
});
