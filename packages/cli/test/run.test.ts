/** `run` against a scripted daemon: streams, exit codes, signals, a daemon that goes away. */
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame } from '@tsd/shared/stream-framing';
import t from 'tap';
import {
  acceptUpgrade,
  answerJson,
  type FakeDaemon,
  type FakeDaemonOptions,
  startFakeDaemon,
} from './support/fake-daemon.ts';
import { runTsdctl, startTsdctl } from './support/run-tsdctl.ts';

const ID = 'c'.repeat(64);
const frame = (stream: 1 | 2, text: string): Uint8Array => encodeFrame(stream, Buffer.from(text));

interface Container {
  /** What happens once the container is started. */
  started(streams: { attach: Socket | undefined; exit: (code: number, error?: string) => void }): void;
  readonly createStatus?: number;
  readonly createAnswer?: unknown;
  readonly startError?: readonly [status: number, message: string];
  readonly routes?: FakeDaemonOptions['routes'];
  readonly onInput?: (data: Buffer) => void;
  readonly onInputEnd?: (attach: Socket) => void;
}

type Tap = Parameters<typeof startFakeDaemon>[0];

function daemonWith(t: Tap, container: Container): Promise<FakeDaemon> {
  let attach: Socket | undefined;
  let waiting: ServerResponse | undefined;
  const exit = (code: number, error?: string): void => {
    waiting?.end(JSON.stringify({ StatusCode: code, ...(error === undefined ? {} : { Error: { Message: error } }) }));
  };
  return startFakeDaemon(t, {
    routes: {
      'POST /containers/create': (_request, response) =>
        answerJson(response, container.createStatus ?? 201, container.createAnswer ?? { Id: ID, Warnings: [] }),
      'POST /containers/*/wait': (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.flushHeaders();
        waiting = response;
      },
      'POST /containers/*/start': (_request, response) => {
        if (container.startError !== undefined) {
          answerJson(response, container.startError[0], { message: container.startError[1] });
          exit(127);
          return;
        }
        response.writeHead(204).end();
        container.started({ attach, exit });
      },
      ...container.routes,
    },
    upgrade: (_request, socket) => {
      attach = socket;
      socket.on('data', (data: Buffer) => container.onInput?.(data));
      socket.on('end', () => container.onInputEnd?.(socket));
      acceptUpgrade(socket);
    },
  });
}

t.test('stdout, stderr and the exit code', async (t) => {
  const daemon = await daemonWith(t, {
    started: ({ attach, exit }) => {
      const bytes = Buffer.concat([frame(1, 'out\n'), frame(2, 'err\n'), frame(1, 'more\n')]);
      // In pieces that cut headers and payloads.
      for (let start = 0; start < bytes.length; start += 5) attach?.write(bytes.subarray(start, start + 5));
      attach?.end();
      exit(3);
    },
  });
  const result = await runTsdctl(['-H', daemon.host, 'run', '--name', 'n1', 'busybox', 'x']);
  t.strictSame(result, { exitCode: 3, stdout: 'out\nmore\n', stderr: 'err\n' });
  t.strictSame(daemon.requests.map(({ method, path, query }) => `${method} ${path}?${query.toString()}`).sort(), [
    `POST /containers/${ID}/attach?stderr=1&stdout=1&stream=1`,
    `POST /containers/${ID}/start?`,
    `POST /containers/${ID}/wait?condition=next-exit`,
    'POST /containers/create?name=n1',
  ]);
  t.equal(daemon.requests.at(-1)?.path, `/containers/${ID}/start`, 'started when all is registered');
});

t.test('a megabyte each way: piped stdin is half-closed, nothing is lost', async (t) => {
  const received: Buffer[] = [];
  const daemon = await daemonWith(t, {
    started: ({ exit }) => {
      finish = () => exit(0);
    },
    onInput: (data) => received.push(data),
    onInputEnd: (attach) => {
      const text = Buffer.concat(received).toString();
      for (let start = 0; start < text.length; start += 4096) attach.write(frame(1, text.slice(start, start + 4096)));
      attach.end();
      finish?.();
    },
  });
  let finish: (() => void) | undefined;
  const input = Array.from({ length: 100_000 }, (_, line) => `line ${line}\n`).join('');
  const result = await runTsdctl(['-H', daemon.host, 'run', '-i', '--rm', 'busybox', 'cat'], { input });
  t.equal(result.exitCode, 0);
  t.equal(result.stdout === input, true, 'the output is the input');
  const attach = daemon.requests.find(({ path }) => path.endsWith('/attach'));
  t.equal(attach?.query.get('stdin'), '1');
  t.equal(daemon.requests.find(({ path }) => path.endsWith('/wait'))?.query.get('condition'), 'removed');
});

