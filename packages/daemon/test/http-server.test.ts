import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ContainerCreateBodySchema } from '@tsd/shared/api-containers';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import t from 'tap';
import { Type } from 'typebox';
import { uploadStream } from '../src/http/body-parsing.ts';
import { type ApiServer, createServer } from '../src/http/server.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Call {
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

const directory = mkdtempSync(join(tmpdir(), 'tsd-http-'));
const socketPath = join(directory, 'api.sock');
const secondPath = join(directory, 'second.sock');
const logLines: string[] = [];
const log = pino({ level: 'debug' }, { write: (line: string) => logLines.push(line) });

function call(method: string, path: string, { headers = {}, body }: Call = {}, socket = socketPath): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath: socket, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

let waiting: () => void = () => undefined;

async function testRoutes(app: FastifyInstance): Promise<void> {
  app.post('/containers/create', { schema: { body: ContainerCreateBodySchema } }, async (request) => request.body);
  app.post('/containers/:id/start', async (request, reply) => {
    const { id } = request.params as { id: string };
    if (id === 'running') throw new TsdError('not_modified', 'already started');
    if (id === 'missing') throw new TsdError('not_found', 'No such container: missing');
    if (id === 'broken') throw new TypeError('cannot read x of undefined');
    return reply.code(204).send();
  });
  app.get('/images/:name/json', async (request) => request.params);
  app.delete('/images/:name', async (request) => request.params);
  app.get(
    '/containers/json',
    { schema: { querystring: Type.Object({ limit: Type.Optional(Type.Integer()) }) } },
    async (request) => ({ query: request.query, version: request.apiVersion, extra: undefined }),
  );
  app.post('/images/load', async (request) => {
    let bytes = 0;
    for await (const chunk of uploadStream(request)) bytes += chunk.length;
    return { bytes };
  });
  app.post('/containers/:id/wait', async (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200).flushHeaders();
    waiting();
    return reply;
  });
  app.post('/images/create', async () => {
    waiting();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { done: true };
  });
  app.get('/images/get', async (_request, reply) => {
    reply.header('content-type', 'application/x-tar');
    return reply.send(Readable.from([Buffer.from('one'), Buffer.from('two')]));
  });
}

let server: ApiServer;
t.before(async () => {
  server = await createServer({
    config: { sockets: [socketPath, secondPath], group: 'tsd-no-such-group' },
    log,
    version: '9.9.9',
    routes: [testRoutes],
  });
  await server.listen();
});
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

t.test('listens with mode 0660 on every socket', async (t) => {
  t.equal(statSync(socketPath).mode & 0o777, 0o660);
  t.equal(statSync(secondPath).mode & 0o777, 0o660);
  t.equal((await call('GET', '/containers/json', {}, secondPath)).status, 200);
});

t.test('refuses a socket that a live daemon has, or that is no socket', async (t) => {
  const build = (path: string): Promise<ApiServer> =>
    createServer({ config: { sockets: [path], group: '' }, log, version: '1', routes: [] });
  await t.rejects((await build(socketPath)).listen(), {
    code: 'conflict',
    message: /another daemon is already listening/,
  });
  const file = join(directory, 'file');
  writeFileSync(file, '');
  await t.rejects((await build(file)).listen(), { message: /is not a socket/ });
});

