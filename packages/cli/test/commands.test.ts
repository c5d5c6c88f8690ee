/** The commands besides run against a scripted daemon: what they ask for and what they print. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame } from '@tsd/shared/stream-framing';
import t from 'tap';
import { answerJson, type Handler, startFakeDaemon } from './support/fake-daemon.ts';
import { runInProcess, runTsdctl } from './support/run-tsdctl.ts';

const ok: Handler = (_request, response) => void response.writeHead(204).end();
const json =
  (value: unknown, status = 200): Handler =>
  (_request, response) =>
    answerJson(response, status, value);

const nowSeconds = Math.floor(Date.now() / 1000);

const CONTAINER = {
  Id: `${'0123456789ab'}${'c'.repeat(52)}`,
  Names: ['/web'],
  Image: 'busybox',
  ImageID: 'sha256:aaaa',
  Command: 'sh -c "while true; do sleep 1; done"',
  Created: nowSeconds - 7200,
  Ports: [
    { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
    { PrivatePort: 443, Type: 'tcp' },
    { PrivatePort: 444, Type: 'tcp' },
  ],
  Labels: { b: '2', a: '1' },
  State: 'running',
  Status: 'Up 2 hours',
  HostConfig: { NetworkMode: 'none' },
  NetworkSettings: { Networks: { none: {} } },
  Mounts: [],
};

t.test('ps', async (t) => {
  const daemon = await startFakeDaemon(t, { routes: { 'GET /containers/json': json([CONTAINER]) } });
  const ps = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, 'ps', ...argv]);
  t.equal(
    (await ps()).stdout,
    'CONTAINER ID   IMAGE     COMMAND                   CREATED       STATUS       PORTS                               NAMES\n' +
      '0123456789ab   busybox   "sh -c \\"while true; …"   2 hours ago   Up 2 hours   0.0.0.0:8080->80/tcp, 443-444/tcp   web\n',
  );
  t.equal((await ps('-q')).stdout, '0123456789ab\n');
  t.equal((await ps('-q', '--no-trunc')).stdout, `${CONTAINER.Id}\n`);
  t.equal((await ps('--format', '{{.Names}}: {{.Label "a"}} {{.Labels}}')).stdout, 'web: 1 a=1,b=2\n');
  t.equal(
    (await ps('--format', 'table {{.Names}}\\t{{.State | upper}}\\t{{.Label "com.x.my-label"}}')).stdout,
    'NAMES     STATE     my label\nweb       RUNNING   \n',
  );
  t.match(JSON.parse((await ps('--format', 'json')).stdout), { Names: 'web', State: 'running', Networks: 'none' });
  t.match(await ps('--format', '{{.Nope}}'), { exitCode: 1, stderr: /can't evaluate field Nope/ });
  await ps('-a', '-n', '5', '-f', 'name=x', '--filter', 'label=a=b', '-s');
  const query = daemon.requests.at(-1)?.query;
  t.equal(query?.get('all'), '1');
  t.equal(query?.get('limit'), '5');
  t.equal(query?.get('size'), '1');
  t.strictSame(JSON.parse(query?.get('filters') ?? ''), { name: { x: true }, label: { 'a=b': true } });
  t.match(await ps('-f', 'x'), { exitCode: 125, stderr: /bad format of filter.*Usage: {2}tsdctl ps/s });
  t.match(await ps('extra'), { exitCode: 1, stderr: /'tsdctl ps' accepts no arguments\n\nUsage:/ });
});

t.test('images', async (t) => {
  const image = {
    Id: `sha256:${'0123456789ab'}${'d'.repeat(52)}`,
    ParentId: '',
    RepoTags: ['busybox:latest', 'localhost:5000/x:1'],
    RepoDigests: ['busybox@sha256:eeee'],
    Created: nowSeconds - 86_400 * 3,
    Size: 4_261_550,
    SharedSize: -1,
    Labels: null,
    Containers: -1,
  };
  const dangling = { ...image, RepoTags: [], RepoDigests: [] };
  const daemon = await startFakeDaemon(t, { routes: { 'GET /images/json': json([image, dangling]) } });
  const images = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  t.equal(
    (await images('images')).stdout,
    'REPOSITORY         TAG       IMAGE ID       CREATED      SIZE\n' +
      'busybox            latest    0123456789ab   3 days ago   4.26MB\n' +
      'localhost:5000/x   1         0123456789ab   3 days ago   4.26MB\n' +
      '<none>             <none>    0123456789ab   3 days ago   4.26MB\n',
  );
  t.match((await images('image', 'ls', '--digests')).stdout, /busybox +latest +sha256:eeee/);
  t.equal((await images('image', 'list', '-q')).stdout, '0123456789ab\n'.repeat(3));
  await images('images', 'busybox:1', '-f', 'dangling=true');
  t.strictSame(JSON.parse(daemon.requests.at(-1)?.query.get('filters') ?? ''), {
    dangling: { true: true },
    reference: { 'busybox:1': true },
  });
});

t.test('inspect', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /containers/web/json': json({ Id: 'c1', State: { Status: 'running' }, Config: { Labels: {} } }),
      'GET /images/busybox/json': json({ Id: 'i1', RepoTags: ['busybox:latest'] }),
      'GET /containers/broken/json': json({ message: 'disk on fire' }, 500),
    },
  });
  const inspect = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  t.strictSame(JSON.parse((await inspect('inspect', 'web', 'busybox')).stdout).length, 2);
  t.equal((await inspect('inspect', '-f', '{{.Id}} {{.State.Status}}', 'web')).stdout, 'c1 running\n');
  t.equal(
    (await inspect('inspect', '-f', '{{.State.Health}}|{{index .Config.Labels "x"}}', 'web')).stdout,
    '<no value>|\n',
  );
  t.equal(
    (await inspect('inspect', '--format', 'json', 'busybox')).stdout,
    '[{"Id":"i1","RepoTags":["busybox:latest"]}]\n',
  );
  t.match(await inspect('inspect', '-f', '{{.Stat}}', 'web'), { exitCode: 1, stderr: /can't evaluate field Stat/ });
  t.equal((await inspect('inspect', '-f', '{{.Config.Labels.none}}', 'web')).stdout, '<no value>\n');
  const partly = await inspect('inspect', 'web', 'nope');
  t.equal(partly.exitCode, 1);
  t.equal(JSON.parse(partly.stdout).length, 1);
  t.equal(partly.stderr, 'Error: No such object: nope\n');
  t.match(await inspect('container', 'inspect', 'busybox'), {
    exitCode: 1,
    stderr: 'Error: No such container: busybox\n',
  });
  t.match(await inspect('image', 'inspect', 'web'), { exitCode: 1, stderr: 'Error: No such image: web\n' });
  t.match(await inspect('inspect', 'broken'), { exitCode: 1, stderr: /disk on fire/ });
  t.match(await inspect('inspect', '--type', 'volume', 'x'), { exitCode: 1, stderr: /unknown value for --type/ });
});

t.test('verbs on several containers', async (t) => {
  let running = 0;
  let most = 0;
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /containers/bad/*': json({ message: 'No such container: bad' }, 404),
      'DELETE /containers/bad': json({ message: 'No such container: bad' }, 404),
      'POST /containers/*/wait': json({ StatusCode: 7 }),
      'POST /containers/*/stop': async (_request, response) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 20));
        running--;
        response.writeHead(204).end();
      },
      'POST /containers/*/*': ok,
      'DELETE /containers/*': ok,
    },
  });
  const run = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  const last = (): string => {
    const request = daemon.requests.at(-1);
    return `${request?.method} ${request?.path}?${request?.query.toString()}`;
  };
  t.strictSame(await run('start', 'a', 'bad', 'b'), {
    exitCode: 1,
    stdout: 'a\nb\n',
    stderr: 'tsdctl: Error response from daemon: No such container: bad\nError: failed to start containers: bad\n',
  });
  t.strictSame(await run('start', 'bad'), {
    exitCode: 1,
    stdout: '',
    stderr: 'tsdctl: Error response from daemon: No such container: bad\nError: failed to start containers: bad\n',
  });
  const names = Array.from({ length: 40 }, (_, index) => `c${index}`);
  const stopped = await run('stop', '-t', '3', '-s', 'INT', ...names);
  t.equal(stopped.stdout, `${names.join('\n')}\n`);
  t.ok(most > 4 && most <= 16, `${most} at a time`);
  t.match(last(), /stop\?signal=INT&t=3$/);
  t.equal((await run('kill', '-s', 'HUP', 'a')).stdout, 'a\n');
  t.equal(last(), 'POST /containers/a/kill?signal=HUP');
  await run('restart', '--time', '0', 'a');
  t.equal(last(), 'POST /containers/a/restart?t=0');
  t.equal((await run('wait', 'a', 'b')).stdout, '7\n7\n');
  await run('rm', '-fv', 'a');
  t.equal(last(), 'DELETE /containers/a?force=1&v=1');
  t.strictSame(await run('rm', '-f', 'bad'), {
    exitCode: 0,
    stdout: '',
    stderr: 'tsdctl: Error response from daemon: No such container: bad\n',
  });
  t.equal((await run('rm', 'bad')).exitCode, 1);
  t.strictSame(await run('rename', 'a', 'z'), { exitCode: 0, stdout: '', stderr: '' });
  t.equal(last(), 'POST /containers/a/rename?name=z');
  t.match(await run('rm', ''), { exitCode: 1, stderr: 'tsdctl: invalid name or ID: it is empty\n' });
  t.match(await run('start', '-a', 'a', 'b'), { exitCode: 1, stderr: /cannot start and attach multiple/ });
});

