import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createApiClient } from '../src/api/api-client.ts';
import { CannotConnectError, ConnectionLostError, cannotConnect } from '../src/api/api-error.ts';
import { encodeQuery, segment } from '../src/api/api-request.ts';
import { parseEndpoint } from '../src/api/endpoint.ts';
import { acceptUpgrade, answerJson, startFakeDaemon } from './support/fake-daemon.ts';

t.test('one connection carries request after request', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /a': (_request, response) => answerJson(response, 200, { a: 1 }),
      'POST /b': (_request, response) => void response.writeHead(204).end(),
    },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  for (let count = 0; count < 30; count++) {
    t.strictSame(await client.json({ method: 'GET', path: '/a' }), { a: 1 });
    t.equal(await client.send({ method: 'POST', path: '/b', json: { x: 1 } }), 204);
  }
  t.equal(daemon.connections(), 1);
  t.equal(daemon.requests[1]?.headers['content-type'], 'application/json');
  t.equal(daemon.requests[1]?.body.toString(), '{"x":1}');
  daemon.breakConnections();
  t.strictSame(await client.json({ method: 'GET', path: '/a' }), { a: 1 }, 'a connection that went idle is replaced');
});

t.test('a connection opened ahead that the daemon ends is not used', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: { 'GET /a': (_request, response) => answerJson(response, 200, { a: 1 }) },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  client.preconnect();
  while (daemon.connections() === 0) await new Promise((resolve) => setImmediate(resolve));
  daemon.breakConnections();
  // The client hears of it in one of its next turns.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(await client.json({ method: 'GET', path: '/a' }), { a: 1 });
  t.equal(daemon.connections(), 2);
});

t.test('errors of the daemon', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /json': (_request, response) => answerJson(response, 409, { message: 'in use' }),
      'GET /text': (_request, response) => void response.writeHead(500).end('plain words\n'),
      'GET /empty': (_request, response) => void response.writeHead(503).end(),
      'GET /html': (_request, response) => void response.writeHead(200).end('<html>'),
    },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  const get = (path: string): Promise<unknown> => client.json({ method: 'GET', path });
  await t.rejects(get('/json'), { message: 'Error response from daemon: in use', status: 409, detail: 'in use' });
  await t.rejects(get('/text'), { message: 'Error response from daemon: plain words' });
  await t.rejects(get('/empty'), { message: 'Error response from daemon: status 503 without a message' });
  await t.rejects(get('/html'), { message: /not JSON/ });
});

t.test('a hijacked connection: both directions, half-closed', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {},
    upgrade: (_request, socket) => {
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      socket.on('end', () => socket.end(Buffer.concat(received)));
      acceptUpgrade(socket);
    },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  const stream = await client.hijack({ method: 'POST', path: '/containers/x/attach' });
  t.equal(stream.multiplexed, true);
  const parts: Buffer[] = [stream.head];
  await new Promise<void>((resolve, reject) => {
    stream.connection.hand({ data: (chunk) => parts.push(chunk), end: resolve, error: reject });
    stream.connection.resume();
    stream.connection.write(Buffer.from('hel'), Buffer.from('lo'));
    stream.connection.endWriting();
  });
  t.equal(Buffer.concat(parts).toString(), 'hello');
  const [request] = daemon.requests;
  t.equal(request?.headers.upgrade, 'tcp');
});

t.test('an upload is chunked, and stops when the daemon refuses it', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /take': (request, response) => answerJson(response, 200, { bytes: request.body.length }),
    },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  async function* chunks(count: number): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < count; index++) yield new Uint8Array(100_000);
  }
  const taken = await client.json({ method: 'POST', path: '/take', stream: chunks(50) });
  t.strictSame(taken, { bytes: 5_000_000 });

  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const socketPath = join(folder, 's');
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\n\r\n{"message":"bad"}');
    });
    socket.on('error', () => socket.destroy());
  }).listen(socketPath);
  t.teardown(() => server.close());
  await once(server, 'listening');
  const refusing = createApiClient(parseEndpoint(socketPath));
  t.teardown(() => refusing.close());
  await t.rejects(refusing.request({ method: 'POST', path: '/x', stream: chunks(10_000) }), {
    message: 'Error response from daemon: bad',
  });
});

t.test('a response body that breaks off', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /cut': (_request, response) => {
        response.writeHead(200, { 'content-length': 100 });
        response.write('half');
        setImmediate(() => response.socket?.destroy());
      },
      'GET /never': (_request, response) => void response.socket?.destroy(),
    },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  const response = await client.request({ method: 'GET', path: '/cut' });
  await t.rejects(response.text(), ConnectionLostError);
  await t.rejects(client.request({ method: 'GET', path: '/never' }), ConnectionLostError);
});

t.test('a reader that is slow holds the daemon back', async (t) => {
  const total = 20_000_000;
  let written = 0;
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /big': async (_request, response) => {
        response.writeHead(200, { 'content-length': total });
        const block = Buffer.alloc(100_000);
        while (written < total) {
          written += block.length;
          if (!response.write(block)) await once(response, 'drain');
        }
        response.end();
      },
    },
  });
  const client = createApiClient(parseEndpoint(daemon.host));
  t.teardown(() => client.close());
  const response = await client.request({ method: 'GET', path: '/big' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.ok(written < total / 2, `only ${written} bytes were sent ahead`);
  let read = 0;
  for await (const chunk of response.chunks()) read += chunk.length;
  t.equal(read, total);
});

t.test('no daemon, no permission', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const connect = (path: string): Promise<unknown> =>
    createApiClient(parseEndpoint(path)).request({ method: 'GET', path: '/_ping' });
  const missing = connect(join(folder, 'none.sock'));
  await t.rejects(missing, CannotConnectError);
  await t.rejects(missing, { message: /Is the daemon running\?\nStart it with "sudo systemctl start tsd"/ });
  writeFileSync(join(folder, 'file'), '');
  chmodSync(join(folder, 'file'), 0o666);
  await t.rejects(connect(join(folder, 'file')), { message: /Is the daemon running/ });
  await t.rejects(connect(`/${'x'.repeat(200)}`), { message: /socket path .* cannot be used/ });
  const denied = Object.assign(new Error('connect EACCES'), { code: 'EACCES', syscall: 'connect' });
  t.match(cannotConnect(denied, parseEndpoint('/run/tsd/tsd.sock')).message, /Members of the group "tsd" may use it/);
});

t.test('endpoints, queries and paths', (t) => {
  t.equal(parseEndpoint(undefined).socketPath, '/run/tsd/tsd.sock');
  t.equal(parseEndpoint('unix:///a/b').socketPath, '/a/b');
  t.equal(parseEndpoint('/a/b').url, 'unix:///a/b');
  t.throws(() => parseEndpoint('tcp://1.2.3.4:5'), { message: /unable to parse host "tcp:/ });
  t.equal(
    encodeQuery({ a: undefined, b: false, c: true, d: 0, e: 'x y&', f: ['1', '2'] }),
    '?c=1&d=0&e=x%20y%26&f=1&f=2',
  );
  t.equal(encodeQuery({}), '');
  t.equal(segment('127.0.0.1:5000/a/b:c@sha256:d?#'), '127.0.0.1:5000/a/b:c@sha256:d%3F%23');
  t.end();
});
