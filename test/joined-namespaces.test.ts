/** `--pid container:…` and `--ipc container:…`: what is shared, what is not, and what becomes of the range of ids. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { repository } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { namespaceOf } from './support/host-process.ts';
import { readPosture } from './support/posture.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

const probe = join(repository, 'build/ipc-probe');
mkdirSync(dirname(probe), { recursive: true });
execFileSync('gcc', [
  '-O2',
  '-Wall',
  '-Wextra',
  '-static',
  '-o',
  probe,
  join(import.meta.dirname, 'support/ipc-probe.c'),
]);
const WITH_PROBE = ['--network', 'none', '-v', `${probe}:/bin/ipc-probe:ro`];

const run = (...args: string[]): Promise<string> => tsdctl.output('run', '--network', 'none', ...args);
const shell = (flags: readonly string[], script: string): Promise<string> =>
  run('--rm', ...flags, 'busybox', 'sh', '-c', script);
const sleeper = (name: string, ...flags: string[]): Promise<string> =>
  run('-d', '--name', name, ...flags, 'busybox', 'sleep', '1000');
const pidOf = async (name: string): Promise<number> => (await daemon.inspect(name)).State.Pid;
/** Until it has said `ready`. */
const readiness = (name: string): Promise<unknown> =>
  eventually(async () => (await tsdctl.output('logs', name)).includes('ready'), { what: `${name} is ready` });

t.test('--pid: sees the other’s processes, signals them, and nothing else is shared', async (t) => {
  await sleeper('target');
  await run('-d', '--name', 'peer', '--pid', 'container:target', 'busybox', 'sleep', '2000');
  const [target, peer] = [await pidOf('target'), await pidOf('peer')];
  for (const namespace of ['pid', 'user'] as const)
    t.equal(namespaceOf(peer, namespace), namespaceOf(target, namespace), namespace);
  for (const namespace of ['mnt', 'net', 'uts', 'ipc', 'cgroup'] as const) {
    t.not(namespaceOf(peer, namespace), namespaceOf(target, namespace), namespace);
    t.not(namespaceOf(peer, namespace), namespaceOf('self', namespace), `${namespace} is not the host’s`);
  }
  t.same(readPosture(peer, daemon.dataRoot), readPosture(target, daemon.dataRoot), 'the posture is the same');
  const listed = await shell(
    ['--pid', 'container:target'],
    'ps -o pid,args; readlink /proc/1/exe; touch /mine; stat -c %u /mine',
  );
  t.match(listed, /^ +1 sleep 1000$/m);
  t.match(listed, /^ +\d+ sleep 2000$/m);
  t.match(listed, /\n\/bin\/(busybox|sleep)\n0$/, 'the other’s processes are as its own');
  await shell(['--pid', 'container:target'], 'kill -9 $(pidof sleep | tr " " "\\n" | grep -v "^1$")');
  t.equal((await tsdctl.output('wait', 'peer')).trim(), '137');
  t.ok((await daemon.inspect('target')).State.Running);
  t.match(await shell(['--pid', 'container:target', '--init'], 'echo $$'), /^(?!1$)\d+$/, 'another is pid 1');

  // Privileged, as for debugging: root of the host in the other's namespace.
  const seen = await shell(['--privileged', '--pid', 'container:target'], 'ps -o pid,args; cat /proc/self/uid_map');
  t.match(seen, /^ +1 sleep 1000$/m);
  t.match(seen, /^ +0 +0 +4294967295$/m);

  // Root may have more in its own namespaces, and has nothing in the other's.
  t.equal(
    await shell(['--pid', 'container:target', '--cap-add', 'NET_ADMIN'], 'ip link set lo down && echo down'),
    'down',
  );
  await tsdctl('rm', '-f', 'peer', 'target');
});

