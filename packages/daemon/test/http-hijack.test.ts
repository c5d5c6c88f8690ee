/**
 * The hand-over of a client's connection: another process gets the raw descriptor (as the supervisor does through
 * SCM_RIGHTS; here by inheritance, which shares the socket in the same way) and Node lets go of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import t from 'tap';
import { type HijackedConnection, hijack } from '../src/http/hijack.ts';
import { createServer } from '../src/http/server.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-hijack-'));
const socketPath = join(directory, 'api.sock');
const held: HijackedConnection[] = [];
let announce: (connection: HijackedConnection) => void = () => undefined;

/** The connection that the next attach request takes. */
function nextHeld(): Promise<HijackedConnection> {
  return new Promise((resolve) => {
    announce = resolve;
  });
}

async function attachRoutes(app: FastifyInstance): Promise<void> {
  app.post('/containers/:id/attach', async (request, reply) => {
    const { id } = request.params as { id: string };
    if (id === 'missing') throw new TsdError('not_found', 'No such container: missing');
    const connection = await hijack(request, reply);
    held.push(connection);
    await connection.respond({ multiplexed: id !== 'tty' });
    announce(connection);
  });
}

/** Stands for the supervisor: a process with the connection as descriptor 3, which echoes input until its end. */
async function echoElsewhere(
  connection: HijackedConnection,
): Promise<{ exited: Promise<unknown>; initialInput: string }> {
  const { descriptor, initialInput, release } = connection.detach();
  const program = `
    const { Socket } = require('net');
    const s = new Socket({ fd: 3, allowHalfOpen: true });
    s.write('[' + ${JSON.stringify(initialInput.toString())} + ']');
    s.on('data', (chunk) => s.write(chunk.toString().toUpperCase()));
    s.on('end', () => s.end('<end>'));`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit', descriptor] });
  await once(child, 'spawn');
  release();
  return { exited: once(child, 'exit'), initialInput: initialInput.toString() };
}

/** A process that prints how many bytes come out of the connection. */
function countElsewhere(descriptor: number): ChildProcess {
  return spawn(
    process.execPath,
    ['-e', 'let n=0;new (require("net").Socket)({fd:3}).on("data",c=>n+=c.length).on("end",()=>console.log(n))'],
    {
      stdio: ['ignore', 'pipe', 'inherit', descriptor],
    },
  );
}

interface Client {
  readonly socket: Socket;
  /** Everything received so far. */
  text(): string;
  /** Resolves when the received text has this. */
  until(wanted: string): Promise<void>;
  readonly closed: Promise<unknown>;
}

function open(head: string, behind: string | Buffer = ''): Client {
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  // A daemon that closes with unread input resets the connection.
  socket.on('error', () => socket.destroy());
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString();
    socket.emit('received');
  });
  const closed = once(socket, 'end');
  socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), Buffer.from(behind)]));
  return {
    socket,
    text: () => received,
    async until(wanted) {
      while (!received.includes(wanted)) await once(socket, 'received');
    },
    closed,
  };
}

const UPGRADE = 'Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp';
const SWITCHED =
  'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

const server = await createServer({
  config: { sockets: [socketPath], group: '' },
  log: pino({ level: 'silent' }),
  version: '1',
  routes: [attachRoutes],
});
await server.listen();
t.teardown(async () => {
  await server.close(100);
  rmSync(directory, { recursive: true, force: true });
});

t.test('input behind the head reaches the other process, half-close ends input only', async (t) => {
  const next = nextHeld();
  const client = open(
    `POST /v1.47/containers/x/attach?stream=1 HTTP/1.1\r\n${UPGRADE}\r\nContent-Type: text/plain`,
    'early ',
  );
  const connection = await next;
  await client.until('\r\n\r\n');
  t.equal(client.text(), SWITCHED, "the head is Docker's, byte for byte");
  client.socket.write('held ');
  await new Promise(setImmediate);
  const elsewhere = await echoElsewhere(connection);
  t.match(elsewhere.initialInput, /^early /);
  client.socket.write('late');
  await client.until('LATE');
  client.socket.end();
  await client.closed;
  const echoed = client.text().slice(SWITCHED.length);
  t.equal(echoed.replace(/[[\]]/g, '').toLowerCase(), 'early held late<end>');
  await elsewhere.exited;
});

