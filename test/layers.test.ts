/** Layers as the kernel sees them, in all the ways in which they are stored and mounted. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { getXattr } from '../packages/daemon/src/os/xattr.ts';
import { readFileInLayers } from '../packages/daemon/src/runtime/layered-root.ts';
import { archive, member, pax, type TarMember } from '../packages/daemon/test/tar-builder.ts';
import { bench, extract, firstDifferences, KERNELS, type Kernel, once, openLayers, RUNNING } from './layers/bench.ts';
import { randomNumbers } from './layers/random-tree.ts';
import type { CommandResult } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxLayer, dockerArchive } from './support/images.ts';

t.setTimeout(400_000);

const notRoot = process.getuid?.() !== 0 && 'mounting needs root';
/** The overlays of these tests are mounted with mount(8). */
const noOverlay =
  notRoot || (!RUNNING.detachedLayers && 'before Linux 6.15 overlayfs takes no detached mounts as layers');

/** The test once for each way to store and mount layers. */
function onEveryKernel(
  name: string,
  options: { readonly skip: string | false },
  work: (t: Test, kernel: Kernel) => Promise<void>,
): void {
  for (const kernel of KERNELS) t.test(`${name}, as on Linux ${kernel.version}`, options, (t) => work(t, kernel));
}

onEveryKernel('attributes', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const acl = '0200000001000600ffffffff02000500010000000400040' + '0ffffffff10000700ffffffff20000400ffffffff';
  const attributes: Record<string, Record<string, string>> = {
    ping: {
      'security.capability': Buffer.from('0100000200200000000000000000000000000000', 'hex').toString('latin1'),
      'user.empty': '',
      'user.long': 'v'.repeat(3000),
    },
    acl: { 'system.posix_acl_access': Buffer.from(acl, 'hex').toString('latin1'), 'trusted.x': 'y' },
    directory: { 'user.n': 'x'.repeat(100), 'user.bytes': '\0\xff\n=' },
  };
  const parts = Object.entries(attributes).flatMap(([name, values]) => [
    pax(Object.entries(values).map(([attribute, value]) => [`SCHILY.xattr.${attribute}`, value])),
    { name, mode: 0o755, type: name === 'directory' ? '5' : '0' },
  ]);
  const lease = b.mounts.acquire([await b.ingest(archive(...parts))]);
  for (const [name, values] of Object.entries(attributes)) {
    const fd = openSync(`/proc/self/fd/${lease.descriptors[0]}/${name}`, 'r');
    for (const [attribute, value] of Object.entries(values))
      t.equal(getXattr(fd, attribute, 4096)?.toString('latin1'), value, attribute);
    closeSync(fd);
  }
  lease.release();
});

onEveryKernel('an archive that ends right after its last byte', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const data = Buffer.alloc(10_001, 'the end;');
  const tar = member({ name: 'f', data }).subarray(0, 512 + data.length);
  const lease = b.mounts.acquire([await b.ingest(tar), await b.ingest(Buffer.alloc(0))]);
  t.ok(readFileSync(`/proc/self/fd/${lease.descriptors[0]}/f`).equals(data));
  t.strictSame(readdirSync(`/proc/self/fd/${lease.descriptors[1]}`), [], 'and an empty one');
  lease.release();
});

/** What Docker does with layers, on a directory: whiteouts first remove, then the rest is extracted. */
function applyLayer(tar: string, root: string): void {
  const names = execFileSync('tar', ['-t', '-f', tar], { encoding: 'utf8' }).split('\n').filter(Boolean);
  for (const name of names) {
    const [, parent = '', base = ''] = /^(.*?)([^/]+)\/?$/.exec(name) ?? [];
    if (base === '.wh..wh..opq')
      execFileSync('sh', ['-c', 'test ! -d "$1" || find "$1" -mindepth 1 -delete', 'sh', join(root, parent)]);
    else if (base.startsWith('.wh.')) rmSync(join(root, parent, base.slice(4)), { recursive: true, force: true });
  }
  // tar does not replace a directory that is not empty with something else.
  for (const name of names) {
    const at = join(root, name);
    if (!name.endsWith('/') && lstatSync(at, { throwIfNoEntry: false })?.isDirectory()) rmSync(at, { recursive: true });
  }
  extract(tar, root, '--exclude=.wh.*', '--delay-directory-restore');
}

