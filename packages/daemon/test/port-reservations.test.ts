/** Reservations of host ports, with real sockets on loopback. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'tap';
import { createPortReservations } from '../src/networks/create-port-reservations.ts';
import type { RequestedPort } from '../src/networks/port-reservations.ts';

const anyPort = (over: Partial<RequestedPort> = {}): RequestedPort => ({
  containerPort: 80,
  protocol: 'tcp',
  hostIps: ['127.0.0.1'],
  hostPorts: null,
  ...over,
});
const certainly = (port: number) => ({ first: port, last: port });

async function bindError(port: number, host = '127.0.0.1'): Promise<string | null> {
  const server = createServer();
  server.listen({ port, host });
  try {
    await once(server, 'listening');
    server.close();
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

test('a reserved port is nobody else’s until it is released', async (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const [port] = ports.reserve('a', 'web', [anyPort()]);
  const hostPort = port?.hostPort ?? 0;
  t.match(port, { containerPort: 80, protocol: 'tcp', hostIp: '127.0.0.1' });
  t.ok(hostPort > 1023);
  t.equal(await bindError(hostPort), 'EADDRINUSE', 'not another process’s');
  t.equal(await bindError(hostPort, '0.0.0.0'), 'EADDRINUSE', 'not on all addresses');
  const refused = connect(hostPort, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  t.equal(error.code, 'ECONNREFUSED', 'nobody answers there');

  t.throws(() => ports.reserve('b', 'db (e1)', [anyPort({ hostIps: ['0.0.0.0'], hostPorts: certainly(hostPort) })]), {
    code: 'conflict',
    message: `driver failed programming external connectivity on endpoint db (e1): Bind for 0.0.0.0:${hostPort} failed: port is already allocated`,
  });
  ports.release('a');
  t.equal(await bindError(hostPort), null, 'free again');
  t.strictSame(ports.reserve('b', 'db', [anyPort({ hostPorts: certainly(hostPort) })]).length, 1);
});

test('all or nothing', async (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port: foreign } = taken.address() as AddressInfo;
  const [free] = ports.reserve('x', 'x', [anyPort()]);
  const own = free?.hostPort ?? 0;
  ports.release('x');
  t.throws(
    () =>
      ports.reserve('a', 'web', [anyPort({ hostPorts: certainly(own) }), anyPort({ hostPorts: certainly(foreign) })]),
    {
      code: 'conflict',
      message: new RegExp(`failed to bind host port for 127.0.0.1:${foreign}/tcp: address already in use$`),
    },
  );
  t.equal(await bindError(own), null, 'the first port was given back');
  taken.close();
  await once(taken, 'close');
});

test('a range gives the first that is free', async (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const [first] = ports.reserve('a', 'a', [anyPort()]);
  const start = first?.hostPort ?? 0;
  const range = { first: start, last: start + 20 };
  const [second] = ports.reserve('b', 'b', [anyPort({ hostPorts: range })]);
  t.ok((second?.hostPort ?? 0) > start && (second?.hostPort ?? 0) <= range.last);
  t.throws(() => ports.reserve('c', 'c', [anyPort({ hostPorts: certainly(start) })]), { message: /already allocated/ });
});

test('one number in both families, and one for each protocol', (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const both = ports.reserve('a', 'a', [anyPort({ hostIps: ['127.0.0.1', '::1'] })]);
  t.equal(both.length, 2);
  t.equal(both[0]?.hostPort, both[1]?.hostPort);
  t.strictSame(
    both.map(({ hostIp }) => hostIp),
    ['127.0.0.1', '::1'],
  );
  const hostPorts = certainly(both[0]?.hostPort ?? 0);
  t.equal(ports.reserve('b', 'b', [anyPort({ protocol: 'udp', hostPorts })]).length, 1);
  t.throws(() => ports.reserve('c', 'c', [anyPort({ hostIps: ['::'], hostPorts })]), {
    message: new RegExp(`Bind for \\[::\\]:${hostPorts.first} failed`),
  });
  t.end();
});

test('SCTP ports collide with each other even where the kernel has no SCTP', (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const request = anyPort({ protocol: 'sctp', hostPorts: certainly(49_321) });
  t.equal(ports.reserve('a', 'a', [request]).length, 1);
  t.throws(() => ports.reserve('b', 'b', [request]), { message: /already allocated/ });
  t.end();
});

test('an address that the host does not have', (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  t.throws(() => ports.reserve('a', 'a', [anyPort({ hostIps: ['192.0.2.77'], hostPorts: certainly(8080) })]), {
    message: /failed to bind host port for 192\.0\.2\.77:8080\/tcp: cannot assign requested address$/,
  });
  t.end();
});

test('connections that a server left behind do not keep its port', async (t) => {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  client.resume();
  await once(client, 'close');
  server.close();
  await once(server, 'close');
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  t.equal(ports.reserve('a', 'a', [anyPort({ hostPorts: certainly(port) })]).length, 1);
  t.equal(await bindError(port), 'EADDRINUSE', 'and then it is reserved all the same');
});

test('reclaiming tells what another process took meanwhile', async (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const taken = createSocket('udp4').bind(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port: hostPort } = taken.address();
  const lost = { containerPort: 53, protocol: 'udp', hostIp: '127.0.0.1', hostPort } as const;
  t.match(ports.reclaim('a', [lost]), [{ port: lost, reason: /address already in use/, isTaken: true }]);
  const moved = { ...lost, hostIp: '192.0.2.1' };
  t.match(ports.reclaim('b', [moved]), [{ port: moved, reason: /cannot assign requested address/, isTaken: false }]);
  t.throws(() => ports.reserve('b', 'b', [anyPort({ protocol: 'udp', hostPorts: certainly(hostPort) })]), {
    message: /already allocated/,
  });
  taken.close();
});

test('two hundred ports take milliseconds', (t) => {
  const ports = createPortReservations();
  t.teardown(() => ports.close());
  const startedAt = performance.now();
  ports.reserve(
    'a',
    'a',
    Array.from({ length: 200 }, () => anyPort({ hostIps: ['127.0.0.1', '::1'] })),
  );
  const tookMs = performance.now() - startedAt;
  t.comment(`${tookMs.toFixed(1)} ms`);
  t.ok(tookMs < 500);
  t.end();
});