t.test('--pid: ends with the other, starts with it again, and leaves nothing running by itself', async (t) => {
  await sleeper('target');
  await run(
    '-d',
    '--name',
    'peer',
    '--pid',
    'container:target',
    'busybox',
    'sh',
    '-c',
    'echo $(id -u) >>/runs; sleep 1000 & wait',
  );
  const background = await run(
    '--rm',
    '--pid',
    'container:target',
    'busybox',
    'sh',
    '-c',
    'sleep 3000 >/dev/null 2>&1 & echo $!',
  );
  t.equal(
    await shell(['--pid', 'container:target'], `grep State: /proc/${background}/status`),
    'State:\tZ (zombie)',
    'what a container leaves is ended with it; the other’s pid 1 may reap it',
  );
  await tsdctl('stop', '-t', '0', 'target');
  t.equal((await tsdctl.output('wait', 'peer')).trim(), '137');
  const refused = await tsdctl('start', 'peer');
  t.match(refused, { code: 1, stderr: /container [0-9a-f]{64} is not running/ });
  t.equal((await daemon.inspect('peer')).State.ExitCode, 128);
  await tsdctl.output('start', 'target');
  await tsdctl.output('start', 'peer');
  t.ok((await daemon.inspect('peer')).State.Running);

  const { Id } = await daemon.inspect('target');
  t.equal((await tsdctl.output('inspect', '--format', '{{.HostConfig.PidMode}}', 'peer')).trim(), `container:${Id}`);
  await tsdctl('rm', '-f', 'target');
  await tsdctl('wait', 'peer');
  // The range is still the peer's: nobody else gets it, and its files are read as its own.
  const others = [await sleeper('one'), await sleeper('two')];
  t.match(await tsdctl.output('diff', 'peer'), 'A /runs');
  await tsdctl.output('commit', 'peer', 'of-peer');
  t.equal(await run('--rm', 'of-peer', 'stat', '-c', '%u', '/runs'), '0');
  t.match((await tsdctl('start', 'peer')).stderr, 'No such container');
  await tsdctl('rm', '-f', 'peer', ...others);
});

