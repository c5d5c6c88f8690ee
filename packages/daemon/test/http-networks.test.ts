/** The /networks endpoints over a socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { createEngineEvents } from '../src/events/engine-events.ts';
import { networkRoutes } from '../src/http/routes/networks.ts';
import { createServer } from '../src/http/server.ts';
import { parseAddressPool } from '../src/networks/address-pools.ts';
import { ensurePredefinedNetworks } from '../src/networks/predefined-networks.ts';
import { idOf, networkWorld } from './network-fixture.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-http-networks-'));
const socketPath = join(directory, 'api.sock');
const log = pino({ level: 'silent' });
const world = networkWorld();
const connections: unknown[] = [];
const nothing = async () => undefined;
const deps = {
  store: world.store,
  bridges: { ensure: () => undefined, remove: nothing, removeAtOnce: () => undefined },
  forwarding: { prepare: nothing },
  firewall: {
    setNetwork: nothing,
    removeNetwork: nothing,
    redirectNames: nothing,
    egressCounters: async () => [],
    egressRefusals: async () => ({ listed: [], unlisted: [] }),
  },
  names: { listen: async () => ({ port: 25_353 }), stop: nothing, refusedNames: () => ({ listed: [], unlisted: [] }) },
  addressPools: [parseAddressPool('base=10.0.0.0/8,size=24')],
  hostRoutes: () => [],
  containerName: () => 'web',
  events: createEngineEvents(),
  log,
};
ensurePredefinedNetworks(
  deps,
  { bridgeName: 'tsd0', bip: null, mtu: null, ipv6: false, ip: '0.0.0.0' },
  '2026-01-01T00:00:00.000000000Z',
);
const server = await createServer({
  config: { sockets: [socketPath], group: '' },
  log,
  version: '1.2.3',
  routes: [
    (app) =>
      networkRoutes(app, {
        ...deps,
        async connectContainer(container, network, config) {
          connections.push({ container, network: network.name, config });
        },
        async disconnectContainer(container, network) {
          connections.push({ container, network });
        },
      }),
  ],
});
await server.listen();
t.teardown(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

function call(method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const request = httpRequest({ socketPath, path, method, headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, body: text === '' ? null : JSON.parse(text) });
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

t.test('from creation to removal', async (t) => {
  const body = {
    Name: 'n1',
    CheckDuplicate: true,
    Driver: 'bridge',
    IPAM: { Driver: 'default', Options: {}, Config: null },
    Options: null,
    Labels: {},
  };
  const created = await call('POST', '/v1.45/networks/create', body);
  t.match(created, { status: 201, body: { Id: /^[0-9a-f]{64}$/, Warning: '' } });
  t.match(await call('POST', '/networks/create', body), {
    status: 409,
    body: { message: 'network with name n1 already exists' },
  });
  t.match(await call('GET', '/v1.45/networks/n1'), {
    status: 200,
    body: { Name: 'n1', IPAM: { Config: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }] }, Containers: {} },
  });
  t.match(await call('GET', '/networks/n1?scope=swarm'), { status: 404 });
  const network = world.store.lookup('n1');
  world.attach(idOf('a'), network);
  const busy = await call('DELETE', '/networks/n1');
  t.match(busy, { status: 403, body: { message: /network n1 has active endpoints \(name:"web"/ } });
  t.match(await call('GET', '/v1.45/networks?filters=%7B%22name%22%3A%7B%22n1%22%3Atrue%7D%7D'), {
    status: 200,
    body: [{ Name: 'n1', Containers: {} }],
  });
  t.match((await call('GET', '/v1.24/networks')).body, [{}, {}, {}, { Containers: { [idOf('a')]: { Name: 'web' } } }]);
  world.store.release(idOf('a'));
  t.strictSame(await call('DELETE', '/v1.45/networks/n1'), { status: 204, body: null });
  t.strictSame(await call('DELETE', '/v1.45/networks/n1'), { status: 404, body: { message: 'network n1 not found' } });
});

t.test('lists, prunes and their filters', async (t) => {
  const listed = await call('GET', '/v1.45/networks');
  t.match(listed, { status: 200, body: [{ Name: 'bridge' }, { Name: 'host' }, { Name: 'none' }] });
  t.match(await call('GET', '/networks?filters=%7B%22x%22%3A%5B%22y%22%5D%7D'), {
    status: 400,
    body: { message: "invalid filter 'x'" },
  });
  t.strictSame(await call('POST', '/v1.45/networks/prune'), { status: 200, body: { NetworksDeleted: null } });
  await call('POST', '/networks/create', { Name: 'n2', Labels: { a: 'b' } });
  const prune = (filters: object) =>
    call('POST', `/networks/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`);
  t.match((await prune({ until: ['24h'] })).body, { NetworksDeleted: null });
  t.match(await prune({ dangling: ['true'] }), { status: 400 });
  t.match((await prune({ label: ['a=b'] })).body, { NetworksDeleted: ['n2'] });
});

t.test('connections are passed to the containers', async (t) => {
  const settings = { IPAMConfig: { IPv4Address: '10.0.0.9' }, Aliases: ['web'] };
  const connect = (network: string, body: unknown) => call('POST', `/v1.45/networks/${network}/connect`, body);
  t.strictSame(await connect('bridge', { Container: 'c4', EndpointConfig: settings }), { status: 200, body: null });
  t.match(await connect('bridge', { Container: 'c4', EndpointConfig: null }), { status: 200 });
  t.match(await connect('n9', { Container: 'c4' }), { status: 404, body: { message: 'network n9 not found' } });
  t.match(await connect('bridge', { EndpointConfig: {} }), { status: 400 });
  t.match(await connect('bridge', { Container: 'c4', EndpointConfig: { Aliases: 'web' } }), {
    status: 400,
    body: { message: /EndpointConfig\.Aliases/ },
  });
  const disconnect = { Container: 'c4', Force: true };
  t.strictSame(await call('POST', '/v1.45/networks/bridge/disconnect', disconnect), { status: 200, body: null });
  t.match(await call('POST', '/networks/bridge/disconnect', { Container: 'c4' }), { status: 200 });
  t.strictSame(connections, [
    { container: 'c4', network: 'bridge', config: settings },
    { container: 'c4', network: 'bridge', config: {} },
    { container: 'c4', network: 'bridge' },
    { container: 'c4', network: 'bridge' },
  ]);
});

t.test('bodies that cannot be accepted', async (t) => {
  t.match(await call('POST', '/networks/create', {}), { status: 400, body: { message: /Name/ } });
  t.match(await call('POST', '/networks/create', { Name: 'bridge' }), { status: 403 });
  t.match(await call('POST', '/networks/create', { Name: 'x', Internal: 'yes' }), {
    status: 400,
    body: { message: /Internal/ },
  });
  t.match(await call('POST', '/networks/create', { Name: 'x', IPAM: { Config: [{ Subnet: 5 }] } }), { status: 400 });
  t.match(await call('POST', '/networks/create'), { status: 400 });
  t.match(await call('DELETE', '/networks/host'), { status: 403 });
});
