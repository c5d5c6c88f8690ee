import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { createDoomedFiles } from '../src/storage/doomed-files.ts';
import { HeapGuard } from '../src/storage/heap-guard.ts';
import type { LayerImageMode } from '../src/storage/layer-image.ts';
import { DEFAULT_LAYER_LIMITS, type LayerLimits } from '../src/storage/layer-limits.ts';
import { createLayerStore, type IngestOptions, type LayerStore } from '../src/storage/layer-store.ts';
import { readErofs } from './erofs-reader.ts';
import { archive, END, member, pax } from './tar-builder.ts';

t.setTimeout(110_000);

interface Bench {
  readonly store: LayerStore;
  /** Every file below the store and its temporary directory. */
  files(): string[];
}

function bench(tap: Test, limits: Partial<LayerLimits> = {}, imageMode: LayerImageMode = 'index'): Bench {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-layers-'));
  const store = createLayerStore({
    root: join(directory, 'layers'),
    tmp: join(directory, 'tmp'),
    limits: { ...DEFAULT_LAYER_LIMITS, ...limits },
    imageMode,
  });
  tap.teardown(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const files = (): string[] =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() || entry.name.startsWith('layer-'))
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
      .sort();
  return { store, files };
}

function sha256(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** A stream of pieces whose memory is reused, as a socket's may be. */
async function* stream(data: Buffer, pieceBytes = 100_000): AsyncGenerator<Buffer> {
  const piece = Buffer.alloc(pieceBytes);
  for (let at = 0; at < data.length; at += pieceBytes) {
    const bytes = data.copy(piece, 0, at);
    yield piece.subarray(0, Math.min(bytes, data.length - at));
  }
}

const SMALL = archive({ name: 'etc/passwd', data: 'root:x:0:0\n' }, { name: 'sh', type: '2', linkName: 'busybox' });
/** Large enough for the ingest thread. */
const LARGE = archive(
  ...Array.from({ length: 50 }, (_, i) => ({ name: `d/f${i}`, data: Buffer.alloc(100_000 + i, String(i)) })),
);

async function checkStored({ store }: Bench, tap: Test, tar: Buffer): Promise<void> {
  const diffId = sha256(tar);
  tap.ok(store.has(diffId));
  tap.ok(readFileSync(store.tarPath(diffId)).equals(tar), 'the tar is kept byte for byte');
  const { erofsPath, devicePaths } = store.files(diffId);
  tap.strictSame(devicePaths, [store.tarPath(diffId)]);
  tap.doesNotThrow(() => readErofs(readFileSync(erofsPath), [tar]));
  tap.equal(statSync(erofsPath).mode & 0o777, 0o600);
  tap.equal(await store.tarSizeBytes(diffId), tar.length);
}

/** What something costs: its time, the most memory that the process had more than before, and what other work waited for. */
async function measured<T>(
  work: () => Promise<T>,
): Promise<{ value: T; durationMs: number; residentBytes: number; heldUpMs: number }> {
  const before = process.memoryUsage.rss();
  const startedMs = performance.now();
  let [most, heldUpMs, lastMs] = [before, 0, startedMs];
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
    heldUpMs = Math.max(heldUpMs, performance.now() - lastMs);
    lastMs = performance.now();
  }, 5);
  try {
    const value = await work();
    return { value, durationMs: performance.now() - startedMs, residentBytes: most - before, heldUpMs };
  } finally {
    clearInterval(timer);
  }
}