onEveryKernel('layers upon layers with whiteouts', { skip: noOverlay }, async (t, { support }) => {
  const b = bench(t, support);
  for (const seed of [1, 2, 3]) {
    const reference = b.make(`merged-${seed}`);
    const random = randomNumbers(seed);
    const diffIds: string[] = [];
    for (let layer = 0; layer < 8; layer++) {
      const tar = join(b.directory, `${seed}-${layer}.tar`);
      writeFileSync(tar, randomLayer(reference, random, layer));
      diffIds.push(await b.ingest(tar));
      applyLayer(tar, reference);
    }
    const lease = b.mounts.acquire(diffIds);
    const lower = lease.descriptors
      .map((_, i) => `/proc/self/fd/${i + 3}`)
      .reverse()
      .join(':');
    const target = b.make(`overlay-${seed}`);
    // In a mount namespace of its own: nothing of it is seen outside, and it goes with the command.
    const script = `mount -t overlay overlay -o lowerdir=${lower} ${target} && cd ${target} &&
      find . -type f -exec sha256sum {} + -o -printf '%p %y %m %U:%G %T@ %l\\n' | LC_ALL=C sort`;
    const listing = (result: ReturnType<typeof spawnSync>): string => {
      if (result.status !== 0) throw new Error(String(result.stderr));
      return String(result.stdout);
    };
    const merged = listing(
      spawnSync('unshare', ['--mount', 'sh', '-c', script], {
        stdio: ['ignore', 'pipe', 'pipe', ...lease.descriptors],
        maxBuffer: 1 << 28,
      }),
    );
    const wanted = listing(
      spawnSync('sh', ['-c', script.replace(/^mount.*&&\s/m, `cd ${reference} &&`).replace(`cd ${target} &&`, '')], {
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 1 << 28,
      }),
    );
    t.strictSame(firstDifferences(merged, wanted), [], `seed ${seed}`);
    t.ok(merged.length > 1000, 'there is something to compare');
    lease.release();
  }
});

/** A layer that changes the tree at hand: new and changed files and directories, whiteouts, opaque directories. */
function randomLayer(root: string, random: (below: number) => number, layer: number): Buffer {
  const present = execFileSync('find', ['.', '-mindepth', '1', '-printf', '%P %y\n'], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ path: line.slice(0, -2), directory: line.endsWith('d') }));
  const parts: TarMember[] = [{ name: './', type: '5', mode: 0o755, mtime: layer }];
  const listed = new Set<string>();
  const touched = new Set<string>();
  const clash = (path: string): boolean =>
    [...touched].some((other) => `${path}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${path}/`));
  // Whoever writes a layer lists the parents with their attributes.
  const parents = (path: string): void => {
    const components = path.split('/').slice(0, -1);
    for (let i = 1; i <= components.length; i++) {
      const parent = components.slice(0, i).join('/');
      if (!listed.has(parent))
        parts.push({ name: `${parent}/`, type: '5', mode: 0o700 + random(64), uid: random(1000), mtime: random(1e9) });
      listed.add(parent);
    }
  };
  for (let i = 0; i < 40; i++) {
    const victim = present.length > 0 ? present[random(present.length)] : undefined;
    const kind = random(layer === 0 ? 4 : 8);
    const directories = present.filter(({ directory }) => directory);
    const home = directories.length > 0 && random(3) > 0 ? `${directories[random(directories.length)]?.path}/` : '';
    const fresh = `${home}n${layer}-${i}`;
    const path = kind >= 4 && victim !== undefined ? victim.path : fresh;
    if (clash(path)) continue;
    touched.add(path);
    parents(path);
    const name = path.split('/').at(-1) as string;
    const parent = path.slice(0, path.length - name.length);
    if (kind === 0 || kind === 4)
      parts.push({ name: path, data: `${layer} ${i}`, mode: random(0o1000), uid: random(100), mtime: random(1e9) });
    else if (kind === 1) {
      parts.push({ name: `${path}/`, type: '5', mode: 0o700 + random(64), mtime: random(1e9) });
      parts.push({ name: `${path}/inner`, data: 'inner', mtime: random(1e9) });
    } else if (kind === 2 || kind === 5) parts.push({ name: path, type: '2', linkName: `../${i}`, mtime: random(1e9) });
    else if (kind === 3) parts.push({ name: path, type: '6', mtime: random(1e9) });
    else if (kind === 6) parts.push({ name: `${parent}.wh.${name}` });
    else if (victim?.directory) {
      parts.push({ name: `${path}/`, type: '5', mode: 0o711, mtime: random(1e9) }, { name: `${path}/.wh..wh..opq` });
      parts.push({ name: `${path}/new`, data: 'new', mtime: random(1e9) });
    }
  }
  return archive(...parts.map((part) => member({ ...part })));
}

