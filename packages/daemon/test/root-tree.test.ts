/** Reading containers' trees without following anything. What needs root and a kernel that merges is in test/commit.test.ts. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import t, { type Test } from 'tap';
import { readDirectory } from '../src/os/read-directory.ts';
import { createContainerIds } from '../src/runtime/root-tree/container-ids.ts';
import { createRootTrees, type RootTrees } from '../src/runtime/root-tree/root-trees.ts';
import { DEFAULT_TAR_LIMITS, type TarEntry } from '../src/storage/tar/tar-entry.ts';
import { TarParser } from '../src/storage/tar/tar-parser.ts';

/** Directories stand for layers, the lowest first. */
function treesOver(tap: Test, layers: readonly string[]): RootTrees {
  const descriptors = layers.map((path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
  tap.teardown(() => descriptors.forEach(closeSync));
  return createRootTrees({
    layerMounts: { acquire: () => ({ descriptors, hasMountPoints: false, release: () => undefined }) },
  });
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const collected: Buffer[] = [];
  for await (const piece of pieces) collected.push(Buffer.from(piece));
  return Buffer.concat(collected);
}

function entriesOf(archive: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  const parser = new TarParser((entry) => entries.push(entry), DEFAULT_TAR_LIMITS);
  parser.write(archive);
  parser.end();
  return entries;
}

const shown = (entries: readonly TarEntry[]): string[] =>
  entries.map(({ path, type, linkPath }) => (linkPath === '' ? path : `${path} ${type} ${linkPath}`));

// A short name: it is part of the socket's path, which has at most 107 bytes.
t.test('merged', async (t) => {
  const root = t.testdir({
    bottom: { etc: { a: 'bottom', b: 'b' }, dir: { x: '' }, file: 'hides no directory above', only: { here: '' } },
    top: { etc: { a: 'top' }, dir: 'a file hides the directory' },
    upper: { etc: { c: 'upper' }, file: { inner: '' }, link: t.fixture('symlink', '/etc/passwd'), 'ﬁ\n': '' },
  });
  linkSync(join(root, 'upper/etc/c'), join(root, 'upper/second'));
  const socket = createServer().listen(relative(process.cwd(), join(root, 'upper/socket')));
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const trees = treesOver(t, [join(root, 'bottom'), join(root, 'top')]);
  const tree = { upperPath: join(root, 'upper'), diffIds: [], idRange: null };
  const archive = await collect(trees.stream(tree, 'root'));
  const bytes = Buffer.from('ﬁ\n').toString('latin1');
  t.same(shown(entriesOf(archive)), [
    'dir',
    'etc/',
    'etc/a',
    'etc/b',
    'etc/c',
    'file/',
    'file/inner',
    'link symlink /etc/passwd',
    'only/',
    'only/here',
    'second hardlink etc/c',
    bytes,
  ]);
  t.equal(execFileSync('tar', ['--extract', '--to-stdout', 'etc/a'], { input: archive, encoding: 'utf8' }), 'top');

  const layer = entriesOf(await collect(trees.stream(tree, 'layer')));
  t.same(shown(layer), [
    'etc/',
    'etc/c',
    'file/',
    'file/inner',
    'link symlink /etc/passwd',
    'second hardlink etc/c',
    bytes,
  ]);

  const changes = JSON.parse((await collect(trees.stream(tree, 'changes'))).toString()) as {
    Path: string;
    Kind: number;
  }[];
  t.same(
    changes.map(({ Path, Kind }) => `${'CAD'[Kind]} ${Path}`),
    ['C /etc', 'A /etc/c', 'C /file', 'A /file/inner', 'A /link', 'A /second', 'A /socket', 'A /ﬁ\n'],
  );

  const unwritten = { ...tree, upperPath: join(root, 'missing') };
  t.equal((await collect(trees.stream(unwritten, 'changes'))).toString(), 'null\n');
  t.equal((await collect(trees.stream(unwritten, 'layer'))).length, 1024, 'an empty archive');
  t.equal(shown(entriesOf(await collect(trees.stream(unwritten, 'root')))).length, 7);
});

t.test("names that mean something in a layer, and a launch's mount points", async (t) => {
  const root = t.testdir({
    layer: { etc: { passwd: '' } },
    upper: {
      '.wh.bin': '',
      '.wh.dir': { x: '' },
      ok: {},
      proc: {},
      dev: { made: '' },
      etc: { hosts: '', hostname: '' },
    },
  });
  const trees = treesOver(t, [join(root, 'layer')]);
  const tree = { upperPath: join(root, 'upper'), diffIds: [], idRange: null };
  const listed = async (): Promise<string[]> => shown(entriesOf(await collect(trees.stream(tree, 'layer'))));
  t.same(await listed(), ['dev/', 'dev/made', 'ok/']);
  writeFileSync(join(root, 'upper/etc/hosts'), 'written');
  t.same(await listed(), ['dev/', 'dev/made', 'etc/', 'etc/hosts', 'ok/']);
  t.ok(shown(entriesOf(await collect(trees.stream(tree, 'root')))).includes('.wh.bin'), 'an export has it');
});

t.test('a directory that vanishes while it is read', async (t) => {
  const path = join(t.testdir({ gone: { file: '' } }), 'gone');
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  t.teardown(() => closeSync(directory));
  t.same(
    [...readDirectory(directory)].map(({ name }) => name),
    ['file'],
  );
  rmSync(path, { recursive: true });
  t.same([...readDirectory(directory)], []);
});

t.test('too deep for a path', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'tsd-deep-'));
  t.teardown(() => execFileSync('rm', ['-rf', root]));
  const deep = Array.from({ length: 12 }, () => 'd'.repeat(200)).join('/');
  for (const name of ['upper', 'other']) mkdirSync(join(root, name, deep), { recursive: true });
  renameSync(join(root, 'other'), join(root, 'upper', deep, 'other'));
  const trees = treesOver(t, []);
  for (const kind of ['layer', 'root', 'changes'] as const) {
    const stream = trees.stream({ upperPath: join(root, 'upper'), diffIds: [], idRange: null }, kind);
    await t.rejects(collect(stream), { code: 'bad_parameter', message: /a path of more than 4095 bytes/ });
  }
});

