/** Reading files out of stacked directories. Whiteouts and mounts need root: test/layers.test.ts has them. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SystemCallError } from '../src/os/libc.ts';
import { O_PATH, openat2, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../src/os/openat2.ts';
import { isMissingInLayers, readFileInLayers } from '../src/runtime/layered-root.ts';

function open(tap: Test, path: string): number {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  tap.teardown(() => closeSync(fd));
  return fd;
}

t.test('the topmost file wins and directories merge', async (t) => {
  const root = t.testdir({
    bottom: { etc: { passwd: 'bottom', group: 'group' }, a: { b: { c: 'deep' } }, f: 'file' },
    top: { etc: { passwd: 'top' }, a: 'a file hides the directory', f: { g: 'a directory hides the file' } },
    upper: { etc: { passwd: 'upper' } },
  });
  const layerDescriptors = [open(t, join(root, 'bottom')), open(t, join(root, 'top'))];
  const read = (path: string, upperPath: string | null = null): string | null =>
    readFileInLayers({ upperPath, layerDescriptors, path, maxBytes: 100 })?.toString() ?? null;
  t.equal(read('etc/passwd'), 'top');
  t.equal(read('/etc/group'), 'group');
  t.equal(read('a/b/c'), null);
  t.equal(read('f'), null);
  t.equal(read('f/g'), 'a directory hides the file');
  t.equal(read('etc/passwd', join(root, 'upper')), 'upper');
  t.equal(read('etc/group', join(root, 'upper')), 'group');
  t.equal(read('etc/group', join(root, 'missing')), 'group');
  t.equal(read(''), null);
  t.equal(read('/'), null);
  t.equal(read('../../../../etc/passwd'), 'top', 'the root is its own parent');
});

t.test('what is missing', async (t) => {
  const root = t.testdir({
    bottom: { etc: { passwd: '', mtab: t.fixture('symlink', '/nowhere') }, hidden: { x: '' } },
    top: { hidden: 'a file hides the directory', etc: {}, link: t.fixture('symlink', 'etc') },
    upper: { new: '' },
  });
  const layerDescriptors = [open(t, join(root, 'bottom')), open(t, join(root, 'top'))];
  const missing = (path: string, upperPath: string | null = null): boolean =>
    isMissingInLayers({ upperPath, layerDescriptors, path });
  for (const path of ['etc', 'etc/passwd', 'etc/mtab', 'hidden', 'hidden/x', 'link/anything'])
    t.notOk(missing(path), path);
  for (const path of ['new', 'etc/new', 'new/new']) t.ok(missing(path), path);
  t.notOk(missing('new', join(root, 'upper')));
  t.ok(missing('etc/new', join(root, 'upper')));
});

t.test('symlinks stay within the root', async (t) => {
  const root = t.testdir({
    secret: 'of the host',
    layer: {
      etc: { passwd: 'inside' },
      up: t.fixture('symlink', '../secret'),
      absolute: t.fixture('symlink', '/etc/passwd'),
      dir: t.fixture('symlink', 'etc/../etc'),
      proc: t.fixture('symlink', '/proc/self/root/etc/passwd'),
      loop: t.fixture('symlink', 'loop'),
      broken: t.fixture('symlink', 'nowhere'),
    },
  });
  const layerDescriptors = [open(t, join(root, 'layer'))];
  const read = (path: string): string | null =>
    readFileInLayers({ upperPath: null, layerDescriptors, path, maxBytes: 100 })?.toString() ?? null;
  t.equal(read('up'), null);
  t.equal(read('absolute'), 'inside');
  t.equal(read('dir/passwd'), 'inside');
  for (const path of ['proc', 'loop', 'broken', 'dir', 'etc/passwd/..']) t.equal(read(path), null, path);
});

t.test('only regular files, and no more than allowed', async (t) => {
  const root = t.testdir({ exact: 'x'.repeat(100), more: 'x'.repeat(101), empty: '' });
  execFileSync('mkfifo', [join(root, 'pipe')]);
  const layerDescriptors = [open(t, root)];
  const read = (path: string): Buffer | null =>
    readFileInLayers({ upperPath: null, layerDescriptors, path, maxBytes: 100 });
  t.equal(read('pipe'), null, 'without waiting for a writer');
  t.equal(read('exact')?.length, 100);
  t.equal(read('empty')?.length, 0);
  t.throws(() => read('more'), { name: 'TsdError', code: 'bad_parameter' });
});

t.test('openat2', async (t) => {
  const root = t.testdir({ dir: { file: 'x' }, link: t.fixture('symlink', 'dir') });
  const dirFd = open(t, join(root, 'dir'));
  const attempt = (path: string, resolve: number): string => {
    try {
      closeSync(openat2({ dirFd, path, flags: O_PATH, resolve }));
      return 'opened';
    } catch (error) {
      return error instanceof SystemCallError ? error.code : String(error);
    }
  };
  t.equal(attempt('file', RESOLVE_BENEATH), 'opened');
  t.equal(attempt('../link', RESOLVE_BENEATH), 'EXDEV');
  t.equal(attempt('/etc', RESOLVE_BENEATH), 'EXDEV');
  t.equal(attempt('../link/file', RESOLVE_NO_SYMLINKS), 'ELOOP');
  t.equal(attempt('missing', RESOLVE_BENEATH), 'ENOENT');
});