t.test('a container that ends without reading its input', async (t) => {
  const daemon = await daemonWith(t, {
    started: ({ attach, exit }) => {
      attach?.end(frame(1, 'done\n'));
      exit(0);
    },
  });
  const child = startTsdctl(['-H', daemon.host, 'run', '-i', 'busybox', 'true']);
  child.stdout.resume();
  const [exitCode] = (await once(child, 'close')) as [number];
  t.equal(exitCode, 0, 'it does not wait for the end of an open stdin');
});

t.test('warnings are shown and do not stop the container', async (t) => {
  const daemon = await daemonWith(t, {
    createAnswer: { Id: ID, Warnings: ['no swap limit', 'second'] },
    started: ({ attach, exit }) => {
      attach?.end();
      exit(0);
    },
  });
  const result = await runTsdctl(['-H', daemon.host, 'run', 'busybox']);
  t.strictSame(result, { exitCode: 0, stdout: '', stderr: 'WARNING: no swap limit\nWARNING: second\n' });
});

const START_ERRORS: readonly (readonly [message: string, exitCode: number])[] = [
  ['exec: "x": executable file not found in $PATH: unknown', 127],
  ['exec: "/x": stat /x: no such file or directory: unknown', 127],
  ['exec: "/etc/passwd": permission denied: unknown', 126],
  ['exec: "/etc": is a directory: unknown', 126],
  ['no space left on device', 125],
];
for (const [message, exitCode] of START_ERRORS) {
  t.test(`a start that fails with ${exitCode}: ${message}`, async (t) => {
    const daemon = await daemonWith(t, { started: () => undefined, startError: [500, message] });
    const result = await runTsdctl(['-H', daemon.host, 'run', '--rm', 'busybox', 'x']);
    t.equal(result.exitCode, exitCode);
    t.equal(result.stderr, `tsdctl: Error response from daemon: ${message}\n`);
  });
}

t.test('an error of the wait is shown, with exit code 125', async (t) => {
  const daemon = await daemonWith(t, {
    started: ({ attach, exit }) => {
      attach?.end();
      exit(0, 'the supervisor was killed');
    },
  });
  const result = await runTsdctl(['-H', daemon.host, 'run', 'busybox']);
  t.strictSame(result, { exitCode: 125, stdout: '', stderr: 'tsdctl: the supervisor was killed\n' });
});

t.test('an image that is missing and cannot be pulled', async (t) => {
  const daemon = await daemonWith(t, {
    started: () => undefined,
    createStatus: 404,
    createAnswer: { message: 'No such image: nope:latest' },
    routes: {
      'POST /images/create': (_request, response) => answerJson(response, 404, { message: 'nope is not there' }),
    },
  });
  const result = await runTsdctl(['-H', daemon.host, 'run', 'nope']);
  t.equal(result.exitCode, 125);
  t.equal(
    result.stderr,
    "Unable to find image 'nope:latest' locally\ntsdctl: Error response from daemon: nope is not there\n",
  );
  const pull = daemon.requests.find(({ path }) => path === '/images/create');
  t.equal(pull?.query.get('fromImage'), 'docker.io/library/nope');
  t.equal(pull?.query.get('tag'), 'latest');

  const never = await runTsdctl(['-H', daemon.host, 'run', '--pull', 'never', 'nope']);
  t.strictSame(never, {
    exitCode: 125,
    stdout: '',
    stderr: 'tsdctl: Error response from daemon: No such image: nope:latest\n',
  });
});

