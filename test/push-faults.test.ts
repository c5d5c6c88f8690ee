/** Pushes to a registry that does everything wrong: the user gets a clear error, and the next try succeeds. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import t, { type Test } from 'tap';
import { TSDCTL } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { type Misbehaviour, sendJson, startHostileRegistry } from './support/hostile-registry.ts';
import { busyboxLayer, dockerArchive, layerTar } from './support/images.ts';
import { failsFirst, refusesItsTokens } from './support/misbehaviours.ts';

const registry = await startHostileRegistry();
t.teardown(() => registry.remove());
const daemon = await startDaemon();
t.teardown(() => daemon.remove());
const { tsdctl } = daemon;
const hasDocker = spawnSync('docker', ['--version']).status === 0;

// More than the kernel takes for a reader that does not read.
const big = layerTar([{ path: 'big', text: randomBytes(24 << 20).toString('base64') }]);
const archive = dockerArchive({ tags: ['app:1'], layers: [busyboxLayer(), big] });
const loaded = await daemon.api.send('POST', '/images/load', archive, 'application/x-tar');
t.equal(loaded.status, 200);

/** A repository of its own for each test: what was pushed before would not be pushed again. */
let repositories = 0;
async function nextName(): Promise<string> {
  const name = `${registry.host}/push/app${++repositories}:1`;
  await tsdctl.output('tag', 'app:1', name);
  return name;
}

/** The hostile registry shares blobs between repositories: here nobody has them before they are uploaded. */
function forgetsBlobs(misbehaviour: Misbehaviour): Misbehaviour {
  return (request, response, honest) => {
    if (request.method === 'HEAD' && request.url?.includes('/blobs/')) return void response.writeHead(404).end();
    if (request.method === 'POST') request.url = request.url?.replace(/\?mount=.*/, '') ?? '';
    misbehaviour(request, response, honest);
  };
}

async function succeeds(t: Test, name: string, client = tsdctl): Promise<string> {
  const { code, stdout, stderr } = await client('push', name);
  t.equal(code, 0, `the push succeeds: ${stderr}`);
  const [, repository] = /^[^/]+\/(.*):1$/.exec(name) ?? [];
  const manifest = registry.find(`/v2/${repository}/manifests/1`);
  const { layers } = JSON.parse(String(manifest?.bytes)) as { layers: { digest: string; size: number }[] };
  for (const { digest, size } of layers) {
    t.equal(registry.find(`/v2/${repository}/blobs/${digest}`)?.bytes.length, size, 'the registry has the whole layer');
  }
  return stdout;
}

/** The push fails with this text; then all is well again. */
async function fails(t: Test, misbehaviour: Misbehaviour, expected: RegExp): Promise<void> {
  const name = await nextName();
  registry.misbehave(forgetsBlobs(misbehaviour));
  const { code, stdout, stderr } = await tsdctl('push', name);
  registry.misbehave(undefined);
  t.equal(code, 1, stdout);
  t.match(stderr, expected);
  t.notMatch(stderr, /internal error/, 'an error that was meant');
  t.match(stderr, /^[^\n]{1,600}\n$/, 'one line');
  t.notOk(registry.requests.some((line) => line === `PUT /v2/${name.split('/').slice(1).join('/')}`));
  await succeeds(t, name);
}

/** Only the uploads of blobs; everything else is honest. */
function uploads(method: string, misbehaviour: Misbehaviour): Misbehaviour {
  return (request, response, honest) => {
    if (request.method === method && request.url?.includes('/uploads/')) misbehaviour(request, response, honest);
    else honest();
  };
}

const isBig = (request: IncomingMessage): boolean => Number(request.headers['content-length']) > 4 << 20;

/** Reads so many bytes of a body, then calls. */
function afterBytes(request: IncomingMessage, sizeBytes: number, then: () => void): void {
  let seen = 0;
  const onData = (chunk: Buffer): void => {
    seen += chunk.length;
    if (seen < sizeBytes) return;
    request.off('data', onData);
    then();
  };
  request.on('data', onData);
}

