/** Containers as on the kernels before 6.15, whose ways newer kernels still have: tsd --assume-kernel. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { archive, type TarMember } from '../packages/daemon/test/tar-builder.ts';
import { KERNELS } from './layers/bench.ts';
import { type Daemon, startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxLayer, dockerArchive } from './support/images.ts';

t.setTimeout(300_000);

const OLDER = KERNELS.filter(({ support }) => !support.detachedLayers);

/** Docker's largest number of layers. */
const MANY = 127;

/** Each layer adds a file, deletes the one before, changes one, and hides what a directory had. */
function manyLayers(): Buffer[] {
  return [
    busyboxLayer(),
    ...Array.from({ length: MANY - 1 }, (_, i) => {
      const parts: TarMember[] = [
        { name: 'd/', type: '5', mode: 0o755 },
        { name: `d/added${i}`, data: `${i}`, uid: 1000 + i },
        { name: 'd/changed', data: `${i}` },
        { name: 'd/opaque/', type: '5', mode: 0o755 },
        { name: 'd/opaque/.wh..wh..opq' },
        { name: `d/opaque/in${i}`, data: 'x' },
      ];
      return archive(...parts, ...(i > 0 ? [{ name: `d/.wh.added${i - 1}` }] : []));
    }),
  ];
}

/** The daemon's own loop devices, by what they are of. */
function loopDevices(daemon: Daemon): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => {
      try {
        return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim();
      } catch {
        // Nothing is attached, or no longer.
        return '';
      }
    })
    .filter((path) => path.startsWith(daemon.dataRoot));
}

for (const { version } of OLDER) {
  t.test(`an image of ${MANY} layers, as on Linux ${version}`, async (t) => {
    const daemon = await startDaemon({ args: ['--assume-kernel', version] });
    t.teardown(() => daemon.remove());
    const image = join(daemon.directory, 'image.tar');
    writeFileSync(image, dockerArchive({ tags: ['many:latest'], layers: manyLayers() }));
    await daemon.load(image);
    const last = MANY - 2;
    const script = `cat /d/changed; ls /d /d/opaque; stat -c %u:%g /d/added${last} /d/changed;
      rm /d/changed; echo new >/d/opaque/new; ls /d /d/opaque`;
    const wanted = [
      `${last}/d:`,
      ...[`added${last}`, 'changed', 'opaque', '', '/d/opaque:', `in${last}`, `${1000 + last}:0`, '0:0'],
      ...['/d:', `added${last}`, 'opaque', '', '/d/opaque:', `in${last}`, 'new'],
    ].join('\n');
    for (const options of [[], ['--userns', 'host'], ['--privileged']])
      t.equal(
        await daemon.tsdctl.output('run', '--rm', '--network', 'none', ...options, 'many', 'sh', '-c', script),
        wanted,
        options.join(' '),
      );
  });

  t.test(`a container's life, as on Linux ${version}`, async (t) => {
    const daemon = await startDaemon({ args: ['--assume-kernel', version] });
    t.teardown(() => daemon.remove());
    await daemon.load();
    const { output } = daemon.tsdctl;
    await output(
      'run',
      '-d',
      '--name',
      'life',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      'echo kept >/kept; sleep 1000',
    );
    const { State } = await daemon.inspect('life');
    const marks = ['stat', '-c', '%n %F %a %u', '/.dockerenv', '/etc/mtab'];
    await output('run', '--name', 'marks', '--network', 'none', 'busybox', ...marks);
    const shown = '/.dockerenv regular empty file 755 0\n/etc/mtab symbolic link 777 0';
    t.equal(await output('start', '-a', 'marks'), shown, 'also at a restart');
    t.equal(await output('diff', 'marks'), '', 'they are no changes');
    t.notMatch(daemon.log(), /something optional failed/);
    await output('rm', 'marks');
    const mounts = readFileSync(`/proc/${State.Pid}/mountinfo`, 'utf8');
    t.notMatch(mounts, / - erofs /, 'the container has no layer among its mounts');
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), daemon.dataRoot, 'nor has the host');
    t.equal(loopDevices(daemon).length, version === '6.1' ? 1 : 2, 'the image, and in index mode the tar');
    await output('run', '--rm', '--network', 'none', 'busybox', 'true');
    t.equal(loopDevices(daemon).length, version === '6.1' ? 1 : 2, 'all containers share them');

    await daemon.crash();
    t.match(
      readFileSync(`/proc/${State.Pid}/root/bin/busybox`).subarray(1, 4).toString(),
      'ELF',
      'it still has its files',
    );
    await daemon.start();
    t.equal((await daemon.inspect('life')).State.Pid, State.Pid, 'it goes on without the daemon');
    await output('restart', '-t', '0', 'life');
    t.equal(await output('run', '--rm', '--network', 'none', 'busybox', 'echo', 'too'), 'too');
    await output('kill', 'life');
    await daemon.tsdctl('wait', 'life');
    await output('rm', 'life');
    await daemon.shutDown();
    await eventually(() => loopDevices(daemon).length === 0, { what: 'the loop devices are released' });
  });
}

t.test('an upper directory that cannot be mounted', { skip: OLDER.length === 0 && 'no older way' }, async (t) => {
  const daemon = await startDaemon({ args: ['--assume-kernel', '6.1'] });
  t.teardown(() => daemon.remove());
  await daemon.load();
  const { code, stderr } = await daemon.tsdctl('run', '--network', 'none', '--name', 'first', 'busybox', 'true');
  t.equal(code, 0, stderr);
  const { Id } = await daemon.inspect('first');
  const work = join(daemon.dataRoot, 'containers', Id, 'work');
  // overlayfs wants it on the upper directory's mount.
  execFileSync('mount', ['--bind', work, work]);
  t.teardown(() => execFileSync('umount', [work]));
  const failed = await daemon.tsdctl('start', '-a', 'first');
  t.not(failed.code, 0);
  t.match(failed.stderr, /new-overlay-by-path overlay by path: .*lowerdir=.*: EINVAL/, 'the error names what failed');
});

t.test('from one kernel to another', { skip: !KERNELS.some(({ version }) => version === '6.15') }, async (t) => {
  const args = ['--assume-kernel', '6.15'];
  const daemon = await startDaemon({ args });
  t.teardown(() => daemon.remove());
  await daemon.load();
  const run = (): ReturnType<Daemon['tsdctl']> =>
    daemon.tsdctl('run', '--rm', '--network', 'none', 'busybox', 'echo', 'runs');
  t.match(await run(), { code: 0, stdout: 'runs\n' });

  await daemon.shutDown();
  args[1] = '6.1';
  await daemon.start();
  const refused = await run();
  t.not(refused.code, 0);
  t.match(refused.stderr, /was stored for Linux 6\.12 or later: `tsdctl system check --repair` stores it anew/);
  const checked = await daemon.tsdctl('system', 'check', '--repair');
  t.equal(checked.code, 0, checked.stdout + checked.stderr);
  t.match(checked.stdout, /needs Linux 6\.12 or later/);
  t.match(await run(), { code: 0, stdout: 'runs\n' });

  await daemon.shutDown();
  args[1] = '6.15';
  await daemon.start();
  t.match(await run(), { code: 0, stdout: 'runs\n' }, 'the way back needs nothing');
});