onEveryKernel('a layer whose root is opaque hides all below', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const below = await b.ingest(archive({ name: 'below', data: 'x' }));
  const opaque = await b.ingest(archive({ name: '.wh..wh..opq' }, { name: 'middle', data: 'x' }));
  const above = await b.ingest(archive({ name: 'above', data: 'x' }));
  const lease = b.mounts.acquire([below, opaque, above]);
  t.strictSame(
    lease.descriptors.map((fd) => readdirSync(`/proc/self/fd/${fd}`)),
    [['middle'], ['above']],
  );
  lease.release();
});

onEveryKernel('a layer that an image holds several times', { skip: noOverlay }, async (t, { support }) => {
  const b = bench(t, support);
  const repeated = await b.ingest(archive({ name: 'a', data: 'repeated' }, { name: '.wh.b' }));
  const between = await b.ingest(archive({ name: '.wh.a' }, { name: 'b', data: 'between' }, { name: 'c', data: 'c' }));
  const lease = b.mounts.acquire([repeated, between, repeated]);
  t.equal(lease.descriptors.length, 2);
  const script = `mount -t overlay overlay -o lowerdir=/proc/self/fd/4:/proc/self/fd/3 "$1" && cd "$1" && ls && cat a`;
  const { stdout } = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', b.make('merged')], {
    stdio: ['ignore', 'pipe', 'inherit', ...lease.descriptors],
    encoding: 'utf8',
  });
  t.equal(stdout, 'a\nc\nrepeated');
  lease.release();
});

onEveryKernel('leases', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const one = await b.ingest(archive({ name: 'one', data: '1' }));
  const two = await b.ingest(archive({ name: 'two', data: '2' }));
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  const first = b.mounts.acquire([one, two]);
  const second = b.mounts.acquire([two]);
  const device = (descriptor: number | undefined): number => fstatSync(descriptor as number).dev;
  t.equal(device(first.descriptors[1]), device(second.descriptors[0]), 'a layer is mounted once');
  t.equal(descriptors(), before + 2 + (support.detachedLayers ? 0 : 3), 'or several times from one superblock');
  const firstDevice = device(first.descriptors[0]);
  first.release();
  first.release();
  const third = b.mounts.acquire([one]);
  t.equal(device(third.descriptors[0]), firstDevice, 'it stays mounted for a while');
  third.release();
  await b.store.remove(two);
  t.equal(
    readFileSync(`/proc/self/fd/${second.descriptors[0]}/two`, 'utf8'),
    '2',
    'a removed layer stays readable while leased',
  );
  second.release();
  t.equal(descriptors(), before + 1, 'and is closed with the last lease');
  t.throws(() => b.mounts.acquire([one, two]), { name: 'TsdError', code: 'not_found' });
  const mountTable = readFileSync('/proc/self/mountinfo', 'utf8');
  t.notMatch(mountTable, b.directory, 'nothing is in the mount table');
  b.mounts.close();
  t.equal(descriptors(), before);
});

onEveryKernel('idle mounts are bounded', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 80; i++) b.mounts.acquire([await b.ingest(archive({ name: `f${i}` }))]).release();
  t.equal(readdirSync('/proc/self/fd').length, before + 64);
});

onEveryKernel('an image cannot harm the host through its mount', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const shell = readFileSync('/bin/true');
  const lease = b.mounts.acquire([
    await b.ingest(
      archive(
        { name: 'suid', mode: 0o4755, data: shell },
        { name: 'null', type: '3', major: 1, minor: 3, mode: 0o666 },
      ),
    ),
  ]);
  const root = `/proc/self/fd/${lease.descriptors[0]}`;
  t.throws(() => readFileSync(`${root}/null`), { code: 'EACCES' }, 'devices cannot be opened');
  const { error } = spawnSync('/proc/self/fd/3/suid', {
    stdio: ['ignore', 'ignore', 'ignore', lease.descriptors[0] as number],
  });
  t.match(error, { code: 'EACCES' }, 'programs cannot be run');
  t.throws(() => writeFileSync(`${root}/new`, 'x'), { code: 'EROFS' }, 'nothing can be written');
  lease.release();
});