t.test('a reader that stops ends the thread, and every descriptor is closed', async (t) => {
  const root = t.testdir({ upper: {} });
  mkdirSync(join(root, 'upper/dir'));
  for (let i = 0; i < 8; i++) writeFileSync(join(root, `upper/dir/${i}`), Buffer.alloc(1_000_000, `${i}`));
  const trees = treesOver(t, []);
  const tree = { upperPath: join(root, 'upper'), diffIds: [], idRange: null };
  await collect(trees.stream(tree, 'root'));
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 5; round++) {
    for await (const piece of trees.stream(tree, 'root')) {
      t.ok(piece.length > 0);
      break;
    }
  }
  t.equal(readdirSync('/proc/self/fd').length, before);
});

t.test('times to the nanosecond', async (t) => {
  const root = t.testdir({ upper: { file: 'x' } });
  const file = join(root, 'upper/file');
  execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789Z', file]);
  const [entry] = entriesOf(
    await collect(treesOver(t, []).stream({ upperPath: join(root, 'upper'), diffIds: [], idRange: null }, 'layer')),
  );
  t.match(entry, { mtimeSeconds: 981_173_106, mtimeNanoseconds: 123_456_789 });
});

t.test("ids back from a container's range", async (t) => {
  const ids = createContainerIds({ first: 0x4000_0000, size: 65_536 });
  t.equal(ids.unmap(0x4000_0000), 0);
  t.equal(ids.unmap(0x4000_ffff), 65_535);
  for (const foreign of [0, 1000, 0x3fff_ffff, 0x4001_0000]) t.equal(ids.unmap(foreign), 65_534);
  const v3 = (root: number): Buffer => {
    const value = Buffer.alloc(24, 1);
    value.writeUInt32LE(0x0300_0001, 0);
    value.writeUInt32LE(root, 20);
    return value;
  };
  const capability = (value: Buffer): Buffer | undefined =>
    ids.unmapXattrs([{ name: 'security.capability', value }])[0]?.value;
  const v2 = Buffer.alloc(20, 1);
  v2.writeUInt32LE(0x0200_0001, 0);
  t.same(capability(v3(0x4000_0000)), v2, "the container's root is whoever runs the image");
  t.same(capability(v3(0x4000_0005)), v3(5), 'a namespace within the container');
  t.same(capability(v2), v2);
  t.same(capability(Buffer.from([3])), Buffer.from([3]));
  const acl = Buffer.from('0200000001000600ffffffff0200060005000040080004000600004020000000ffffffff', 'hex');
  t.equal(
    ids.unmapXattrs([{ name: 'system.posix_acl_access', value: acl }])[0]?.value.toString('hex'),
    '0200000001000600ffffffff0200060005000000080004000600000020000000ffffffff',
  );
  t.same(createContainerIds(null).unmapXattrs([{ name: 'security.capability', value: v3(9) }])[0]?.value, v3(9));
});