t.test('logs', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /containers/web/logs': (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/vnd.docker.multiplexed-stream' });
        response.write(encodeFrame(1, Buffer.from('out\n')));
        response.end(encodeFrame(2, Buffer.from('err\n')));
      },
      'GET /containers/tty/logs': (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/vnd.docker.raw-stream' });
        response.end('raw\n');
      },
    },
  });
  const logs = (...argv: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(['-H', daemon.host, 'logs', ...argv]);
  t.strictSame(await logs('web'), { exitCode: 0, stdout: 'out\n', stderr: 'err\n' });
  t.equal(daemon.requests[0]?.query.toString(), 'stderr=1&stdout=1&tail=all');
  t.equal((await logs('tty')).stdout, 'raw\n');
  await logs('-tn', '5', '--since', '2026-01-02T03:04:05.5Z', '--until', '1000.25', 'web');
  t.equal(
    daemon.requests.at(-1)?.query.toString(),
    'since=1767323045.500000000&stderr=1&stdout=1&tail=5&timestamps=1&until=1000.25',
  );
  t.match(await logs('--since', 'yesterday', 'web'), { exitCode: 1, stderr: /invalid value for "since": yesterday/ });
});

t.test('top, history, tag, rmi, prune', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /containers/web/top': json({ Titles: ['PID', 'CMD'], Processes: [['1', 'sh -c x']] }),
      'GET /images/busybox/history': json([
        {
          Id: `sha256:${'a'.repeat(64)}`,
          Created: nowSeconds - 60,
          CreatedBy: 'x'.repeat(60),
          Tags: null,
          Size: 1000,
          Comment: 'c',
        },
        { Id: '<missing>', Created: 0, CreatedBy: '', Tags: null, Size: 0, Comment: '' },
      ]),
      'POST /images/busybox/tag': json({}, 201),
      'DELETE /images/gone': json({ message: 'No such image: gone:latest' }, 404),
      'DELETE /images/*': json([{ Untagged: 'a:1' }, { Deleted: 'sha256:b' }]),
      'POST /containers/prune': json({ ContainersDeleted: ['c1', 'c2'], SpaceReclaimed: 2_000_000 }),
      'POST /images/prune': json({ ImagesDeleted: null, SpaceReclaimed: 0 }),
    },
  });
  const run = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  t.equal((await run('top', 'web', '-eo', 'pid,cmd')).stdout, 'PID                 CMD\n1                   sh -c x\n');
  t.equal(daemon.requests.at(-1)?.query.get('ps_args'), '-eo pid,cmd');
  t.equal(
    (await run('history', 'busybox')).stdout,
    'IMAGE          CREATED              CREATED BY                                      SIZE      COMMENT\n' +
      `aaaaaaaaaaaa   About a minute ago   ${'x'.repeat(44)}…   1kB       c\n` +
      '<missing>      N/A                                                                  0B        \n',
  );
  t.strictSame(await run('tag', 'busybox', 'team/app:2'), { exitCode: 0, stdout: '', stderr: '' });
  t.equal(daemon.requests.at(-1)?.query.toString(), 'repo=docker.io%2Fteam%2Fapp&tag=2');
  t.match(await run('tag', 'busybox', 'Bad Name'), { exitCode: 1, stderr: /^tsdctl: invalid reference format/ });
  t.strictSame(await run('rmi', 'a', 'gone'), {
    exitCode: 1,
    stdout: 'Untagged: a:1\nDeleted: sha256:b\n',
    stderr: 'tsdctl: Error response from daemon: No such image: gone:latest\n',
  });
  t.equal((await run('rmi', '-f', 'gone')).exitCode, 0);
  t.equal(
    (await run('container', 'prune', '-f')).stdout,
    'Deleted Containers:\nc1\nc2\n\nTotal reclaimed space: 2MB\n',
  );
  t.equal((await run('image', 'prune', '-af')).stdout, 'Total reclaimed space: 0B\n');
  t.equal(daemon.requests.at(-1)?.query.get('filters'), '{"dangling":{"false":true}}');
  const asked = await runTsdctl(['-H', daemon.host, 'container', 'prune'], { input: 'n\n' });
  t.equal(asked.stdout, 'WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ');
  const agreed = await runTsdctl(['-H', daemon.host, 'container', 'prune'], { input: 'y\n' });
  t.match(agreed.stdout, 'Total reclaimed space: 2MB');
});