t.test('--ipc: System V segments, queues and /dev/shm', async (t) => {
  await run(
    '-d',
    '--name',
    'donor',
    '--ipc',
    'shareable',
    '--shm-size',
    '1m',
    ...WITH_PROBE.slice(2),
    'busybox',
    'sh',
    '-c',
    'ipc-probe put 77 hello && echo posix >/dev/shm/segment && echo ready && exec sleep 1000',
  );
  await readiness('donor');
  const script =
    'ipc-probe get 77; cat /dev/shm/segment; echo back >/dev/shm/reply; df -k /dev/shm | tail -1; mount | grep "on /dev/shm"; ls -ld /dev/shm; pidof sleep || echo alone';
  const lines = (await shell(['--ipc', 'container:donor', ...WITH_PROBE.slice(2)], script)).split('\n');
  t.same(lines.slice(0, 2), ['hello', 'posix']);
  t.match(lines[2], /^shm +1024 /);
  t.match(lines[3], /^shm on \/dev\/shm type tmpfs \(rw,nosuid,nodev,noexec,/);
  t.match(lines[4], /^drwxrwxrwt +2 root +root /);
  t.equal(lines[5], 'alone', 'the processes are not shared');
  await run('-d', '--name', 'peer', '--ipc', 'container:donor', 'busybox', 'sleep', '1000');
  const [donor, peer] = [await pidOf('donor'), await pidOf('peer')];
  for (const namespace of ['ipc', 'user'] as const)
    t.equal(namespaceOf(peer, namespace), namespaceOf(donor, namespace), namespace);
  for (const namespace of ['mnt', 'net', 'uts', 'pid', 'cgroup'] as const)
    t.not(namespaceOf(peer, namespace), namespaceOf(donor, namespace), namespace);
  const posture = readPosture(peer, daemon.dataRoot);
  await sleeper('plain');
  const plain = readPosture(await pidOf('plain'), daemon.dataRoot);
  const other = (mounts: readonly string[]) => mounts.filter((mount) => !mount.startsWith('/dev/shm '));
  t.same(
    { ...posture, mounts: other(posture.mounts) },
    { ...plain, mounts: other(plain.mounts) },
    'the posture is the default',
  );
  t.equal(
    await shell(['--pid', 'container:donor', '--ipc', 'container:donor'], 'cat /dev/shm/reply; pidof sleep'),
    'back\n1',
  );
  t.equal(await shell(['--ipc', 'container:peer'], 'cat /dev/shm/reply'), 'back', 'from who joined it too');
  t.equal(
    await shell(
      ['--userns', 'host', '--ipc', 'container:donor', ...WITH_PROBE.slice(2)],
      'ipc-probe get 77; cat /dev/shm/reply',
    ),
    'hello\nback',
  );

  // The donor may be gone: its namespace lives on in who joined it.
  await tsdctl('rm', '-f', 'donor');
  t.equal(await shell(['--ipc', 'container:peer'], 'cat /dev/shm/reply'), 'back');
  await tsdctl('rm', '-f', 'peer', 'plain');
});

t.test('a donor cannot lead who joins it to the host’s files', async (t) => {
  // Root with CAP_SYS_ADMIN puts a symbolic link where /dev/shm was.
  await run(
    '-d',
    '--name',
    'donor',
    '--ipc',
    'shareable',
    '--cap-add',
    'SYS_ADMIN',
    '--security-opt',
    'seccomp=unconfined',
    'busybox',
    'sh',
    '-c',
    'umount -l /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm && touch /etc/of-donor && echo ready && exec sleep 1000',
  );
  await readiness('donor');
  const listed = await tsdctl(
    'run',
    '--rm',
    '--network',
    'none',
    '--ipc',
    'container:donor',
    'busybox',
    'ls',
    '/dev/shm',
  );
  t.notMatch(listed.stdout, /shadow|debian_version/);
  if (listed.code === 0) t.match(listed.stdout, 'of-donor', 'its own files it may give');
  await tsdctl('rm', '-f', 'donor');
});

t.test('what cannot be joined', async (t) => {
  await sleeper('private');
  await sleeper('none', '--ipc', 'none');
  await sleeper('on-host', '--userns', 'host', '--ipc', 'shareable');
  await sleeper('of-host', '--pid', 'host', '--ipc', 'host');
  await sleeper('other', '--ipc', 'shareable');
  const refuse = async (message: RegExp, ...flags: string[]) => {
    const result = await tsdctl('run', '--rm', '--network', 'none', ...flags, 'busybox', 'true');
    t.match(result, { code: 125, stderr: message }, flags.join(' '));
  };
  await refuse(/No such container: nosuch/, '--pid', 'container:nosuch');
  await refuse(/No such container: nosuch/, '--ipc', 'container:nosuch');
  const nonShareable =
    /can't join IPC of container [0-9a-f]{64}: non-shareable IPC \(hint: use IpcMode:shareable for the donor container\)/;
  await refuse(nonShareable, '--ipc', 'container:private');
  await refuse(nonShareable, '--ipc', 'container:none');
  await refuse(/which has the host's user ids: use --userns=host too/, '--pid', 'container:on-host');
  await refuse(/in different user namespaces/, '--pid', 'container:private', '--ipc', 'container:other');
  t.match(await shell(['--userns', 'host', '--pid', 'container:on-host'], 'ps -o pid,args'), / 1 sleep 1000/);
  t.match(
    await shell(['--userns', 'host', '--pid', 'container:private', '--ipc', 'container:other'], 'ps -o pid,args'),
    / 1 sleep 1000/,
  );
  await tsdctl.output(
    'create',
    '--name',
    'like-host',
    '--pid',
    'container:of-host',
    '--ipc',
    'container:of-host',
    'busybox',
  );
  t.equal(
    (await tsdctl.output('inspect', '--format', '{{.HostConfig.PidMode}} {{.HostConfig.IpcMode}}', 'like-host')).trim(),
    'host host',
  );
  await tsdctl('stop', '-t', '0', 'other');
  await refuse(
    /can't join IPC of container [0-9a-f]{64}: container [0-9a-f]{64} is not running/,
    '--ipc',
    'container:other',
  );
  await refuse(/container [0-9a-f]{64} is not running/, '--pid', 'container:other');
  await tsdctl('rm', '-f', 'private', 'none', 'on-host', 'of-host', 'other', 'like-host');
});

t.test('the daemon is killed meanwhile', async (t) => {
  await sleeper('target', '--ipc', 'shareable');
  await sleeper('peer', '--pid', 'container:target', '--ipc', 'container:target');
  await daemon.crash();
  await daemon.start();
  t.ok((await daemon.inspect('peer')).State.Running);
  await tsdctl('rm', '-f', 'target');
  t.equal((await tsdctl.output('wait', 'peer')).trim(), '137');
  await daemon.crash();
  await daemon.start();
  // The range is in use still: a new container gets another.
  await sleeper('new');
  const ids = await shell(['--pid', 'container:new'], 'cat /proc/self/uid_map');
  await tsdctl('rm', '-f', 'new');
  t.match(ids, /^ +0 +\d+ +65536$/);
  t.match(await tsdctl.output('diff', 'peer'), /^$/);
  await tsdctl('rm', 'peer');
});