onEveryKernel('reading files as the container would', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const bottom = await b.ingest(
    archive(
      { name: 'etc/passwd', data: 'bottom' },
      { name: 'etc/group', data: 'group' },
      { name: 'gone/file', data: 'x' },
      { name: 'opaque/file', data: 'x' },
      { name: 'opaque/sub/file', data: 'x' },
      { name: 'replaced', data: 'x' },
      { name: 'lib', type: '2', linkName: 'usr/lib' },
      { name: 'usr/lib/os-release', data: 'os' },
      { name: 'big', data: 'x'.repeat(2000) },
      { name: 'caf\xe9/\xff', data: 'bytes' },
    ),
  );
  const top = await b.ingest(
    archive(
      { name: 'etc/passwd', data: 'top' },
      { name: '.wh.gone' },
      { name: 'opaque/.wh..wh..opq' },
      { name: 'opaque/new', data: 'new' },
      { name: 'replaced/file', data: 'now a directory' },
      { name: 'loop', type: '2', linkName: 'loop' },
      { name: 'out', type: '2', linkName: '../../../../../etc/passwd' },
      { name: 'absolute', type: '2', linkName: '/lib/os-release' },
      { name: 'chain0', data: 'end' },
      ...Array.from(
        { length: 9 },
        (_, i): TarMember => ({ name: `chain${i + 1}`, type: '2', linkName: `./chain${i}` }),
      ),
      { name: 'proc-link', type: '2', linkName: '/proc/self/environ' },
      { name: 'device', type: '3', major: 1, minor: 5 },
      { name: 'pipe', type: '6' },
    ),
  );
  const lease = b.mounts.acquire([bottom, top]);
  const upper = b.make('upper');
  const read = (path: string, upperPath: string | null = null, maxBytes = 1000): string | null =>
    readFileInLayers({ upperPath, layerDescriptors: lease.descriptors, path, maxBytes })?.toString() ?? null;
  t.equal(read('etc/passwd'), 'top');
  t.equal(read('/etc/../etc/./group'), 'group');
  t.equal(read('gone/file'), null, 'whiteout');
  t.equal(read('opaque/file'), null);
  t.equal(read('opaque/sub/file'), null);
  t.equal(read('opaque/new'), 'new');
  t.equal(read('replaced'), null);
  t.equal(read('replaced/file'), 'now a directory');
  t.equal(read('lib/os-release'), 'os');
  t.equal(read('absolute'), 'os');
  t.equal(read('out'), 'top', 'a link out of the root ends at the root');
  t.equal(read('loop'), null);
  t.equal(read('chain8'), 'end');
  t.equal(read('chain9'), null, 'more than 8 links');
  t.equal(read('proc-link'), null);
  t.equal(read('device'), null);
  t.equal(read('pipe'), null, 'without waiting');
  t.equal(read('etc'), null);
  t.equal(read('etc/passwd/x'), null);
  t.equal(read('etc/passwd/'), null);
  t.equal(read('missing'), null);
  t.equal(read(`${'x/'.repeat(3000)}y`), null);
  t.throws(() => read('big'), { name: 'TsdError', code: 'bad_parameter' });
  t.equal(read('etc/passwd', join(b.directory, 'no-such-directory')), 'top', 'no upper directory yet');

  mkdirSync(join(upper, 'etc'));
  writeFileSync(join(upper, 'etc/passwd'), 'upper');
  execFileSync('mknod', [join(upper, 'etc/group'), 'c', '0', '0']);
  execFileSync('ln', ['-s', '/etc/shadow', join(upper, 'shadow')]);
  execFileSync('ln', ['-s', '/', join(upper, 'root')]);
  t.equal(read('etc/passwd', upper), 'upper');
  t.equal(read('etc/group', upper), null);
  t.equal(read('shadow', upper), null, "never the host's file");
  t.equal(read('root/etc/passwd', upper), 'upper');
  lease.release();
});

/** They go with the last mount, but a moment later. */
async function loopDevicesReleased(directory: string): Promise<void> {
  const attached = (): string => execFileSync('losetup', ['-a'], { encoding: 'utf8' });
  await eventually(() => !attached().includes(directory), { what: 'loop devices released' });
}