t.test('--cidfile', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'cid');
  const daemon = await daemonWith(t, { started: () => undefined });
  const run = (name: string): ReturnType<typeof runTsdctl> =>
    runTsdctl(['-H', daemon.host, 'run', '-d', '--cidfile', file, name]);
  t.strictSame(await run('busybox'), { exitCode: 0, stdout: `${ID}\n`, stderr: '' });
  t.equal(readFileSync(file, 'utf8'), ID);
  const again = await run('busybox');
  t.equal(again.exitCode, 125);
  t.match(again.stderr, /container ID file found, make sure the other container isn't running or delete/);
  const failing = await daemonWith(t, { started: () => undefined, createStatus: 409, createAnswer: { message: 'no' } });
  rmSync(file);
  await runTsdctl(['-H', failing.host, 'run', '-d', '--cidfile', file, 'busybox']);
  t.equal(existsSync(file), false, 'no file without a container');
});

t.test('SIGTERM and SIGINT reach the container, the third ends the client', async (t) => {
  let killed = 0;
  let exitContainer: (() => void) | undefined;
  const daemon = await daemonWith(t, {
    started: ({ attach, exit }) => {
      attach?.write(frame(1, 'ready\n'));
      exitContainer = () => {
        attach?.end();
        exit(143);
      };
    },
    routes: {
      'POST /containers/*/kill': (request, response) => {
        response.writeHead(204).end();
        killed++;
        if (request.query.get('signal') === 'TERM') exitContainer?.();
      },
    },
  });
  const forwarded = startTsdctl(['-H', daemon.host, 'run', 'busybox', 'x']);
  forwarded.stderr.resume();
  await once(forwarded.stdout, 'data');
  forwarded.kill('SIGTERM');
  t.strictSame(await once(forwarded, 'close'), [143, null]);
  t.equal(killed, 1);

  const stubborn = startTsdctl(['-H', daemon.host, 'run', 'busybox', 'x']);
  let stderr = '';
  stubborn.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await once(stubborn.stdout, 'data');
  for (let count = 0; count < 3; count++) {
    const before = killed;
    stubborn.kill('SIGINT');
    const deadline = Date.now() + 5000;
    while (count < 2 && killed === before && Date.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve));
  }
  t.strictSame(await once(stubborn, 'close'), [1, null]);
  t.match(stderr, /got 3 SIGTERM\/SIGINTs, forcefully exiting/);
});

t.test('interrupted before the start: the container is not started, and with --rm not left behind', async (t) => {
  let waiting: (() => void) | undefined;
  const registered = new Promise<void>((resolve) => {
    waiting = resolve;
  });
  let attached: Socket | undefined;
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /containers/create': (_request, response) => answerJson(response, 201, { Id: ID, Warnings: [] }),
      'POST /containers/*/wait': (_request, response) => {
        response.writeHead(200);
        response.flushHeaders();
        waiting?.();
      },
      'DELETE /containers/*': (_request, response) => void response.writeHead(204).end(),
    },
    upgrade: (_request, socket) => {
      attached = socket;
    },
  });
  const child = startTsdctl(['-H', daemon.host, 'run', '--rm', 'busybox']);
  await registered;
  child.kill('SIGINT');
  // The client is given time to take the signal before it learns that it is attached.
  await new Promise((resolve) => setTimeout(resolve, 300));
  if (attached !== undefined) acceptUpgrade(attached);
  t.strictSame(await once(child, 'close'), [130, null]);
  const last = daemon.requests.at(-1);
  t.equal(`${last?.method} ${last?.path}`, `DELETE /containers/${ID}`);
});

t.test('the daemon goes away and comes back: output goes on, the exit code is asked for', async (t) => {
  const conditions: (string | null)[] = [];
  let attach: Socket | undefined;
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /containers/create': (_request, response) => answerJson(response, 201, { Id: ID, Warnings: [] }),
      'POST /containers/*/wait': (request, response) => {
        conditions.push(request.query.get('condition'));
        if (conditions.length === 1) {
          response.writeHead(200);
          response.flushHeaders();
          lost = response;
        } else answerJson(response, 200, { StatusCode: 9 });
      },
      'POST /containers/*/start': (_request, response) => {
        response.writeHead(204).end();
        attach?.write(frame(1, 'before\n'));
      },
    },
    upgrade: (_request, socket) => {
      attach = socket;
      acceptUpgrade(socket);
    },
  });
  let lost: ServerResponse | undefined;
  const child = startTsdctl(['-H', daemon.host, 'run', 'busybox']);
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  stdout += first.toString();
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  // The wait breaks; the stream is the supervisor's and stays.
  lost?.socket?.destroy();
  attach?.end(frame(1, 'after\n'));
  t.strictSame(await once(child, 'close'), [9, null]);
  t.equal(stdout, 'before\nafter\n');
  t.equal(stderr, '');
  t.strictSame(conditions, ['next-exit', 'not-running']);
});

