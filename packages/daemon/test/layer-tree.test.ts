import t, { type Test } from 'tap';
import { isWhiteout, type LayerInode } from '../src/storage/erofs/layer-inode.ts';
import { LayerTree, type LayerTreeLimits } from '../src/storage/erofs/layer-tree.ts';
import { DEFAULT_TAR_LIMITS } from '../src/storage/tar/tar-entry.ts';
import { TarParser } from '../src/storage/tar/tar-parser.ts';
import { archive, pax, type TarMember } from './tar-builder.ts';

const NO_LIMITS: LayerTreeLimits = { maxNodes: 1e9, maxMetadataBytes: 1e12, maxLookups: 1e9 };

function build(parts: readonly (Buffer | TarMember)[], limits = NO_LIMITS): LayerTree {
  const tree = new LayerTree(limits);
  const parser = new TarParser((entry) => tree.add(entry), DEFAULT_TAR_LIMITS);
  parser.write(archive(...parts));
  parser.end();
  return tree;
}

/** Every path with a mark for its kind, `!` for an opaque directory. */
function paths(tree: LayerTree): string[] {
  const found: string[] = [];
  const visit = (inode: LayerInode, path: string): void => {
    for (const [name, child] of inode.children ?? []) {
      const kind = child.children
        ? '/'
        : isWhiteout(child)
          ? ' whiteout'
          : child.target === ''
            ? ''
            : ` -> ${child.target}`;
      found.push(`${path}${name}${kind}${isOpaque(child) ? '!' : ''}`);
      visit(child, `${path}${name}/`);
    }
  };
  visit(tree.root, '');
  return found.sort();
}

function isOpaque(inode: LayerInode): boolean {
  return inode.xattrs.some(({ name, value }) => name === 'trusted.overlay.opaque' && value.toString() === 'y');
}

function at(tree: LayerTree, path: string): LayerInode {
  let inode = tree.root;
  for (const name of path.split('/').filter(Boolean)) {
    const child = inode.children?.get(name);
    if (child === undefined) throw new Error(`no ${path}`);
    inode = child;
  }
  return inode;
}

function refused(tap: Test, parts: readonly (Buffer | TarMember)[], message: RegExp, limits = NO_LIMITS): void {
  tap.throws(() => build(parts, limits), { name: 'TsdError', code: 'bad_parameter', message });
}

const dir = (name: string, mode = 0o755): TarMember => ({ name, type: '5', mode });
const link = (name: string, linkName: string): TarMember => ({ name, type: '2', linkName });
const hard = (name: string, linkName: string): TarMember => ({ name, type: '1', linkName });

t.test('names are taken lexically beneath the root, as Docker does', async (t) => {
  const tree = build([
    { name: '/abs' },
    { name: './dot' },
    { name: 'a//b/./c' },
    { name: 'x/../y' },
    { name: '///./deep/file' },
  ]);
  t.strictSame(paths(tree), ['a/', 'a/b/', 'a/b/c', 'abs', 'deep/', 'deep/file', 'dot', 'y']);
});

t.test('names that leave the root are refused', async (t) => {
  for (const name of ['..', '../x', '/../x', 'a/../../x', 'a/../..', './../x', 'a/b/../../../etc/passwd'])
    refused(t, [{ name }], /leaves the layer/);
  refused(t, [{ name: 'a' }, hard('b', '../a')], /leaves the layer/);
  refused(t, [{ name: 'a' }, hard('b', '/../../a')], /leaves the layer/);
});

t.test('the root', async (t) => {
  const tree = build([{ name: './', type: '5', mode: 0o700, uid: 5, mtime: 77 }, { name: 'f' }]);
  t.match(tree.root, { mode: 0o40700, uid: 5, mtimeSeconds: 77 });
  t.equal(build([{ name: 'f' }]).root.mode, 0o40755, 'where the archive does not list it');
  refused(t, [{ name: '.' }], /root of the layer is not a directory/);
  refused(t, [link('/', 'x')], /root of the layer is not a directory/);
});

t.test('missing parents are made', async (t) => {
  const tree = build([{ name: 'a/b/c', uid: 9, mtime: 42 }, dir('a', 0o700)]);
  t.match(at(tree, 'a/b'), { mode: 0o40755, uid: 0, mtimeSeconds: 42 });
  t.equal(at(tree, 'a').mode, 0o40700, 'listed later');
  t.ok(at(tree, 'a/b/c'), 'and keeps its children');
});

t.test('the last member of a name wins', async (t) => {
  t.equal(
    at(
      build([
        { name: 'f', data: 'one' },
        { name: 'f', data: 'three' },
      ]),
      'f',
    ).sizeBytes,
    5,
  );
  t.strictSame(
    paths(build([dir('d'), { name: 'd/x' }, { name: 'd' }])),
    ['d'],
    'a file takes a directory with its children',
  );
  t.strictSame(paths(build([{ name: 'd' }, dir('d'), { name: 'd/x' }])), ['d/', 'd/x']);
  t.strictSame(
    paths(build([link('d', 'x'), dir('d')])),
    ['d/'],
    'a directory replaces a symlink, it does not follow it',
  );
  t.strictSame(paths(build([dir('x'), { name: 'x/old' }, { name: 'x' }, { name: 'y' }, dir('x'), { name: 'x/new' }])), [
    'x/',
    'x/new',
    'y',
  ]);
  t.equal(at(build([dir('d', 0o700), { name: 'd/x' }, dir('d', 0o1777)]), 'd').mode, 0o41777);
});

