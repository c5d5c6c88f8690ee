/** The real docker client against tsd's socket: the verbs that this engine has, as a user types them. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runOnTerminal } from './support/client.ts';
import { type Daemon, startDaemon } from './support/daemon.ts';
import { dockerdMissing, startDockerd } from './support/dockerd.ts';
import { eventually } from './support/eventually.ts';
import { busyboxArchive, busyboxLayer, dockerArchive, layerTar } from './support/images.ts';

const version = spawnSync('docker', ['--version'], { encoding: 'utf8' });
if (version.status !== 0) {
  t.plan(0, 'no docker client on PATH');
  process.exit();
}

const daemon: Daemon = await startDaemon();
t.teardown(() => daemon.remove());
// No plugins, contexts or credentials of whoever runs this.
process.env['DOCKER_CONFIG'] = join(daemon.directory, 'docker-config');
mkdirSync(process.env['DOCKER_CONFIG']);
await daemon.load();
const { docker } = daemon;
const NONE = ['--network', 'none'];
const onTerminal = (input: string, ...args: string[]): ReturnType<typeof runOnTerminal> =>
  runOnTerminal('docker', ['-H', `unix://${daemon.socketPath}`, ...args], { input });

t.test('version and info', async (t) => {
  const shown = await docker.output('version', '--format', '{{.Server.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}');
  t.match(shown, /^1\.\d+ linux\/(amd64|arm64)$/);
  t.equal((await docker('version')).code, 0);
  const info = await docker('info');
  t.equal(info.code, 0, info.stderr);
  t.match(info.stdout, /Containers: 0/);
  t.match(info.stdout, /Images: 1/);
});

t.test('run in the foreground', async (t) => {
  const { code, stdout, stderr } = await docker(
    'run',
    '--rm',
    ...NONE,
    'busybox',
    'sh',
    '-c',
    'echo out; echo err >&2; exit 5',
  );
  t.same([code, stdout, stderr], [5, 'out\n', 'err\n']);
  t.equal(await docker.output('ps', '-aq'), '', '--rm removed it');
});

t.test('run -d, ps, logs, stop, start, restart, wait, rm', async (t) => {
  const script = 'trap "exit 4" TERM; echo started; while :; do sleep 0.1; done';
  const id = await docker.output('run', '-d', '--name', 'service', ...NONE, 'busybox', 'sh', '-c', script);
  t.match(id, /^[0-9a-f]{64}$/);
  const row = await docker.output('ps', '--format', '{{.ID}}|{{.Image}}|{{.Names}}|{{.State}}');
  t.equal(row, `${id.slice(0, 12)}|busybox|service|running`);
  await eventually(async () => (await docker.output('logs', 'service')) === 'started', { what: 'the log' });
  t.equal(await docker.output('stop', 'service'), 'service');
  t.equal(await docker.output('inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', 'service'), 'exited 4');
  t.match(await docker.output('ps', '-a', '--format', '{{.Status}}'), /^Exited \(4\) /);
  t.equal(await docker.output('start', 'service'), 'service');
  t.equal(await docker.output('restart', 'service'), 'service');
  const waiting = docker.output('wait', 'service');
  t.equal(await docker.output('kill', 'service'), 'service');
  t.equal(await waiting, '137');
  t.equal(await docker.output('rm', 'service'), 'service');
  t.equal((await docker('rm', 'service')).code, 1);
});

t.test('exit codes 125, 126, 127 and 137', async (t) => {
  const codes = async (...args: string[]): Promise<number> => (await docker('run', '--rm', ...NONE, ...args)).code;
  t.equal(await codes('--pull', 'never', 'missing-image'), 125);
  t.equal(await codes('busybox', '/etc/passwd'), 126);
  t.equal(await codes('busybox', 'missing-command'), 127);
  t.equal(await codes('--init', 'busybox', 'sh', '-c', 'kill -KILL $$'), 137);
});

t.test('a terminal: -it', async (t) => {
  const shown = await onTerminal(
    '',
    'run',
    '--rm',
    '-it',
    ...NONE,
    'busybox',
    'sh',
    '-c',
    'tty; test -t 0 && echo yes; exit 3',
  );
  t.equal(shown.code, 3, shown.stdout);
  t.match(shown.stdout, /\/dev\/(console|pts\/0)\r\n/);
  t.match(shown.stdout, /yes\r\n/);
});

t.test('stdin through a pipe', async (t) => {
  const input = 'line\n'.repeat(50_000);
  const { code, stdout } = await docker.with({ input }, 'run', '--rm', '-i', ...NONE, 'busybox', 'cat');
  t.equal(code, 0);
  t.equal(stdout.length, input.length);
});

t.test('create, start -a, attach', async (t) => {
  const id = await docker.output('create', '-i', ...NONE, 'busybox', 'sh', '-c', 'read line; echo got $line');
  t.equal(await docker.output('inspect', '-f', '{{.State.Status}}', id), 'created');
  const { code, stdout } = await docker.with({ input: 'this\n' }, 'start', '-ai', id);
  t.same([code, stdout], [0, 'got this\n']);
  await docker('rm', id);
});

t.test('logs -f, --tail, --since, -t', async (t) => {
  const id = await docker.output(
    'run',
    '-d',
    ...NONE,
    'busybox',
    'sh',
    '-c',
    'for i in 1 2 3 4; do echo $i; sleep 0.2; done',
  );
  t.equal(await docker.output('logs', '-f', id), '1\n2\n3\n4');
  t.equal(await docker.output('logs', '--tail', '2', id), '3\n4');
  t.match(await docker.output('logs', '-t', '--tail', '1', id), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z 4$/);
  t.equal(await docker.output('logs', '--since', '2000-01-01T00:00:00Z', '--until', '2000-01-02T00:00:00Z', id), '');
  await docker('rm', id);
});

t.test('signals of the client reach the process', async (t) => {
  const script = 'trap "echo term; exit 6" TERM; echo ready; while :; do sleep 0.1; done';
  const client = spawn(
    'docker',
    ['-H', `unix://${daemon.socketPath}`, 'run', '--rm', ...NONE, 'busybox', 'sh', '-c', script],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let said = '';
  client.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (said === 'ready\n') client.kill('SIGTERM');
  });
  const code = await new Promise((done) => client.once('close', done));
  t.equal(code, 6);
  t.equal(said, 'ready\nterm\n');
});

t.test('inspect, top, rename, ps filters', async (t) => {
  const id = await docker.output('run', '-d', '--name', 'old', '--label', 'a=b', ...NONE, 'busybox', 'sleep', '1000');
  t.equal(await docker.output('rename', 'old', 'new'), '');
  t.equal(
    await docker.output('inspect', '-f', '{{.Name}} {{.Config.Image}} {{.HostConfig.NetworkMode}}', id),
    '/new busybox none',
  );
  t.match(await docker.output('top', 'new'), /PID.*\n.*sleep 1000/);
  t.equal(await docker.output('ps', '-q', '--no-trunc', '--filter', 'label=a=b'), id);
  t.equal(await docker.output('ps', '-q', '--filter', 'name=^/old$'), '');
  await docker('rm', '-f', 'new');
});

t.test('--cidfile, --env-file, -w, -u, --entrypoint, -h', async (t) => {
  const cidFile = join(daemon.directory, 'cid');
  const envFile = join(daemon.directory, 'env');
  writeFileSync(envFile, 'FROM_FILE=1\n');
  const flags = [
    '--cidfile',
    cidFile,
    '--env-file',
    envFile,
    '-w',
    '/var',
    '-u',
    'nobody',
    '-h',
    'box',
    '--entrypoint',
    'sh',
  ];
  const out = await docker.output(
    'run',
    '--rm',
    ...NONE,
    ...flags,
    'busybox',
    '-c',
    'echo $FROM_FILE $(pwd) $(id -un) $(hostname)',
  );
  t.equal(out, '1 /var nobody box');
  t.match(readFileSync(cidFile, 'utf8'), /^[0-9a-f]{64}$/);
});

t.test('images, tag, history, rmi', async (t) => {
  const id = await docker.output('images', '-q', '--no-trunc', 'busybox');
  t.match(id, /^sha256:[0-9a-f]{64}$/);
  t.equal(await docker.output('tag', 'busybox', 'example.com/team/box:v1'), '');
  t.equal(await docker.output('images', '-q', '--no-trunc', 'example.com/team/box:v1'), id);
  t.equal((await docker.output('history', '-q', 'busybox')).split('\n').length, 1);
  t.equal(await docker.output('image', 'inspect', '-f', '{{.Id}} {{.Os}}', 'example.com/team/box:v1'), `${id} linux`);
  t.match(await docker.output('rmi', 'example.com/team/box:v1'), /^Untagged: example\.com\/team\/box:v1$/);
  t.equal(await docker.output('images', '-q', '--no-trunc'), id);
  const user = await docker.output('create', ...NONE, 'busybox');
  const refused = await docker('rmi', 'busybox');
  t.equal(refused.code, 1);
  t.match(refused.stderr, /conflict/i);
  await docker('rm', user);
});

t.test('load from stdin, layers shared, save keeps the ids', async (t) => {
  const upper = layerTar([{ path: 'hello.txt', text: 'hello\n' }]);
  const archive = dockerArchive({ tags: ['multi:1'], layers: [busyboxLayer(), upper] });
  t.equal(await docker.output('run', '--rm', ...NONE, 'busybox', 'echo', 'before'), 'before');
  t.match((await docker.with({ input: archive }, 'load')).stdout, /Loaded image: multi:1/);
  t.equal(await docker.output('run', '--rm', ...NONE, 'multi:1', 'cat', '/hello.txt'), 'hello');
  const before = await docker.output('image', 'inspect', '-f', '{{.Id}} {{.RootFS.Layers}}', 'multi:1');
  const saved = join(daemon.directory, 'saved.tar');
  t.equal(await docker.output('save', '-o', saved, 'multi:1', 'busybox'), '');
  await docker('rmi', 'multi:1');
  t.equal((await docker('load', '-i', saved)).code, 0);
  t.equal(await docker.output('image', 'inspect', '-f', '{{.Id}} {{.RootFS.Layers}}', 'multi:1'), before);
  await docker('rmi', 'multi:1');
});

t.test('import with changes', async (t) => {
  const root = busyboxLayer();
  const changes = ['-c', 'ENV A=b', '-c', 'CMD ["sh", "-c", "echo $A"]', '-m', 'made here'];
  const imported = await docker.with({ input: root }, 'import', ...changes, '-', 'imported:1');
  t.match(imported.stdout, /^sha256:[0-9a-f]{64}$/m, imported.stderr);
  t.equal(await docker.output('run', '--rm', ...NONE, 'imported:1'), 'b');
  t.match(await docker.output('history', 'imported:1'), /made here/);
  await docker('rmi', 'imported:1');
});

t.test(
  'what dockerd saves tsd loads, and the other way round',
  { skip: dockerdMissing(), timeout: 120_000 },
  async (t) => {
    const dockerd = await startDockerd();
    try {
      t.equal((await dockerd.docker('load', '-i', busyboxArchive())).code, 0);
      const id = await dockerd.docker.output('images', '-q', '--no-trunc', 'busybox');
      const theirs = join(daemon.directory, 'theirs.tar');
      await dockerd.docker.output('save', '-o', theirs, 'busybox');
      await docker('rmi', 'busybox');
      t.equal((await docker('load', '-i', theirs)).code, 0);
      t.equal(await docker.output('images', '-q', '--no-trunc', 'busybox'), id, 'tsd keeps the id');
      const ours = join(daemon.directory, 'ours.tar');
      await docker.output('save', '-o', ours, 'busybox');
      await dockerd.docker.output('rmi', 'busybox');
      const loaded = await dockerd.docker('load', '-i', ours);
      t.equal(loaded.code, 0, loaded.stderr);
      t.equal(await dockerd.docker.output('images', '-q', '--no-trunc', 'busybox'), id, 'dockerd keeps the id');
      const ran = await dockerd.docker('run', '--rm', ...NONE, 'busybox', 'echo', 'works');
      t.equal(ran.stdout, 'works\n', ran.stderr);
    } finally {
      await dockerd.remove();
    }
  },
);

t.test('what is not there yet says so', async (t) => {
  const id = await docker.output('run', '-d', ...NONE, 'busybox', 'sleep', '1000');
  const { code, stderr } = await docker('exec', id, 'true');
  t.not(code, 0);
  t.match(stderr, /not (there|implemented|supported|available)/i);
  await docker('rm', '-f', id);
});