t.test('takes layers in', async (t) => {
  const skippable = Buffer.from('502a4d1803000000616263', 'hex');
  const forms: [string, (tar: Buffer) => Buffer, IngestOptions][] = [
    ['plain', (tar) => tar, {}],
    ['gzip', (tar) => gzipSync(tar), {}],
    ['zstd', (tar) => zstdCompressSync(tar), {}],
    ['gzip, said so', (tar) => gzipSync(tar), { compression: 'gzip' }],
    ['plain, said so', (tar) => tar, { compression: 'none' }],
    ['gzip in two members', (tar) => Buffer.concat([gzipSync(tar.subarray(0, 999)), gzipSync(tar.subarray(999))]), {}],
    ['zstd with skippable frames', (tar) => Buffer.concat([skippable, zstdCompressSync(tar), skippable]), {}],
    [
      'zstd in two frames',
      (tar) => Buffer.concat([zstdCompressSync(tar.subarray(0, 999)), zstdCompressSync(tar.subarray(999))]),
      {},
    ],
  ];
  for (const [name, form, options] of forms) {
    for (const tar of [SMALL, LARGE]) {
      const b = bench(t);
      const bytes = form(tar);
      const layer = await b.store.ingest(stream(bytes, tar === SMALL ? 3 : 65_000), {
        ...options,
        expectedDiffId: sha256(tar),
        expectedDigest: sha256(bytes),
      });
      t.match(layer, { diffId: sha256(tar), compressedDigest: sha256(bytes), tarSizeBytes: tar.length }, name);
      t.equal(layer.entryCount, tar === SMALL ? 2 : 50);
      t.equal(layer.contentSizeBytes, tar === SMALL ? 11 : 5_001_225);
      await checkStored(b, t, tar);
      t.equal(b.files().length, 2, 'nothing else is left');
    }
  }
});

t.test('in copy mode', async (t) => {
  const b = bench(t, {}, 'copy');
  for (const tar of [SMALL, LARGE, Buffer.alloc(0)]) {
    const { diffId } = await b.store.ingest(stream(gzipSync(tar)));
    const { erofsPath, devicePaths } = b.store.files(diffId);
    t.strictSame(devicePaths, [], 'the content is inside');
    const { children } = readErofs(readFileSync(erofsPath), []);
    if (tar === SMALL) t.equal(children.get('etc')?.children.get('passwd')?.data.toString(), 'root:x:0:0\n');
    t.ok(readFileSync(b.store.tarPath(diffId)).equals(tar), 'the tar is kept all the same');
  }
});

t.test('an image that only newer kernels mount', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-layers-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const open = (imageMode: LayerImageMode): LayerStore =>
    createLayerStore({ root: join(directory, 'layers'), tmp: join(directory, 'tmp'), imageMode });
  const { diffId } = await open('index').ingest(stream(SMALL));
  t.throws(() => open('copy').files(diffId), {
    name: 'TsdError',
    code: 'unavailable',
    message: /was stored for Linux 6\.12 or later: `tsdctl system check --repair`/,
  });
  await open('copy').remove(diffId);
  await open('copy').ingest(stream(SMALL));
  t.strictSame(open('index').files(diffId).devicePaths, [], 'the other way round it does');
});

t.test('odd but right', async (t) => {
  const b = bench(t);
  for (const tar of [Buffer.alloc(0), END, Buffer.concat([SMALL, Buffer.alloc(5_000_000, 'garbage')])]) {
    await b.store.ingest(stream(tar));
    await checkStored(b, t, tar);
  }
});