t.test('symlinks are kept as they are', async (t) => {
  const targets = ['/etc/passwd', '../../../../etc/shadow', '/proc/self/root', 'a\xff\n', 'x'.repeat(4095)];
  for (const target of targets) {
    const tree = build([pax([['linkpath', target]]), link('l', 'x')]);
    t.match(at(tree, 'l'), { target, mode: 0o120777 });
  }
  refused(t, [pax([['linkpath', 'a\0b']]), link('l', 'x')], /NUL/);
});

t.test('a symlink among the parents is followed within the layer', async (t) => {
  t.strictSame(paths(build([dir('usr/lib'), link('lib', 'usr/lib'), { name: 'lib/x' }])), [
    'lib -> usr/lib',
    'usr/',
    'usr/lib/',
    'usr/lib/x',
  ]);
  t.strictSame(
    paths(build([link('lib', '/usr/lib'), { name: 'lib/x' }])),
    ['lib -> /usr/lib', 'usr/', 'usr/lib/', 'usr/lib/x'],
    'absolute, missing',
  );
  t.strictSame(
    paths(build([link('out', '../../../..'), { name: 'out/etc/x' }])),
    ['etc/', 'etc/x', 'out -> ../../../..'],
    'it cannot leave',
  );
  refused(t, [link('a', 'b'), link('b', 'a'), { name: 'a/x' }], /too many symbolic links/);
  refused(t, [{ name: 'f' }, { name: 'f/x' }], /not a directory/);
  refused(t, [link('l', 'f'), { name: 'f' }, { name: 'l/x' }], /not a directory/);
});

t.test('a replaced parent is not written to', async (t) => {
  const tree = build([dir('d'), { name: 'd/one' }, link('d', 'e'), { name: 'd/two' }, dir('d'), { name: 'd/three' }]);
  t.strictSame(paths(tree), ['d/', 'd/three', 'e/', 'e/two']);
});

t.test('hard links', async (t) => {
  const tree = build([{ name: 'a', data: 'x' }, hard('b', 'a'), hard('d/c', './b'), { name: 'a', data: 'new' }]);
  t.equal(at(tree, 'b'), at(tree, 'd/c'), 'one inode');
  t.equal(at(tree, 'b').sizeBytes, 1, 'the old content stays under the other names');
  t.equal(at(tree, 'a').sizeBytes, 3);
  const same = build([link('l', 'x'), hard('m', '/l'), { name: 'f' }, hard('f', 'f')]);
  t.equal(at(same, 'm').target, 'x', 'to a symlink');
  refused(t, [hard('b', 'a')], /"b" points to "a", which is not in this layer/);
  refused(t, [hard('b', 'a'), { name: 'a' }], /not in this layer/);
  refused(t, [dir('d'), hard('b', 'd')], /points to a directory/);
  refused(t, [hard('b', '/')], /points to a directory/);
  refused(t, [{ name: '.wh.a' }, hard('b', 'a')], /not in this layer/);
  refused(t, [link('l', '/etc'), hard('b', 'l/passwd')], /not in this layer/);
});

t.test('devices and pipes', async (t) => {
  const tree = build([
    { name: 'c', type: '3', major: 5, minor: 1 },
    { name: 'b', type: '4', major: 259, minor: 70000 },
    { name: 'p', type: '6' },
  ]);
  t.match(at(tree, 'c'), { mode: 0o20644, deviceMajor: 5, deviceMinor: 1 });
  t.match(at(tree, 'b'), { mode: 0o60644, deviceMajor: 259, deviceMinor: 70000 });
  t.equal(at(tree, 'p').mode, 0o10644);
  refused(t, [{ name: 'c', type: '3', major: 4096 }], /out of range/);
  refused(t, [{ name: 'c', type: '3', minor: -1 }], /out of range/);
});

t.test('whiteouts', async (t) => {
  t.strictSame(paths(build([{ name: 'd/.wh.gone' }])), ['d/', 'd/gone whiteout']);
  for (const parts of [
    [{ name: '.wh.f' }, { name: 'f' }],
    [{ name: 'f' }, { name: '.wh.f' }],
  ])
    t.strictSame(paths(build(parts)), ['f'], 'what the layer itself holds stays, in either order');
  for (const parts of [
    [{ name: '.wh.d' }, dir('d'), { name: 'd/x' }],
    [dir('d'), { name: 'd/x' }, { name: '.wh.d' }],
    [{ name: '.wh.d' }, { name: 'd/x' }],
  ])
    t.strictSame(paths(build(parts)), ['d/!', 'd/x'], 'a directory made anew hides the old one');
  for (const name of ['.wh.', '.wh..', '.wh...', 'a/.wh...', 'a/.wh..']) refused(t, [{ name }], /names no file/);
  t.strictSame(paths(build([dir('.wh.x')])), ['x whiteout'], 'whatever its type');
});