t.test('load, import and save', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const archive = join(folder, 'image.tar');
  writeFileSync(archive, Buffer.alloc(3_000_000, 'x'));
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /images/load': (request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        if (request.body.length < 10) {
          response.end(
            '{"stream":"Loading\\n"}\n{"errorDetail":{"message":"invalid archive"},"error":"invalid archive"}\n',
          );
        } else response.end(`{"stream":"Loaded image: busybox:latest\\n"}\n`);
      },
      'POST /images/create': (_request, response) => void response.writeHead(200).end('{"status":"sha256:abc"}\n'),
      'GET /images/get': (request, response) => {
        response.writeHead(200, { 'content-type': 'application/x-tar' });
        response.write(`archive of ${request.query.getAll('names').join(' and ')}`);
        if (request.query.getAll('names').includes('broken')) response.socket?.destroy();
        else response.end();
      },
    },
  });
  const run = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  t.strictSame(await run('load', '-i', archive), { exitCode: 0, stdout: 'Loaded image: busybox:latest\n', stderr: '' });
  t.equal(daemon.requests.at(-1)?.body.length, 3_000_000);
  t.equal(daemon.requests.at(-1)?.headers['transfer-encoding'], 'chunked');
  const piped = await runTsdctl(['-H', daemon.host, 'load'], { input: 'from a pipe, long enough' });
  t.equal(piped.stdout, 'Loaded image: busybox:latest\n');
  const refused = await runTsdctl(['-H', daemon.host, 'load'], { input: 'short' });
  t.strictSame(refused, { exitCode: 1, stdout: 'Loading\n', stderr: 'tsdctl: invalid archive\n' });
  t.match(await run('load', '-i', join(folder, 'none')), { exitCode: 1, stderr: /none: no such file or directory/ });
  t.match(await run('load', '-i', folder), { exitCode: 1, stderr: /is a directory/ });

  t.equal(
    (await run('import', '-c', 'CMD ["sh"]', '-c', 'ENV A=b', '-m', 'hi', archive, 'debian:1')).stdout,
    'sha256:abc\n',
  );
  t.equal(
    daemon.requests.at(-1)?.query.toString(),
    'changes=CMD+%5B%22sh%22%5D&changes=ENV+A%3Db&fromSrc=-&message=hi&repo=debian%3A1',
  );
  t.equal(daemon.requests.at(-1)?.body.length, 3_000_000);

  t.equal((await run('save', 'a', 'b:1')).stdout, 'archive of a and b:1');
  const output = join(folder, 'out.tar');
  t.strictSame(await run('save', '-o', output, 'a'), { exitCode: 0, stdout: '', stderr: '' });
  t.equal(readFileSync(output, 'utf8'), 'archive of a');
  t.match(await run('save', '-o', join(folder, 'cut.tar'), 'broken'), { exitCode: 1, stderr: /was lost/ });
  t.strictSame(readdirSync(folder).sort(), ['image.tar', 'out.tar'], 'nothing half-written is left');
  t.match(await run('save', '-o', join(folder, 'no/such/x.tar'), 'a'), { exitCode: 1, stderr: /no such file or dir/ });
});

