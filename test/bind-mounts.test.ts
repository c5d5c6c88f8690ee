/** Bind mounts in a user namespace: whose their files are, with other file systems beneath them, and what is said of those that cannot. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

const source = join(daemon.directory, 'source');
mkdirSync(join(source, 'proc'), { recursive: true });
mkdirSync(join(source, 'tmpfs'));
writeFileSync(join(source, 'file'), 'top', { mode: 0o600 });
const mounted: string[] = [];
const mount = (...args: string[]): void => {
  execFileSync('mount', args);
  mounted.unshift(args.at(-1) ?? '');
};
mount('-t', 'proc', 'tsd-test', join(source, 'proc'));
mount('-t', 'tmpfs', '-o', 'size=1m', 'tsd-test', join(source, 'tmpfs'));
mkdirSync(join(source, 'tmpfs/sysfs'));
writeFileSync(join(source, 'tmpfs/file'), 'beneath', { mode: 0o600 });
mount('-t', 'sysfs', '-o', 'ro', 'tsd-test', join(source, 'tmpfs/sysfs'));
t.teardown(() => {
  for (const path of mounted) execFileSync('umount', [path]);
});

const run = (volume: string, script: string, ...flags: string[]) =>
  tsdctl('run', '--rm', '--network', 'none', ...flags, '-v', volume, 'busybox', 'sh', '-c', script);

t.test('each mount by itself: one that cannot be mapped does not take the others along', async (t) => {
  const script = `cd /host; stat -c "%n %u:%g" . file tmpfs tmpfs/file tmpfs/sysfs/kernel; cat file tmpfs/file; echo
    test -e proc/version && test -d tmpfs/sysfs/kernel && echo there; echo new >tmpfs/new; echo changed >file`;
  const before = daemon.log().length;
  const result = await run(`${source}:/host`, script);
  t.same(result, {
    code: 0,
    stdout: '. 0:0\nfile 0:0\ntmpfs 0:0\ntmpfs/file 0:0\ntmpfs/sysfs/kernel 65534:65534\ntopbeneath\nthere\n',
    stderr: '',
  });
  t.notMatch(daemon.log().slice(before), /something optional failed/);
  t.equal(readFileSync(join(source, 'tmpfs/new'), 'utf8'), 'new\n');
  t.equal(statSync(join(source, 'tmpfs/new')).uid, 0, 'on the host it is the host’s root’s');
  t.equal(readFileSync(join(source, 'file'), 'utf8'), 'changed\n');
});

t.test('read-only means what is beneath too; a private mount shows nothing to the host', async (t) => {
  const script =
    'cd /host; touch x 2>/dev/null || echo ro; touch tmpfs/x 2>/dev/null || echo ro; grep -c " /host" /proc/mounts';
  t.equal((await run(`${source}:/host:ro`, script)).stdout, 'ro\nro\n4\n');
  const flags = ['--mount', `type=bind,src=${source},dst=/flat,bind-nonrecursive`];
  t.equal(
    (await run(`${source}:/host:rslave`, 'grep -c " /flat" /proc/mounts; ls /flat/tmpfs', ...flags)).stdout,
    '1\n',
  );
  t.equal((await run(`${source}:/host:rshared`, 'grep -c " /host" /proc/mounts')).stdout, '4\n');
});

t.test('all of the host, read-only', async (t) => {
  const { code, stdout } = await run(
    '/:/host:ro',
    'stat -c %u /host/etc /host/etc/shadow; test -e /host/proc/version && echo there',
  );
  t.equal(code, 0);
  t.equal(stdout, '0\n0\nthere\n');
});

t.test('a mount that cannot be mapped is told of, with what can be done', async (t) => {
  const warning = /The file system of \/sys\/kernel cannot map user ids: .* Use --userns=host, or a directory/;
  for (const client of [tsdctl, daemon.docker]) {
    const result = await client(
      'run',
      '--rm',
      '--network',
      'none',
      '-v',
      '/sys/kernel:/k:ro',
      'busybox',
      'stat',
      '-c',
      '%u',
      '/k',
    );
    t.match(result, { code: 0, stdout: '65534\n', stderr: warning });
  }
  t.match(await run('/sys/kernel:/k:ro', 'stat -c %u /k', '--userns', 'host'), { stdout: '0\n', stderr: '' });
  t.match(await run('/sys/kernel:/k:ro', 'stat -c %u /k', '--privileged'), { stdout: '0\n', stderr: '' });
  t.match(await run(`${source}:/k:ro`, 'stat -c %u /k'), { stdout: '0\n', stderr: '' });
  t.match(await run(`${source}/made/at/once:/k`, 'stat -c %u /k'), { stdout: '0\n', stderr: '' });
});