t.test('hostile and damaged layers leave nothing behind', async (t) => {
  const random = createHash('sha256').update('x').digest();
  const gz = gzipSync(LARGE);
  const zst = zstdCompressSync(LARGE);
  const damaged = Buffer.from(gz);
  damaged.fill(0xaa, 2000, 2100);
  const cases: [string, Buffer, RegExp, IngestOptions?][] = [
    ['another diff id', SMALL, /diff id is sha256:.* expected/, { expectedDiffId: sha256(random) }],
    ['another diff id, large', LARGE, /diff id is sha256:.* expected/, { expectedDiffId: sha256(random) }],
    ['another digest', gz, /digest is sha256:.* expected/, { expectedDigest: sha256(LARGE) }],
    ['cut off', LARGE.subarray(0, 3_000_000), /truncated/],
    ['cut off, gzip', gz.subarray(0, gz.length / 2), /damaged or cut off/],
    ['cut off at the last byte, gzip', gz.subarray(0, -1), /damaged or cut off/],
    ['cut off, zstd', zst.subarray(0, zst.length / 2), /damaged or cut off|truncated/],
    ['damaged gzip', damaged, /damaged or cut off|invalid tar/],
    ['gzip with something after it', Buffer.concat([gz, Buffer.from('garbage')]), /followed by something else|damaged/],
    ['zstd with something after it', Buffer.concat([zst, Buffer.from('garbage')]), /damaged or cut off/],
    ['not gzip', SMALL, /damaged or cut off/, { compression: 'gzip' }],
    ['not a tar', Buffer.alloc(5_000_000, 'text'), /invalid tar archive/],
    ['xz', Buffer.concat([Buffer.from('fd377a585a0000', 'hex'), LARGE]), /compressed with xz are not supported/],
    ['bzip2', Buffer.concat([Buffer.from('BZh9'), LARGE]), /compressed with bzip2 are not supported/],
    ['..', archive({ name: '../../etc/cron.d/x', data: 'evil' }), /leaves the layer/],
    ['hard link out', archive({ name: 'x', type: '1', linkName: '../../etc/shadow' }), /leaves the layer/],
    ['hard link to nothing', archive({ name: 'x', type: '1', linkName: '/etc/shadow' }), /not in this layer/],
    ['not a digest', SMALL, /not a sha256 digest/, { expectedDiffId: 'sha256:../../x' }],
  ];
  for (const [name, bytes, message, options] of cases) {
    const b = bench(t);
    await t.rejects(b.store.ingest(stream(bytes), options), { name: 'TsdError', code: 'bad_parameter', message }, name);
    t.strictSame(b.files(), [], `${name}: nothing is left`);
    t.strictSame(await b.store.list(), []);
    // The store goes on working.
    await b.store.ingest(stream(LARGE));
    await checkStored(b, t, LARGE);
  }
});

t.test('bombs', async (t) => {
  const zeros = archive({ name: 'zeros', data: Buffer.alloc(60_000_000) });
  const b = bench(t, { freeExpansionBytes: 10_000_000 });
  for (const bomb of [gzipSync(zeros), zstdCompressSync(zeros), gzipSync(gzipSync(zeros))])
    await t.rejects(b.store.ingest(stream(bomb)), { code: 'bad_parameter', message: /decompression bomb|invalid tar/ });
  const limited = bench(t, { tar: { ...DEFAULT_LAYER_LIMITS.tar, maxArchiveBytes: 20_000_000 } });
  for (const bomb of [zeros, gzipSync(zeros)])
    await t.rejects(limited.store.ingest(stream(bomb)), {
      code: 'bad_parameter',
      message: /larger than 20000000 bytes/,
    });
  t.strictSame([...b.files(), ...limited.files()], []);
  await b.store.ingest(stream(zeros));
  t.ok(b.store.has(sha256(zeros)), 'without compression nothing expands');
});

t.test('a source that fails', async (t) => {
  const b = bench(t);
  for (const [bytes, form] of [
    [SMALL, 'small'],
    [LARGE, 'large'],
    [gzipSync(LARGE), 'gzip'],
  ] as const) {
    const failing = async function* (): AsyncGenerator<Buffer> {
      yield* stream(bytes.subarray(0, bytes.length - 600), 50_000);
      throw new Error('connection reset');
    };
    await t.rejects(b.store.ingest(failing()), { message: 'connection reset' }, form);
    t.strictSame(b.files(), []);
  }
});

t.test('sources that send nothing do not keep other layers waiting', async (t) => {
  const b = bench(t);
  const goOn = Promise.withResolvers<void>();
  const stalled = Array.from({ length: 8 }, (_, number) => {
    const bytes = archive(
      { name: `number/${number}` },
      ...Array.from({ length: 50 }, (_, i) => ({ name: `d/f${i}`, data: Buffer.alloc(100_000, String(i)) })),
    );
    const halfway = Promise.withResolvers<void>();
    const source = async function* (): AsyncGenerator<Buffer> {
      yield* stream(bytes.subarray(0, bytes.length - 600));
      halfway.resolve();
      await goOn.promise;
      if (number === 0) throw new Error('connection reset');
      yield bytes.subarray(bytes.length - 600);
    };
    return { bytes, halfway: halfway.promise, result: b.store.ingest(source()) };
  });
  await Promise.all(stalled.map(({ halfway }) => halfway));
  await b.store.ingest(stream(LARGE));
  await checkStored(b, t, LARGE);
  await t.rejects(b.store.ingest(stream(LARGE.subarray(0, 4_000_000))), /ends within|truncated/);
  goOn.resolve();
  const [failing, ...others] = stalled;
  await t.rejects(async () => failing?.result, { message: 'connection reset' });
  for (const { bytes, result } of others) {
    t.equal((await result).diffId, sha256(bytes));
    await checkStored(b, t, bytes);
  }
});