t.test('answers that come to nothing', async (t) => {
  for (const [method, status] of [
    ['POST', 503],
    ['PATCH', 500],
    ['PUT', 502],
  ] as const) {
    await t.test(`${status} to ${method} at first`, async (t) => {
      registry.misbehave(forgetsBlobs(uploads(method, failsFirst(2, status))));
      await succeeds(t, await nextName());
      registry.misbehave(undefined);
    });
  }
  await t.test('429 to everything at first', async (t) => {
    registry.misbehave(failsFirst(2, 429, { 'retry-after': '1' }));
    await succeeds(t, await nextName());
    registry.misbehave(undefined);
  });
  await t.test('both clients say when a layer is tried again', async (t) => {
    for (const client of [tsdctl, ...(hasDocker ? [daemon.docker] : [])]) {
      registry.misbehave(forgetsBlobs(uploads('PATCH', failsFirst(1, 503, { 'retry-after': '2' }))));
      const said = await succeeds(t, await nextName(), client);
      registry.misbehave(undefined);
      t.match(said, /^([0-9a-f]{12}): Retrying in 2 seconds\n(.*\n)*\1: Retrying in 1 second$/m);
    }
  });
  const always = failsFirst(Number.POSITIVE_INFINITY, 500);
  await t.test('500 to PATCH for ever', (t) => fails(t, uploads('PATCH', always), /500/));
  await t.test('a manifest that is refused', (t) =>
    fails(
      t,
      (request, response, honest) => {
        if (request.method !== 'PUT' || !request.url?.includes('/manifests/')) return honest();
        request.resume();
        sendJson(response, 400, { errors: [{ code: 'MANIFEST_INVALID', message: 'not this one' }] });
      },
      /manifest invalid: not this one/,
    ),
  );
  await t.test('uploads that begin nowhere', (t) =>
    fails(
      t,
      uploads('POST', (_, response) => response.writeHead(202).end()),
      /names no valid location/,
    ),
  );
  await t.test('401 for ever', async (t) => {
    const before = registry.requests.length;
    await fails(t, refusesItsTokens(registry), /unauthorized|authentication required/i);
    const asked = registry.requests.slice(before).filter((line) => line.startsWith('GET /token'));
    t.ok(asked.length > 0 && asked.length < 20, 'it is not asked again and again');
  });
  await t.test('401 in the middle of an upload, for ever', (t) =>
    fails(
      t,
      uploads('PATCH', (request, response) => {
        request.resume();
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      }),
      /no basic auth credentials|unauthorized/,
    ),
  );
});

t.test('a repository that comes into being with the token to push to it', async (t) => {
  let exists = false;
  registry.misbehave((request, response, honest) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname === '/token') {
      exists ||= url.searchParams.getAll('scope').some((scope) => scope.endsWith(':pull,push'));
      return sendJson(response, 200, { token: exists ? 'push' : 'nothing' });
    }
    if (exists && request.headers.authorization === 'Bearer push') return honest();
    const challenge = `Bearer realm="http://${registry.host}/token",service="x"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  await succeeds(t, await nextName());
  registry.misbehave(undefined);
});

t.test('connections that are cut', async (t) => {
  await t.test('in the middle of uploads: the push goes on where it stood', async (t) => {
    const starts: number[] = [];
    registry.misbehave(
      forgetsBlobs(
        uploads('PATCH', (request, _response, honest) => {
          if (isBig(request)) {
            if (starts.length < 3) afterBytes(request, 3 << 20, () => request.socket.destroy());
            starts.push(Number(/^\d+/.exec(request.headers['content-range'] ?? '0')?.[0]));
          }
          honest();
        }),
      ),
    );
    await succeeds(t, await nextName());
    registry.misbehave(undefined);
    t.equal(starts[0], 0);
    t.ok(starts.length >= 4 && starts.every((start, index) => start >= index * (3 << 20)), `from ${starts}`);
  });
  await t.test('each time', (t) =>
    fails(
      t,
      uploads('PATCH', (request) => request.socket.destroy()),
      /EOF|reset/,
    ),
  );
  await t.test('instead of the last answer', (t) =>
    fails(
      t,
      uploads('PUT', (request) => request.socket.destroy()),
      /EOF|reset/,
    ),
  );
});

/** The registry reads no more of the big layer after some of it; resolves when it does. */
function stall(): Promise<IncomingMessage> {
  return new Promise((stalled) => {
    registry.misbehave(
      forgetsBlobs(
        uploads('PATCH', (request, _response, honest) => {
          if (!isBig(request)) return honest();
          afterBytes(request, 1 << 20, () => {
            request.pause();
            stalled(request);
          });
        }),
      ),
    );
  });
}

t.test('a stall, and the client gives up: the push stops', { timeout: 30_000 }, async (t) => {
  const name = await nextName();
  const stalled = stall();
  const client = spawn(TSDCTL, ['-H', `unix://${daemon.socketPath}`, 'push', name], { stdio: 'ignore' });
  const request = await stalled;
  const closed = new Promise((done) => request.socket.once('close', done));
  client.kill('SIGINT');
  // A socket that is not read from does not hear of its end.
  request.resume();
  await closed;
  registry.misbehave(undefined);
  await succeeds(t, name);
});

t.test('a stall that outlasts patience: the push goes on', { timeout: 120_000 }, async (t) => {
  const name = await nextName();
  const stalled = stall();
  const pushing = tsdctl.with({ timeoutMs: 100_000 }, 'push', name);
  await stalled;
  registry.misbehave(undefined);
  const { code, stderr } = await pushing;
  t.equal(code, 0, stderr);
});
