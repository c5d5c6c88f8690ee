/** `tsdctl run` of a busybox container: what it sees, what the host sees, and its exit code. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { readCgroupFile, readStatus, sharedNamespaces } from './support/host-process.ts';

const MEMORY_BYTES = 104_857_600;

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

t.test('a container sees itself alone, as root of its own namespaces', async (t) => {
  const script = 'hostname; id; ps; cat /proc/self/uid_map; cat /proc/self/limits';
  const args = ['run', '--rm', '--memory', '100M', '--network', 'none', 'busybox', 'sh', '-c', script];
  const { code, stdout, stderr } = await tsdctl(...args);
  t.equal(code, 0, stderr);
  t.equal(stderr, '');
  const lines = stdout.split('\n');
  t.match(lines[0], /^[0-9a-f]{12}$/, 'the hostname is the short id');
  t.match(lines[1], /^uid=0\(root\) gid=0\(root\)/);
  const processes = lines.slice(
    3,
    lines.findIndex((line) => /^\s+0\s+\d+\s+\d+$/.test(line)),
  );
  t.equal(processes.length, 2, 'ps shows sh and ps');
  t.match(processes[0], /^\s+1 (root|0)\s+.* sh -c /);
  const map =
    lines
      .find((line) => /^\s+0\s+\d+\s+\d+$/.test(line))
      ?.trim()
      .split(/\s+/) ?? [];
  t.ok(Number(map[1]) >= 100_000, `container root is host uid ${map[1]}`);
  t.equal(map[2], '65536');
  t.match(stdout, /^Max open files\s+/m);
});

t.test('the host sees the limit in the cgroup and an unprivileged uid', async (t) => {
  const id = await tsdctl.output('run', '-d', '--memory', '100M', '--network', 'none', 'busybox', 'sleep', '1000');
  t.match(id, /^[0-9a-f]{64}$/);
  const { State } = await daemon.inspect(id);
  t.equal(State.Status, 'running');
  t.equal(readCgroupFile(State.Pid, 'memory', 'memory.limit_in_bytes', 'memory.max'), String(MEMORY_BYTES));
  const [uid] = readStatus(State.Pid).get('Uid')?.split('\t') ?? [];
  t.ok(Number(uid) >= 100_000, `uid ${uid} on the host`);
  t.same(sharedNamespaces(State.Pid), [], 'no namespace of the host');
  t.equal((await tsdctl('rm', '-f', id)).code, 0);
});

t.test('what is mounted for a container it may unmount at once', async (t) => {
  for (let round = 0; round < 5; round += 1) {
    const args = ['run', '--rm', '--privileged', '--network', 'none', 'busybox', 'umount', '/dev/shm', '/dev/mqueue'];
    const { code, stderr } = await tsdctl(...args);
    t.equal(code, 0, stderr);
  }
});

t.test('two containers have different id ranges', async (t) => {
  const map = (): Promise<string> =>
    tsdctl.output('run', '--rm', '--network', 'none', 'busybox', 'cat', '/proc/self/uid_map');
  const first = await tsdctl.output('run', '-d', '--network', 'none', 'busybox', 'sleep', '1000');
  const { State } = await daemon.inspect(first);
  t.not(readFileSync(`/proc/${State.Pid}/uid_map`, 'utf8').trim(), (await map()).trim());
  await tsdctl('rm', '-f', first);
});

t.test('stdout, stderr and stdin are separate and complete', async (t) => {
  const both = await tsdctl('run', '--rm', '--network', 'none', 'busybox', 'sh', '-c', 'echo out; echo err >&2');
  t.same([both.stdout, both.stderr, both.code], ['out\n', 'err\n', 0]);
  const input = 'x'.repeat(300_000);
  const piped = await tsdctl.with({ input }, 'run', '--rm', '-i', '--network', 'none', 'busybox', 'wc', '-c');
  t.equal(piped.stdout.trim(), '300000');
});

for (const [name, args, code, text] of [
  ['the exit code is the container’s', ['sh', '-c', 'exit 42'], 42, ''],
  ['a command that is missing is 127', ['no-such-command'], 127, 'executable file not found in $PATH'],
  ['a command that cannot be executed is 126', ['/etc/passwd'], 126, 'permission denied'],
  ['a command that kills itself is 128 + n', ['sh', '-c', 'kill -TERM $$; sleep 5'], 143, ''],
] as const) {
  t.test(name, async (t) => {
    // A signal that pid 1 does not handle is ignored: run the shell below an init.
    const init = code === 143 ? ['--init'] : [];
    const result = await tsdctl('run', '--rm', ...init, '--network', 'none', 'busybox', ...args);
    t.equal(result.code, code, result.stderr);
    t.match(result.stderr, text);
  });
}

t.test('an image that is missing is 125', async (t) => {
  const result = await tsdctl('run', '--rm', '--network', 'none', '--pull', 'never', 'no-such-image:tag', 'true');
  t.equal(result.code, 125, result.stderr);
  t.match(result.stderr, /no such image/i);
});

t.test('the files that tsd writes are there', async (t) => {
  const script = 'cat /etc/hostname; hostname; cat /etc/hosts; mount | grep " on / "';
  const out = await tsdctl.output('run', '--rm', '--network', 'none', '-h', 'box', 'busybox', 'sh', '-c', script);
  const lines = out.split('\n');
  t.same(lines.slice(0, 2), ['box', 'box']);
  t.match(out, /^127\.0\.0\.1\s+localhost$/m);
  t.match(out, /^overlay on \/ type overlay \(rw,/m);
});

t.test('volumes, tmpfs, environment, user and working directory', async (t) => {
  const args = [
    '-v',
    `${daemon.directory}:/host:ro`,
    '--tmpfs',
    '/scratch:size=1m',
    '-e',
    'A=b',
    '-u',
    '33:33',
    '-w',
    '/tmp',
  ];
  const script = 'echo $A $(id -u):$(id -g) $(pwd); touch /host/x 2>&1; df -k /scratch | tail -1';
  const out = await tsdctl.output('run', '--rm', '--network', 'none', ...args, 'busybox', 'sh', '-c', script);
  const lines = out.split('\n');
  t.equal(lines[0], 'b 33:33 /tmp');
  t.match(lines[1], /Read-only file system/);
  t.match(lines[2], /^tmpfs\s+1024\s/);
});

t.test('/.dockerenv and /etc/mtab are there, are no changes, and are the image’s where it has them', async (t) => {
  const script = 'stat -c "%n %F %a %u:%g %s" /.dockerenv; readlink /etc/mtab; grep -c " / overlay " /etc/mtab';
  const command = ['--name', 'marks', '--network', 'none', 'busybox', 'sh', '-c', script];
  const expected = '/.dockerenv regular empty file 755 0:0 0\n/proc/mounts\n1';
  t.equal(await tsdctl.output('run', ...command), expected);
  t.equal(await tsdctl.output('start', '-a', 'marks'), expected);
  t.equal(await tsdctl.output('diff', 'marks'), '');
  await tsdctl.output('commit', 'marks', 'of-marks');
  const history = await tsdctl.output('history', '--format', '{{.Size}}', 'of-marks');
  t.equal(history.split('\n')[0], '0B', 'nothing was committed');
  const own = ['run', '--name', 'own-marks', '--network', 'none', 'busybox', 'sh', '-c'];
  await tsdctl.output(
    ...own,
    'rm /.dockerenv /etc/mtab; echo own >/.dockerenv; echo own >/etc/mtab; chmod 600 /etc/mtab',
  );
  t.equal(await tsdctl.output('diff', 'own-marks'), 'C /.dockerenv\nC /etc\nC /etc/mtab');
  await tsdctl.output('commit', 'own-marks', 'own-marks');
  t.equal(
    await tsdctl.output(
      'run',
      '--rm',
      '--network',
      'none',
      'own-marks',
      'sh',
      '-c',
      'cat /.dockerenv /etc/mtab; stat -c %a /etc/mtab',
    ),
    'own\nown\n600',
  );
  await tsdctl('rm', 'marks', 'own-marks');
  await tsdctl('rmi', 'of-marks', 'own-marks');
});

t.test('a tmpfs has the mode of the directory that it covers, at a restart too', async (t) => {
  const flags = ['--tmpfs', '/root', '--tmpfs', '/new/deep', '--mount', 'type=tmpfs,dst=/tmp'];
  const script = 'stat -c "%n %a %u:%g" /root /new /new/deep /tmp';
  const command = ['--name', 'tmpfs', '--network', 'none', ...flags, 'busybox', 'sh', '-c', script];
  const expected = '/root 700 0:0\n/new 755 0:0\n/new/deep 1777 0:0\n/tmp 1777 0:0';
  t.equal(await tsdctl.output('run', ...command), expected);
  t.equal(await tsdctl.output('start', '-a', 'tmpfs'), expected);
  await tsdctl('rm', 'tmpfs');
});

t.test('a bind mount belongs to the container’s root as it belongs to the host’s', async (t) => {
  const script = 'stat -c %u /host && echo data > /host/made && stat -c %u /host/made';
  const volume = `${daemon.directory}/volume`;
  const out = await tsdctl.output(
    'run',
    '--rm',
    '--network',
    'none',
    '-v',
    `${volume}:/host`,
    'busybox',
    'sh',
    '-c',
    script,
  );
  t.equal(out, '0\n0');
  t.equal(readFileSync(`${volume}/made`, 'utf8'), 'data\n');
});

t.test('the event loop goes before others, and containers do not inherit that', async (t) => {
  /** proc_pid_stat(5): niceness is the 19th field. */
  const niceness = (stat: string): string | undefined => stat.split(' ')[18];
  t.equal(niceness(readFileSync(`/proc/${daemon.pid}/stat`, 'latin1').replace(/\(.*\)/, 'name')), '-10');
  const cat = ['run', '--rm', '--network', 'none', 'busybox', 'cat', '/proc/self/stat'];
  t.equal(niceness(await tsdctl.output(...cat)), '0');
});
