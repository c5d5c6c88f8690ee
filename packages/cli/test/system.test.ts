/** system df, system check and image prune against a scripted daemon; the docker client is the measure where it is there. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { CheckMessage } from '@tsd/shared/api-system-check';
import t from 'tap';
import { answerJson, type Handler, startFakeDaemon } from './support/fake-daemon.ts';
import { runOnTerminal, TSDCTL_COMMAND } from './support/run-on-terminal.ts';
import { runInProcess } from './support/run-tsdctl.ts';

const DOCKER = '/usr/local/bin/docker';
const nowSeconds = Math.floor(Date.now() / 1000);
const image = (id: string, rest: object): object => ({
  Id: `sha256:${id.repeat(64)}`,
  ParentId: '',
  RepoTags: [],
  RepoDigests: [],
  Created: nowSeconds - 7200,
  Size: 0,
  SharedSize: 0,
  Labels: null,
  Containers: 0,
  ...rest,
});
const container = (id: string, rest: object): object => ({
  Id: id.repeat(64),
  Names: [`/${id}`],
  Image: 'busybox',
  ImageID: `sha256:${'a'.repeat(64)}`,
  Command: "sh -c 'sleep 1000; echo'",
  Created: nowSeconds - 60,
  Ports: [],
  Labels: {},
  State: 'exited',
  Status: 'Exited (0) 5 seconds ago',
  HostConfig: { NetworkMode: 'none' },
  NetworkSettings: { Networks: {} },
  Mounts: [],
  SizeRootFs: 1_984_123,
  ...rest,
});
const USAGE = {
  LayersSize: 123_456_789,
  BlobsSize: 23_456_789,
  Images: [
    image('a', {
      RepoTags: ['localhost:5000/busybox:1', 'b:2'],
      RepoDigests: [`localhost:5000/busybox@sha256:${'d'.repeat(64)}`],
      Size: 1_984_123,
      SharedSize: 1000,
      Containers: 2,
    }),
    image('b', { RepoTags: ['debian:12'], Size: 98_015_876 }),
    image('c', {}),
  ],
  Containers: [
    container('1', { State: 'running', Status: 'Up 5 seconds', SizeRw: 1500 }),
    container('2', { SizeRw: 500 }),
    container('3', { State: 'created', Status: 'Created' }),
  ],
  Volumes: [],
  BuildCache: [],
};

t.test('system df', async (t) => {
  const df: Handler = (_request, response) => answerJson(response, 200, USAGE);
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /system/df': df,
      'GET /v1.47/system/df': df,
      'HEAD /_ping': (_request, response) =>
        void response.writeHead(200, { 'api-version': '1.47', ostype: 'linux' }).end(),
    },
  });
  const tsdctl = async (...argv: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await runInProcess(['-H', daemon.host, 'system', 'df', ...argv]);
    t.strictSame({ exitCode, stderr }, { exitCode: 0, stderr: '' });
    return stdout;
  };
  t.equal(
    await tsdctl(),
    'TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n' +
      'Images          3         1         123.5MB   121.5MB (98%)\n' +
      'Containers      3         1         2kB       500B (25%)\n' +
      'Local Volumes   0         0         0B        0B\n' +
      'Build Cache     0         0         0B        0B\n',
  );
  const kept = '\nCompressed layers kept for pushes: 23.46MB\n';
  t.match(await tsdctl('-v'), kept);
  t.match(await runInProcess(['-H', daemon.host, 'system', 'df', '--format', '{{.Nope}}']), { exitCode: 1 });
  if (!existsSync(DOCKER)) t.comment('no docker client: not compared');
  else {
    for (const argv of [
      [],
      ['-v'],
      ['--format', 'json'],
      [
        '-v',
        '--format',
        '{{range .Images}}{{.Repository}} {{.UniqueSize}} {{end}}{{range .Containers}}{{.Size}} {{end}}',
      ],
      ['--format', 'table {{.Type}}\t{{.Reclaimable}}'],
    ]) {
      const docker = await promisify(execFile)(DOCKER, ['-H', daemon.host, 'system', 'df', ...argv]);
      t.equal((await tsdctl(...argv)).replace(kept, '').trimEnd(), docker.stdout.trimEnd(), `docker system df ${argv}`);
    }
  }
});

t.test('system check', async (t) => {
  const progress: CheckMessage = {
    checked: { items: 1, totalItems: 4, sizeBytes: 45_000_000, totalSizeBytes: 180_000_000 },
  };
  const summary = (problems: number, repaired: number, brokenImages: string[] = []): CheckMessage => ({
    summary: {
      images: 1,
      layers: 2,
      blobs: 0,
      sizeBytes: 180_000_000,
      problems,
      repaired,
      brokenImages,
      durationMs: 1234,
    },
  });
  const sound = {
    kind: 'layer',
    id: 'sha256:aa',
    problem: 'the tar is 5 bytes short',
    remedy: 'repair fetches it',
  } as const;
  let lines: unknown[] = [];
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /tsd/system/check': (_request, response) =>
        void response.writeHead(200).end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join('')),
    },
  });
  const check = (answer: unknown[], ...argv: string[]): ReturnType<typeof runInProcess> => {
    lines = answer;
    return runInProcess(['-H', daemon.host, 'system', 'check', ...argv]);
  };
  t.strictSame(await check([progress, summary(0, 0)]), {
    exitCode: 0,
    stdout: 'Checked 1 image, 2 layers, 0 kept blobs (180MB) in 1.2 s: no problems\n',
    stderr: '',
  });
  t.equal(daemon.requests.at(-1)?.query.toString(), '');
  t.strictSame(await check([sound, summary(1, 0, ['sha256:bb'])]), {
    exitCode: 1,
    stdout:
      'layer sha256:aa: the tar is 5 bytes short\n  repair fetches it\n' +
      'Checked 1 image, 2 layers, 0 kept blobs (180MB) in 1.2 s: 1 problem\n' +
      'Broken, cannot be started: sha256:bb (pull it again)\n' +
      'Run "tsdctl system check --repair" to mend what can be mended\n',
    stderr: '',
  });
  const mended = { ...sound, repaired: true, remedy: 'fetched from docker.io/library/x' };
  t.strictSame(await check([mended, summary(1, 1)], '--repair'), {
    exitCode: 0,
    stdout:
      'layer sha256:aa: the tar is 5 bytes short\n  repaired: fetched from docker.io/library/x\n' +
      'Checked 1 image, 2 layers, 0 kept blobs (180MB) in 1.2 s: 1 problem, 1 repaired\n',
    stderr: '',
  });
  t.equal(daemon.requests.at(-1)?.query.toString(), 'repair=1');
  t.match(await check([{ ...sound, repaired: false }, summary(1, 0)], '--repair'), {
    exitCode: 1,
    stdout: /\n {2}not repaired: repair fetches it\n.*: 1 problem, 0 repaired\n$/,
  });
  t.match(await check([progress, { errorDetail: { message: 'disk gone' }, error: 'disk gone' }]), {
    exitCode: 1,
    stderr: 'tsdctl: disk gone\n',
  });
  t.match(await check([progress]), { exitCode: 1, stderr: /ended before its summary/ });

  lines = [progress, summary(0, 0)];
  const { shown } = await runOnTerminal([...TSDCTL_COMMAND, '-H', daemon.host, 'system', 'check']);
  t.match(shown, /^\r\x1b\[KChecking \[=======> +\] 45MB\/180MB\r\x1b\[KChecked 1 image/);
});

t.test('image prune', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /images/prune': (_request, response) =>
        answerJson(response, 200, {
          ImagesDeleted: [{ Untagged: 'a:1' }, { Deleted: 'sha256:b' }],
          SpaceReclaimed: 1_984_123,
        }),
    },
  });
  const prune = (...argv: string[]): ReturnType<typeof runInProcess> =>
    runInProcess(['-H', daemon.host, 'image', 'prune', '-f', ...argv]);
  const filters = (): unknown => JSON.parse(daemon.requests.at(-1)?.query.get('filters') ?? '');
  t.equal(
    (await prune()).stdout,
    'Deleted Images:\nuntagged: a:1\ndeleted: sha256:b\n\nTotal reclaimed space: 1.984MB\n',
  );
  t.strictSame(filters(), { dangling: { true: true } });
  await prune('-a', '--filter', 'until=24h', '--filter', 'label=a=b', '--blobs');
  t.strictSame(filters(), {
    dangling: { false: true },
    until: { '24h': true },
    label: { 'a=b': true },
    blobs: { true: true },
  });
  t.match(await prune('--filter', 'nonsense'), { exitCode: 125, stderr: /bad format of filter/ });
});