onEveryKernel(
  'a data root on tmpfs, which cannot be mounted from directly',
  { skip: notRoot },
  async (t, { support }) => {
    const b = bench(t, support);
    const directory = b.make('tmpfs');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tsd-test', directory]);
    t.teardown(() => execFileSync('umount', [directory]));
    const { store, mounts } = openLayers(directory, support);
    const data = Buffer.alloc(300_001, 'content');
    const { diffId } = await store.ingest(once(archive({ name: 'f', data })));
    const lease = mounts.acquire([diffId]);
    t.ok(readFileSync(`/proc/self/fd/${lease.descriptors[0]}/f`).equals(data), 'through loop devices');
    lease.release();
    mounts.close();
    await loopDevicesReleased(directory);

    const large = archive({ name: 'large', data: Buffer.alloc(12_000_000, 'x') });
    for (const bytes of [large, gzipSync(large)])
      await t.rejects(store.ingest(once(bytes)), { name: 'TsdError', code: 'insufficient_storage' }, 'a full disk');
    t.strictSame(readdirSync(join(directory, 'tmp')), [], 'nothing is left');
    t.strictSame(await store.list(), [diffId]);
    await store.close();
  },
);

onEveryKernel(
  'a disk with sectors of 4 KiB, where direct I/O on 512-byte blocks fails',
  { skip: notRoot },
  async (t, { support }) => {
    const b = bench(t, support);
    const disk = join(b.directory, 'disk');
    writeFileSync(disk, '');
    truncateSync(disk, 64 * 1024 * 1024);
    const device = execFileSync('losetup', ['--find', '--show', '--sector-size', '4096', disk], {
      encoding: 'utf8',
    }).trim();
    t.teardown(() => execFileSync('losetup', ['--detach', device]));
    execFileSync('mke2fs', ['-q', '-t', 'ext4', device]);
    const directory = b.make('4k');
    execFileSync('mount', [device, directory]);
    t.teardown(() => execFileSync('umount', [directory]));
    const { store, mounts } = openLayers(directory, support);
    const data = Buffer.alloc(300_001, 'content');
    const { diffId } = await store.ingest(once(archive({ name: 'a' }, { name: 'f', data })));
    const lease = mounts.acquire([diffId]);
    t.ok(readFileSync(`/proc/self/fd/${lease.descriptors[0]}/f`).equals(data));
    mounts.close();
    await loopDevicesReleased(directory);
    await store.close();
  },
);

onEveryKernel('a damaged image is refused with the reason', { skip: notRoot }, async (t, { support }) => {
  const b = bench(t, support);
  const diffId = await b.ingest(archive({ name: 'f' }));
  writeFileSync(b.store.files(diffId).erofsPath, Buffer.alloc(4096));
  t.throws(() => b.mounts.acquire([diffId]), {
    name: 'TsdError',
    code: 'unavailable',
    message: /cannot mount layer sha256/,
  });
});

onEveryKernel(
  'what an image grants its programs holds inside a container',
  { skip: notRoot },
  async (t, { support, version }) => {
    const b = bench(t, support);
    const busybox = readFileSync('/bin/busybox');
    // cap_dac_override, effective and permitted, version 2: without a user namespace's id, as every image has it.
    const capability = Buffer.from('0100000202000000000000000000000000000000', 'hex').toString('latin1');
    const layer = archive(
      { name: 'secret', mode: 0o600, data: 'secret' },
      { name: 'plain/cat', mode: 0o755, data: busybox },
      pax([['SCHILY.xattr.security.capability', capability]]),
      { name: 'capable/cat', mode: 0o755, data: busybox },
      { name: 'setuid/id', mode: 0o4755, data: busybox },
      { name: 'mine', mode: 0o644, uid: 1000, gid: 1000 },
      { name: 'null', type: '3', major: 1, minor: 3, mode: 0o666 },
    );
    const image = join(b.directory, 'image.tar');
    writeFileSync(image, dockerArchive({ tags: ['capable:latest'], layers: [busyboxLayer(), layer] }));
    const daemon = await startDaemon({ args: ['--assume-kernel', version] });
    t.teardown(() => daemon.remove());
    await daemon.load(image);
    const run = (...args: string[]): Promise<CommandResult> =>
      daemon.docker('run', '--rm', '--network', 'none', ...args);
    t.match(await run('--user', '1000', 'capable', '/capable/cat', '/secret'), { code: 0, stdout: 'secret' });
    t.match(await run('--user', '1000', 'capable', '/plain/cat', '/secret'), { code: 1 }, 'without the attribute');
    t.match(await run('--user', '1000', '--cap-drop', 'ALL', 'capable', '/plain/cat', '/secret'), { code: 1 });
    t.match(await run('--user', '1000', 'capable', 'sh', '-c', 'stat -c %u:%g /secret /mine'), {
      stdout: '0:0\n1000:1000\n',
    });
    t.match(
      await run('--user', '1000', 'capable', 'sh', '-c', 'cat </null'),
      { stderr: /Permission denied/ },
      'a device of the image',
    );
  },
);
