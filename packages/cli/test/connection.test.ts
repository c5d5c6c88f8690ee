import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Connection } from '../src/api/connection.ts';

/** A server whose first connection is given; the connection of the client to it, and what that hears. */
async function connected(t: Test): Promise<{ connection: Connection; peer: Promise<Socket>; heard: Heard }> {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  const path = join(folder, 'api.sock');
  const server = createServer({ allowHalfOpen: true }).listen(path);
  await once(server, 'listening');
  const peer = once(server, 'connection').then(([socket]) => socket as Socket);
  const connection = new Connection(path);
  const heard = listen(connection);
  t.teardown(async () => {
    connection.close();
    (await peer).destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { connection, peer, heard };
}

interface Heard {
  readonly chunks: Buffer[];
  readonly errors: NodeJS.ErrnoException[];
  readonly end: Promise<void>;
}

function listen(connection: Connection): Heard {
  const chunks: Buffer[] = [];
  const errors: NodeJS.ErrnoException[] = [];
  const end = new Promise<void>((resolve) => {
    connection.hand({ data: (chunk) => chunks.push(chunk), error: (error) => errors.push(error), end: resolve });
  });
  return { chunks, errors, end };
}

t.test('what is written before the connection is made arrives, and each direction ends alone', async (t) => {
  const { connection, peer, heard } = await connected(t);
  connection.write(Buffer.from('he'), new Uint8Array([108, 108]), Buffer.from('o'));
  await connection.sent();
  connection.endWriting();
  const socket = await peer;
  const received: Buffer[] = [];
  for await (const chunk of socket) received.push(chunk as Buffer);
  t.equal(Buffer.concat(received).toString(), 'hello');
  t.notOk(connection.ended);
  socket.end('good bye');
  await heard.end;
  t.equal(Buffer.concat(heard.chunks).toString(), 'good bye');
  t.equal(connection.bytesRead, 8);
  t.strictSame(heard.errors, []);
});

t.test('a reader that is behind is told of, and nothing is lost', async (t) => {
  const { connection, peer } = await connected(t);
  const block = Buffer.alloc(100_000, 'x');
  let written = 0;
  do written += block.length;
  while (connection.write(block));
  let sent = false;
  const sending = connection.sent().then(() => {
    sent = true;
  });
  t.notOk(sent);
  connection.endWriting();
  let received = 0;
  for await (const chunk of await peer) received += (chunk as Buffer).length;
  await sending;
  t.equal(received, written);
  t.ok(connection.write(Buffer.from('x')), 'after the end nothing waits');
});

t.test('paused, it reads nothing; resumed, everything', async (t) => {
  const { connection, peer, heard } = await connected(t);
  connection.pause();
  t.ok(connection.paused);
  const socket = await peer;
  socket.end('later');
  await once(socket, 'finish');
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(connection.bytesRead, 0);
  connection.resume();
  await heard.end;
  t.equal(Buffer.concat(heard.chunks).toString(), 'later');
});

t.test('an answer can be read although the other side takes no more', async (t) => {
  const { connection, peer, heard } = await connected(t);
  connection.pause();
  connection.write(Buffer.from('request'));
  const socket = await peer;
  await once(socket, 'data');
  socket.end('refused');
  socket.destroySoon();
  await once(socket, 'close');
  connection.write(Buffer.from('more'));
  await connection.sent();
  connection.resume();
  await heard.end;
  t.equal(Buffer.concat(heard.chunks).toString(), 'refused');
});

t.test('a connection that cannot be made: one error, then the end', async (t) => {
  for (const [path, code] of [
    ['/nonexistent/api.sock', 'ENOENT'],
    [`/${'x'.repeat(300)}`, /ENAMETOOLONG|EINVAL/],
  ] as const) {
    const connection = new Connection(path);
    const heard = listen(connection);
    connection.write(Buffer.from('x'));
    await heard.end;
    t.match(heard.errors, [{ code, syscall: 'connect', message: new RegExp(`connect .* ${path}$`) }]);
    t.ok(connection.closed);
  }
});

t.test('closing it here is an end too, and may be repeated', async (t) => {
  const { connection, peer, heard } = await connected(t);
  await peer;
  connection.close();
  connection.close();
  await heard.end;
  connection.pause();
  connection.resume();
  connection.endWriting();
  connection.ref();
  connection.unref();
  t.ok(connection.write(Buffer.from('x')));
  t.strictSame(heard.errors, []);
});

t.test('who asks for deprecations is not told of the one that the client lives with', (t) => {
  const { stderr } = spawnSync(join(import.meta.dirname, '../../../bin/tsdctl'), ['-H', '/nonexistent/s', 'ps'], {
    env: { ...process.env, NODE_PENDING_DEPRECATION: '1' },
    encoding: 'utf8',
  });
  t.match(stderr, /^tsdctl: Cannot connect to the tsd daemon/);
  t.notMatch(stderr, /Deprecation/);
  t.end();
});