t.test('commit, export and diff', async (t) => {
  const folder = t.testdir();
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /commit': json({ Id: 'sha256:abc' }, 201),
      'GET /containers/web/export': (_request, response) => void response.writeHead(200).end('archive of web'),
      'GET /containers/web/changes': json([
        { Path: '/etc', Kind: 0 },
        { Path: '/etc/new', Kind: 1 },
        { Path: '/old', Kind: 2 },
      ]),
      'GET /containers/idle/changes': json(null),
    },
  });
  const run = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  const committed = await run('commit', '-a', 'me', '-m', 'hi', '-c', 'CMD ["x"]', '-c', 'ENV A=b', 'web', 'app:1');
  t.strictSame(committed, { exitCode: 0, stdout: 'sha256:abc\n', stderr: '' });
  const query = (): string | undefined => daemon.requests.at(-1)?.query.toString();
  t.equal(query(), 'author=me&changes=CMD+%5B%22x%22%5D&changes=ENV+A%3Db&comment=hi&container=web&repo=app%3A1');
  for (const flag of ['--pause=false', '--no-pause']) {
    await run('commit', flag, 'web');
    t.equal(query(), 'container=web&pause=0');
  }
  t.match(await run('commit', 'web', 'No/Capitals'), { exitCode: 1, stderr: /repository name .*lowercase/ });
  t.equal((await run('container', 'diff', 'web')).stdout, 'C /etc\nA /etc/new\nD /old\n');
  t.equal((await run('diff', 'idle')).stdout, '');
  t.equal((await run('export', 'web')).stdout, 'archive of web');
  t.strictSame(await run('export', '-o', join(folder, 'out.tar'), 'web'), { exitCode: 0, stdout: '', stderr: '' });
  t.equal(readFileSync(join(folder, 'out.tar'), 'utf8'), 'archive of web');
});