t.test('a heap that is nearly full: the layer with the most files makes room', (t) => {
  let usage = 0.5;
  const guard = new HeapGuard(() => usage);
  const [small, large] = [guard.join(), guard.join()];
  small.check(10);
  large.check(1000);
  usage = 0.9;
  small.check(20);
  t.throws(() => large.check(2000), { code: 'bad_parameter', message: /more files than fit in memory/ });
  large.leave();
  small.check(3000);
  t.end();
});

t.test('a source is closed when the layer is refused', async (t) => {
  const b = bench(t);
  let closed = false;
  const endless = async function* (): AsyncGenerator<Buffer> {
    try {
      yield member({ name: 'a' });
      for (;;) yield Buffer.alloc(100_000, 'x');
    } finally {
      closed = true;
    }
  };
  await t.rejects(b.store.ingest(endless()), /invalid tar archive/);
  t.ok(closed);
});

t.test('the same layer several times at once', async (t) => {
  const b = bench(t);
  const layers = await Promise.all(
    [LARGE, gzipSync(LARGE), LARGE, zstdCompressSync(LARGE), LARGE].map((bytes) => b.store.ingest(stream(bytes))),
  );
  t.equal(new Set(layers.map(({ diffId }) => diffId)).size, 1);
  await checkStored(b, t, LARGE);
  t.equal(b.files().length, 2);
  await b.store.ingest(stream(LARGE));
  t.equal(b.files().length, 2, 'and once more');
});

t.test('list, remove and leftovers', async (t) => {
  const b = bench(t);
  await b.store.cleanLeftovers();
  t.strictSame(await b.store.list(), []);
  await b.store.ingest(stream(SMALL));
  await b.store.ingest(stream(LARGE));
  t.strictSame(new Set(await b.store.list()), new Set([sha256(SMALL), sha256(LARGE)]));
  const removed: string[] = [];
  b.store.onRemove((diffId) => removed.push(diffId));
  await b.store.remove(sha256(SMALL));
  await b.store.remove(sha256(SMALL));
  t.strictSame(removed, [sha256(SMALL)]);
  t.notOk(b.store.has(sha256(SMALL)));
  t.strictSame(await b.store.list(), [sha256(LARGE)]);
  await t.rejects(b.store.tarSizeBytes(sha256(SMALL)), { code: 'not_found' });
  t.throws(() => b.store.has('../../etc'), { code: 'bad_parameter' });
});

t.test('what a killed daemon left is removed, and nothing else', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-layers-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const tmp = t.testdir({
    'layer-ingest-abc': { 'layer.tar': 'half' },
    'layer-removed-x': { layer: { 'layer.tar': 'x' } },
    'upload-1': 'someone else’s',
  });
  const store = createLayerStore({ root: join(directory, 'layers'), tmp });
  await store.cleanLeftovers();
  t.strictSame(readdirSync(tmp), ['upload-1']);
  t.ok(existsSync(join(directory, 'layers/sha256')));
});