t.test('with --rm and the container gone meanwhile the exit code is not guessed', async (t) => {
  let waits = 0;
  const daemon = await daemonWith(t, {
    started: ({ attach }) => {
      attach?.end(frame(1, 'x\n'));
      broken?.socket?.destroy();
    },
    routes: {
      'POST /containers/*/wait': (_request, response) => {
        if (waits++ > 0) {
          answerJson(response, 404, { message: `No such container: ${ID}` });
          return;
        }
        response.writeHead(200);
        response.flushHeaders();
        broken = response;
      },
    },
  });
  let broken: ServerResponse | undefined;
  const result = await runTsdctl(['-H', daemon.host, 'run', '--rm', 'busybox']);
  t.equal(result.exitCode, 125);
  t.equal(result.stdout, 'x\n');
  t.match(result.stderr, /ended and was removed while the daemon was away: its exit code is not known/);
});

t.test('a daemon that does not come back', async (t) => {
  const daemon = await daemonWith(t, { started: ({ attach }) => attach?.write(frame(1, 'x\n')) });
  const child = startTsdctl(['-H', daemon.host, 'run', 'busybox'], { TSD_RECONNECT_TIMEOUT: '0.3' });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await once(child.stdout, 'data');
  await daemon.stop();
  t.strictSame(await once(child, 'close'), [125, null]);
  t.match(stderr, /waiting for it to come back\n.*went away and is not back/s);
});

t.test('conflicts and what needs a terminal', async (t) => {
  const daemon = await daemonWith(t, { started: () => undefined });
  const run = async (...argv: string[]): Promise<string> =>
    (await runTsdctl(['-H', daemon.host, 'run', ...argv])).stderr;
  t.equal(
    await run('-d', '-a', 'stdout', 'busybox'),
    'tsdctl: conflicting options: cannot specify both --attach and --detach\n',
  );
  t.equal(await run('-it', 'busybox'), 'tsdctl: the input device is not a TTY\n');
  t.equal(daemon.requests.length, 0);
});

t.test('a reader that goes away ends the client quietly', async (t) => {
  const daemon = await daemonWith(t, {
    started: ({ attach, exit }) => {
      for (let line = 0; line < 2000; line++) attach?.write(frame(1, `${'x'.repeat(1000)}\n`));
      attach?.end();
      exit(0);
    },
  });
  const child = startTsdctl(['-H', daemon.host, 'run', 'busybox']);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  t.strictSame(await once(child, 'close'), [141, null]);
  t.equal(stderr, '');
});

t.test('--env-file and seccomp profiles are read by the client', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'env'), 'A=1\nB=two words\n');
  writeFileSync(join(folder, 'seccomp.json'), '{ "defaultAction": "SCMP_ACT_ERRNO" }');
  const daemon = await daemonWith(t, { started: () => undefined });
  const argv = [
    'run',
    '-d',
    '--env-file',
    join(folder, 'env'),
    '--security-opt',
    `seccomp=${join(folder, 'seccomp.json')}`,
  ];
  t.equal((await runTsdctl(['-H', daemon.host, ...argv, 'busybox'])).exitCode, 0);
  const body = JSON.parse(daemon.requests[0]?.body.toString() ?? '{}') as {
    Env: string[];
    HostConfig: { SecurityOpt: string[] };
  };
  t.strictSame(body.Env, ['A=1', 'B=two words']);
  t.strictSame(body.HostConfig.SecurityOpt, ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}']);
  const missing = await runTsdctl(['-H', daemon.host, 'run', '--env-file', join(folder, 'none'), 'busybox']);
  t.equal(missing.exitCode, 125);
  t.match(missing.stderr, /open .*none: no such file or directory/);
});