t.test('version and info', async (t) => {
  const version = {
    Platform: { Name: 'tsd' },
    Version: '0.1.0',
    ApiVersion: '1.47',
    MinAPIVersion: '1.24',
    GitCommit: '',
    BuildTime: '',
    KernelVersion: '6.12',
    Os: 'linux',
    Arch: 'amd64',
  };
  const daemon = await startFakeDaemon(t, { routes: { 'GET /version': json(version) } });
  const run = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  t.match(
    (await run('version')).stdout,
    /Client: tsdctl\n Version: .*Server: tsd\n Version: .*0\.1\.0\n API version: +1\.47/s,
  );
  t.equal((await run('version', '-f', '{{.Server.Version}}')).stdout, '0.1.0\n');
  const alone = await runInProcess(['-H', '/nonexistent/sock', 'version']);
  t.match(alone, { exitCode: 1, stdout: /^Client: tsdctl/, stderr: /Is the daemon running/ });
});

t.test('the command line itself', async (t) => {
  const run = (...argv: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(argv, { TSD_HOST: '/nonexistent/x' });
  t.match((await run('--version')).stdout, /^tsdctl version [0-9]/);
  for (const argv of [[], ['--help'], ['help']]) t.match((await run(...argv)).stdout, /Common commands:\n {2}run /);
  t.match((await run('run', '--help')).stdout, /Usage: tsdctl run \[OPTIONS\] IMAGE.*-m, --memory <bytes>.*Examples:/s);
  t.match((await run('help', 'run')).stdout, /Usage: tsdctl run/);
  t.match((await run('container', '--help')).stdout, /prune +Remove all stopped containers/);
  t.match(await run('rnu'), { exitCode: 1, stderr: /unknown command: tsdctl rnu\nDid you mean "tsdctl run"\?/ });
  t.match(await run('container', 'nosuch'), { exitCode: 1, stderr: /unknown command: tsdctl container nosuch/ });
  t.match(await run('exec', 'x', 'sh'), { exitCode: 1, stderr: /"tsdctl exec" is not implemented yet/ });
  t.match(await run('run', '--nope', 'x'), {
    exitCode: 125,
    stderr:
      "tsdctl: unknown flag: --nope\n\nUsage:  tsdctl run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'tsdctl run --help' for more information\n",
  });
  t.match(await run('run'), { exitCode: 1, stderr: /'tsdctl run' requires at least 1 argument/ });
  t.match(await run('rename', 'a'), { exitCode: 1, stderr: /'tsdctl rename' requires 2 arguments/ });
  t.match(await run('ps'), { exitCode: 1, stderr: /Cannot connect to the tsd daemon at unix:\/\/\/nonexistent\/x/ });
  t.match(await run('-H', 'tcp://x', 'ps'), { exitCode: 1, stderr: /unable to parse host/ });
});

t.test('every command has a help that renders, and every path finds it', async (t) => {
  const { COMMANDS, findCommand } = await import('../src/command-index.ts');
  for (const entry of COMMANDS) {
    for (const path of entry.paths) {
      t.equal(findCommand(path.split(' '))?.entry, entry, path);
      const { exitCode, stdout } = await runInProcess([...path.split(' '), '--help']);
      t.equal(exitCode, 0);
      t.match(stdout, `Usage: tsdctl ${path}`);
    }
  }
});