t.test('a million entries', async (t) => {
  const count = 1_000_000;
  const entries = async function* (): AsyncGenerator<Buffer> {
    const block = member({ name: 'd0000/f0000000', mtime: 1 });
    const base = block.subarray(148, 156).toString('latin1');
    const baseSum = Number.parseInt(base, 8);
    const digitsOf = (buffer: Buffer): number => buffer.reduce((sum, byte) => sum + byte, 0);
    const zeroDigits = digitsOf(Buffer.from('00000000000'));
    for (let i = 0; i < count; ) {
      const batch = Buffer.alloc(512 * 2000);
      for (let j = 0; j < 2000; j++, i++) {
        block.copy(batch, j * 512);
        const directory = String(Math.floor(i / 1000)).padStart(4, '0');
        const file = String(i).padStart(7, '0');
        batch.write(`d${directory}/f${file}`, j * 512, 'latin1');
        const sum = baseSum - zeroDigits + digitsOf(Buffer.from(directory + file));
        batch.write(`${sum.toString(8).padStart(6, '0')}\0 `, j * 512 + 148, 'latin1');
      }
      yield batch;
    }
    yield END;
  };
  const b = bench(t);
  const { value: layer, ...cost } = await measured(() => b.store.ingest(entries()));
  t.equal(layer.entryCount, count);
  // Four seconds and 700 MB as a rule (docs/layers.md); a busy machine is given time.
  t.ok(cost.durationMs < 45_000, `within ${Math.round(cost.durationMs)} ms`);
  t.ok(cost.residentBytes < 1024 ** 3, `with ${Math.round(cost.residentBytes / 1024 ** 2)} MiB more`);
  t.comment(`event loop held up for ${Math.round(cost.heldUpMs)} ms at most`);
  const few = bench(t, { tar: { ...DEFAULT_LAYER_LIMITS.tar, maxEntries: 100_000 } });
  await t.rejects(few.store.ingest(entries()), { code: 'bad_parameter', message: /more than 100000 entries/ });
  t.strictSame(few.files(), []);
});

t.test('the same names over and over', async (t) => {
  const rounds = 30_000;
  const members = async function* (): AsyncGenerator<Buffer> {
    // A file, a directory in its place, something in that, a link in its place, and so on: each replaces what was there.
    const round = Buffer.concat([
      member({ name: 'x' }),
      member({ name: 'x/', type: '5' }),
      member({ name: 'x/a/b/c/deep' }),
      member({ name: 'x', type: '2', linkName: 'y' }),
      member({ name: 'y/through' }),
      member({ name: 'y/.wh.through' }),
      member({ name: 'same' }),
      member({ name: './same' }),
    ]);
    const batch = Buffer.concat(Array.from({ length: 100 }, () => round));
    for (let i = 0; i < rounds; i += 100) yield batch;
    yield END;
  };
  const b = bench(t);
  const { value: layer, ...cost } = await measured(() => b.store.ingest(members()));
  t.equal(layer.entryCount, rounds * 8);
  t.ok(cost.durationMs < 45_000, `within ${Math.round(cost.durationMs)} ms`);
  t.ok(cost.residentBytes < 512 * 1024 ** 2, `with ${Math.round(cost.residentBytes / 1024 ** 2)} MiB more`);
  const { erofsPath, devicePaths } = b.store.files(layer.diffId);
  const root = readErofs(
    readFileSync(erofsPath),
    devicePaths.map((path) => readFileSync(path)),
  );
  t.strictSame([...root.children.keys()], ['same', 'x', 'y'], 'the last one of each name is there');
  t.equal(root.children.get('x')?.data.toString(), 'y');
  t.strictSame([...(root.children.get('y')?.children.keys() ?? [])], ['through']);
});

t.test('huge headers', async (t) => {
  const b = bench(t);
  const huge = pax([['path', 'x'.repeat(3 * 1024 * 1024)]]);
  await t.rejects(b.store.ingest(stream(archive(huge, { name: 'f' }))), {
    code: 'bad_parameter',
    message: /exceeds the limit/,
  });
  await t.rejects(b.store.ingest(stream(archive({ name: 'L', type: 'L', size: 2 ** 34 }))), /exceeds the limit/);
  t.strictSame(b.files(), []);
});

t.test('what is large goes in the background', async (t) => {
  const directory = t.testdir({ large: { file: 'x' }, small: 'y', another: 'z' });
  const errors: string[] = [];
  const tmp = join(directory, 'tmp');
  const doomed = createDoomedFiles({ directory: tmp, onError: (path) => errors.push(path) });
  await doomed.doom(join(directory, 'small'), 1);
  t.same(readdirSync(tmp), [], 'small files at once');
  await doomed.doom(join(directory, 'missing'), 1);
  await Promise.all([doomed.doom(join(directory, 'large'), 1e9), doomed.doom(join(directory, 'another'), 1e9)]);
  t.same(readdirSync(directory), ['tmp'], 'out of their place');
  await doomed.idle();
  t.same(readdirSync(tmp), []);
  t.same(errors, []);
});