t.test('opaque directories', async (t) => {
  t.strictSame(paths(build([dir('d'), { name: 'd/.wh..wh..opq' }, { name: 'd/x' }])), ['d/!', 'd/x']);
  t.strictSame(paths(build([{ name: 'd/.wh..wh..opq' }, dir('d')])), ['d/!'], 'before its directory');
  t.ok(isOpaque(build([{ name: '.wh..wh..opq' }]).root), 'the root');
  const withXattrs = build([{ name: 'd/.wh..wh..opq' }, pax([['SCHILY.xattr.user.a', 'b']]), dir('d')]);
  t.equal(at(withXattrs, 'd').xattrs.length, 2);
});

t.test("aufs' own names are left out", async (t) => {
  const parts = [
    dir('.wh..wh.plnk'),
    { name: '.wh..wh.plnk/12.34' },
    { name: '.wh..wh.aufs' },
    { name: 'd/.wh..wh.orph/x' },
    { name: 'f' },
  ];
  t.strictSame(paths(build(parts)), ['f']);
});

t.test('extended attributes', async (t) => {
  const acl = Buffer.from('02000000010006000000000004000400ffffffff', 'hex').toString('latin1');
  const names = (records: readonly [string, string][], member: TarMember = { name: 'f' }): string[] =>
    at(build([pax(records.map(([name, value]) => [`SCHILY.xattr.${name}`, value])), member]), member.name).xattrs.map(
      ({ name }) => name,
    );
  t.strictSame(
    names([
      ['user.a', '1'],
      ['trusted.b', '2'],
      ['security.capability', '3'],
      ['system.posix_acl_access', acl],
    ]),
    ['user.a', 'trusted.b', 'security.capability', 'system.posix_acl_access'],
  );
  t.strictSame(
    names([
      ['trusted.overlay.opaque', 'y'],
      ['trusted.overlay.redirect', '/etc'],
      ['trusted.overlay.metacopy', ''],
      ['user.overlay.opaque', 'y'],
      ['trusted.overlay.overlay.whiteout', 'y'],
      ['security.selinux', 'x'],
      ['security.ima', 'x'],
      ['security.apparmor', 'x'],
      ['system.nfs4_acl', 'x'],
      ['system.posix_acl_access', 'not an acl'],
      ['system.posix_acl_default', acl],
      ['user.', 'x'],
      ['trusted.', 'x'],
      ['nonsense', 'x'],
    ]),
    [],
    'an image cannot speak to overlayfs, nor set labels of security modules',
  );
  t.strictSame(names([['system.posix_acl_default', acl]], dir('d')), ['system.posix_acl_default']);
  refused(t, [pax([[`SCHILY.xattr.user.${'n'.repeat(300)}`, 'x']]), { name: 'f' }], /too large/);
  refused(t, [pax([['SCHILY.xattr.user.a\0b', 'x']]), { name: 'f' }], /NUL/);
  const again = build([pax([['SCHILY.xattr.user.a', 'x']]), dir('d'), dir('d')]);
  t.equal(at(again, 'd').xattrs.length, 0, 'the last member of a directory decides');
});

t.test('limits', async (t) => {
  t.ok(build([{ name: 'x'.repeat(255), prefix: 'a' }]));
  refused(t, [pax([['path', 'x'.repeat(256)]]), { name: 'f' }], /longer than 255/);
  refused(t, [pax([['path', `${'x'.repeat(256)}/y`]]), { name: 'f' }], /longer than 255/);
  refused(t, [{ name: 'a/b/c/d/e' }], /more than 4 files/, { ...NO_LIMITS, maxNodes: 4 });
  refused(t, [{ name: 'a'.repeat(80) }, { name: 'b'.repeat(80) }], /exceed 100 bytes/, {
    ...NO_LIMITS,
    maxMetadataBytes: 100,
  });
  const maze = 'a/../'.repeat(800);
  const tangled = [
    dir('a'),
    ...Array.from({ length: 30 }, (_, i) => pax([['linkpath', `${maze}${i + 1}`]])).flatMap((header, i) => [
      header,
      link(String(i), 'x'),
    ]),
    dir('30'),
  ];
  const visits = Array.from({ length: 40 }, (_, i) => ({ name: `${i % 2}/${i}` }));
  t.ok(build([...tangled, ...visits]));
  refused(t, [...tangled, ...visits], /too tangled/, { ...NO_LIMITS, maxLookups: 1_000_000 });
  const deep = build([pax([['path', 'd/'.repeat(2000)]]), dir('x')]);
  t.ok(at(deep, 'd/'.repeat(2000)), 'deep trees');
});