t.test('Content-Length bytes are the body, not input, even if they come late', async (t) => {
  const next = nextHeld();
  const client = open(
    `POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}\r\nContent-Type: application/json\r\nContent-Length: 7`,
    '{"a"',
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  client.socket.write(':1}input');
  const connection = await next;
  t.equal(connection.body.toString(), '{"a":1}');
  t.equal(connection.detach().initialInput.toString(), 'input');
  connection.close();
  client.socket.destroy();
});

t.test('versions and terminals choose the content type', async (t) => {
  for (const [path, type] of [
    ['/v1.41/containers/x/attach', 'raw'],
    ['/v1.42/containers/x/attach', 'multiplexed'],
    ['/containers/tty/attach', 'raw'],
  ]) {
    const next = nextHeld();
    const client = open(`POST ${path} HTTP/1.1\r\n${UPGRADE}`);
    (await next).close();
    await client.closed;
    t.match(client.text(), `Content-Type: application/vnd.docker.${type}-stream\r\n`);
    client.socket.destroy();
  }
});

t.test('a refusal before the upgrade is plain HTTP', async (t) => {
  for (const path of ['/containers/missing/attach', '/v1.99/containers/x/attach']) {
    const client = open(`POST ${path} HTTP/1.1\r\n${UPGRADE}\r\nContent-Type: text/plain`, 'input');
    await client.closed;
    t.match(client.text(), /^HTTP\/1\.1 4\d\d [\s\S]*Connection: close[\s\S]*\{"message":"/);
    client.socket.destroy();
  }
});

t.test('an Upgrade header elsewhere is ignored', async (t) => {
  const client = open(`GET /v1.47/networks HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c`);
  await client.closed;
  t.match(client.text(), /^HTTP\/1\.1 501 /);
  client.socket.destroy();
});

t.test('the client goes while it waits', async (t) => {
  const next = nextHeld();
  const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`, 'some input');
  const connection = await next;
  t.notOk(connection.gone.aborted);
  const gone = once(connection.gone, 'abort');
  client.socket.destroy();
  await gone;
  t.throws(() => connection.detach(), { code: 'conflict' });
});

t.test('a half-closed client waits on, and is noticed when it goes', async (t) => {
  const next = nextHeld();
  const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`, 'all of it');
  client.socket.end();
  const connection = await next;
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.notOk(connection.gone.aborted, 'end of input is not the end of the client');
  const gone = once(connection.gone, 'abort');
  client.socket.destroy();
  await gone;
  t.pass('noticed');
});

t.test('a half-closed client still gets output', async (t) => {
  const next = nextHeld();
  const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`, 'all of it');
  client.socket.end();
  const connection = await next;
  await new Promise((resolve) => setTimeout(resolve, 20));
  const elsewhere = await echoElsewhere(connection);
  await client.closed;
  t.equal(client.text().slice(SWITCHED.length), '[all of it]<end>');
  await elsewhere.exited;
  client.socket.destroy();
});

t.test('held input is bounded, and all of it arrives', async (t) => {
  const next = nextHeld();
  const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`);
  const connection = await next;
  const input = Buffer.alloc(2 * 1024 * 1024, 'abcdefgh');
  client.socket.write(input);
  client.socket.end();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { descriptor, initialInput, release } = connection.detach();
  t.ok(initialInput.length >= 64 * 1024 && initialInput.length <= 256 * 1024, `${initialInput.length} bytes held`);
  const counter = countElsewhere(descriptor);
  await once(counter, 'spawn');
  release();
  const [rest] = await once(counter.stdout as Readable, 'data');
  t.equal(Number(String(rest)) + initialInput.length, input.length);
  client.socket.destroy();
});

t.test('a client with more input than is held is noticed when it goes', async (t) => {
  const next = nextHeld();
  const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`, Buffer.alloc(1024 * 1024, 'x'));
  const connection = await next;
  await new Promise((resolve) => setTimeout(resolve, 50));
  const gone = once(connection.gone, 'abort');
  client.socket.destroy();
  await gone;
  t.throws(() => connection.detach(), { code: 'conflict' });
});

t.test('nothing is read after the hand-over, whatever moment it comes', async (t) => {
  for (let delayMs = 0; delayMs < 6; delayMs++) {
    const next = nextHeld();
    const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`);
    const connection = await next;
    const input = Buffer.alloc(200_000, 'abcdefgh');
    client.socket.write(input);
    client.socket.end();
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    const { descriptor, initialInput, release } = connection.detach();
    const counter = countElsewhere(descriptor);
    await once(counter, 'spawn');
    await new Promise((resolve) => setTimeout(resolve, 5));
    release();
    const [rest] = await once(counter.stdout as Readable, 'data');
    t.equal(Number(String(rest)) + initialInput.length, input.length, `${initialInput.length} bytes held`);
    client.socket.destroy();
  }
});

t.test('without Upgrade: a bare 200, and the descriptor all the same', async (t) => {
  const next = nextHeld();
  const client = open('POST /v1.47/containers/x/attach?stream=1 HTTP/1.1\r\nHost: docker');
  const connection = await next;
  await client.until('\r\n\r\n');
  t.equal(client.text(), 'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n');
  const elsewhere = await echoElsewhere(connection);
  client.socket.write('input');
  await client.until('INPUT');
  client.socket.end();
  await client.until('<end>');
  await elsewhere.exited;
  client.socket.destroy();
});

t.test('without Upgrade and with a body: the body is not input', async (t) => {
  const next = nextHeld();
  const client = open(
    'POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 4',
    'bo',
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  client.socket.write('dy');
  const connection = await next;
  client.socket.write('input');
  await client.until('\r\n\r\n');
  await new Promise((resolve) => setTimeout(resolve, 20));
  const { initialInput, release } = connection.detach();
  t.equal(initialInput.toString(), 'input');
  release();
  await client.closed;
});

t.test('without Upgrade and with chunked input: pumped', async (t) => {
  const next = nextHeld();
  let received = '';
  const request = httpRequest({ socketPath, method: 'POST', path: '/containers/x/attach' });
  request.write('first ');
  const response = once(request, 'response');
  const elsewhere = await echoElsewhere(await next);
  const [message] = await response;
  message.on('data', (chunk: Buffer) => {
    received += chunk.toString();
  });
  request.write('second');
  request.end();
  await once(message, 'end');
  t.equal(received.toLowerCase(), '[]first second<end>');
  await elsewhere.exited;
});

t.test('closing the server closes held connections', async (t) => {
  const next = nextHeld();
  const client = open(`POST /containers/x/attach HTTP/1.1\r\n${UPGRADE}`);
  await next;
  await server.close(100);
  await client.closed;
  t.pass('closed');
  client.socket.destroy();
});