t.test('replaces the socket of a dead daemon, and removes its own', async (t) => {
  const path = join(directory, 'stale.sock');
  // A socket that nobody listens on: bound by a process that has ended.
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,'SIGKILL'))`,
  ]);
  t.ok(existsSync(path), 'the stale socket is there');
  const other = await createServer({ config: { sockets: [path], group: '' }, log, version: '1', routes: [] });
  await other.listen();
  t.equal((await call('GET', '/nowhere', {}, path)).status, 404);
  await other.close();
  t.notOk(existsSync(path));
});

t.test('versions', async (t) => {
  t.match(JSON.parse((await call('GET', '/v1.41/containers/json')).body), { version: '1.41' });
  t.match(JSON.parse((await call('GET', '/containers/json')).body), { version: '1.47' });
  const old = await call('GET', '/v1.12/containers/json');
  t.equal(old.status, 400);
  t.match(JSON.parse(old.body), {
    message:
      'client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version',
  });
  const late = await call('GET', '/v1.99/containers/json');
  t.equal(late.status, 400);
  t.match(JSON.parse(late.body), { message: 'client version 1.99 is too new. Maximum supported API version is 1.47' });
});

t.test("Docker's headers and content type", async (t) => {
  const { headers } = await call('GET', '/containers/json');
  t.match(headers, {
    'api-version': '1.47',
    'docker-experimental': 'false',
    ostype: 'linux',
    server: 'tsd/9.9.9 (linux)',
    'content-type': 'application/json',
  });
});

t.test('errors', async (t) => {
  const missing = await call('POST', '/v1.47/containers/missing/start');
  t.equal(missing.status, 404);
  t.equal(missing.body, '{"message":"No such container: missing"}');
  const unmodified = await call('POST', '/containers/running/start');
  t.equal(unmodified.status, 304);
  t.equal(unmodified.body, '');
  const broken = await call('POST', '/containers/broken/start');
  t.equal(broken.status, 500);
  t.match(broken.body, /internal error: cannot read x of undefined \(request /);
  t.notMatch(broken.body, /at .*\.ts/, 'no stack');
  const failure = logLines.find((line) => line.includes('request failed'));
  t.match(failure, /http-server\.test\.ts/, 'the log has the stack');
  t.match(JSON.parse(failure ?? '{}'), { requestId: String });
});

t.test('unknown paths and endpoints that are not there yet', async (t) => {
  const unknown = await call('GET', '/v1.47/nonsense');
  t.equal(unknown.status, 404);
  t.equal(unknown.body, '{"message":"page not found"}');
  for (const [method, path] of [
    ['GET', '/v1.47/networks'],
    ['POST', '/auth'],
    ['POST', '/v1.47/images/localhost:5000/a/b/push?tag=1'],
    ['POST', '/containers/x/exec'],
  ] as const) {
    const answer = await call(method, path);
    t.equal(answer.status, 501, path);
    t.match(answer.body, /of the Docker API is not supported by tsd yet/);
  }
});

t.test('bodies: as lenient as dockerd', async (t) => {
  const json = { 'content-type': 'application/json' };
  t.equal((await call('POST', '/containers/x/start')).status, 204, 'no body, no type');
  t.equal((await call('POST', '/containers/x/start', { headers: { 'content-type': 'text/plain' } })).status, 204);
  t.equal((await call('POST', '/containers/x/start', { headers: json })).status, 204, 'JSON type without a body');
  t.equal((await call('POST', '/containers/x/start', { headers: json, body: '{}' })).status, 204);
  const created = await call('POST', '/containers/create', {
    headers: json,
    body: JSON.stringify({
      Image: 'x',
      Cmd: null,
      Unknown: 1,
      HostConfig: { PortBindings: { '80/tcp': null }, Memory: 5 },
    }),
  });
  t.equal(created.status, 200);
  t.match(JSON.parse(created.body), { Cmd: null, Unknown: 1, HostConfig: { Memory: 5 } });
});

t.test('bodies: refusals name the field', async (t) => {
  const create = (body: string, type = 'application/json'): Promise<Answer> =>
    call('POST', '/containers/create', { headers: { 'content-type': type }, body });
  const wrong = await create('{"Image":"x","HostConfig":{"Memory":"100"}}');
  t.equal(wrong.status, 400);
  t.equal(wrong.body, '{"message":"invalid value for HostConfig.Memory: must be integer"}');
  t.match((await create('{"Env":["a",1]}')).body, /invalid value for Env\.1: must be string/);
  t.equal((await create('{"Image":')).body, '{"message":"invalid JSON: Unexpected end of JSON input"}');
  t.match(
    (await create('{"Image": "x",\n oops}')).body,
    /invalid JSON: Expected .* at position 16 \(line 2 column 2\)/,
  );
  t.match((await create('{"__proto__": {"x": 1}}')).body, /invalid JSON: /);
  t.match((await create('Image=x', 'text/plain')).body, /unsupported Content-Type header \(text\/plain\)/);
  t.match((await call('POST', '/containers/create')).body, /invalid value for the body/);
  t.match(
    (await call('GET', '/containers/json?limit=x')).body,
    /invalid value for query parameter limit: must be integer/,
  );
  t.match((await call('GET', '/containers/json?limit=5')).body, /"limit":5/);
  const large = await create(JSON.stringify({ Image: 'x'.repeat(9 * 1024 * 1024) }));
  t.equal(large.status, 413);
});

t.test('image names keep their slashes', async (t) => {
  const name = async (method: string, path: string): Promise<string> =>
    JSON.parse((await call(method, path)).body).name;
  t.equal(await name('GET', '/v1.47/images/localhost:5000/a/b:1/json'), 'localhost:5000/a/b:1');
  t.equal(await name('GET', '/images/alpine/json'), 'alpine');
  t.equal(await name('DELETE', '/v1.47/images/a/json'), 'a/json');
  t.equal(await name('DELETE', '/images/docker.io%2Flibrary%2Falpine?force=1'), 'docker.io/library/alpine');
  t.equal(await name('GET', `/images/x@sha256:${'a'.repeat(64)}/json`), `x@sha256:${'a'.repeat(64)}`);
});

t.test('streams in both directions', async (t) => {
  const upload = await call('POST', '/v1.47/images/load', {
    headers: { 'content-type': 'application/x-tar', 'transfer-encoding': 'chunked' },
    body: Buffer.alloc(20 * 1024 * 1024),
  });
  t.equal(upload.body, `{"bytes":${20 * 1024 * 1024}}`);
  const download = await call('GET', '/images/get');
  t.equal(download.headers['content-type'], 'application/x-tar');
  t.equal(download.body, 'onetwo');
});

t.test('a malformed request is answered in JSON', async (t) => {
  const text = await new Promise<string>((resolve) => {
    const client = connect(socketPath, () => client.write('NONSENSE\r\n\r\n'));
    let received = '';
    client.on('data', (chunk) => {
      received += chunk.toString();
    });
    client.on('close', () => resolve(received));
  });
  t.match(text, /^HTTP\/1.1 400 Bad Request\r\n[\s\S]*\{"message":"malformed HTTP request: /);
});

t.test('/openapi.json describes what is there', async (t) => {
  const document = JSON.parse((await call('GET', '/openapi.json')).body);
  t.equal(document.openapi, '3.1.0');
  t.strictSame(Object.keys(document.paths).sort(), [
    '/containers/create',
    '/containers/json',
    '/containers/{id}/start',
    '/containers/{id}/wait',
    '/images/create',
    '/images/get',
    '/images/load',
    '/images/{name}',
    '/images/{name}/json',
  ]);
  t.ok(document.paths['/containers/create'].post.requestBody.content['application/json'].schema.properties.HostConfig);
});

t.test('requests are logged with id and duration', async (t) => {
  const line = logLines
    .map((text) => JSON.parse(text))
    .find((entry) => entry.msg === 'request' && entry.status === 404);
  t.match(line, { requestId: String, method: String, url: String, durationMs: Number });
});

t.test('close cuts endless requests, waits for others and removes the sockets', async (t) => {
  chmodSync(directory, 0o700);
  /** Resolves when the handler runs; the answer is wrapped so that it is not awaited with it. */
  const begin = (method: string, path: string): Promise<{ answer: Promise<Answer> }> =>
    new Promise((resolve) => {
      const answer = call(method, path);
      answer.catch(() => undefined);
      waiting = () => resolve({ answer });
    });
  const wait = await begin('POST', '/containers/x/wait');
  const create = await begin('POST', '/images/create');
  const started = performance.now();
  await server.close();
  t.ok(performance.now() - started < 2000, 'it did not wait for the wait');
  t.notOk(existsSync(socketPath));
  t.notOk(existsSync(secondPath));
  await t.rejects(wait.answer);
  t.equal((await create.answer).body, '{"done":true}');
  await t.rejects(call('GET', '/containers/json'));
});
