/** Networks, endpoints and addresses in the database. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { idOf, networkRecord, networkWorld } from './network-fixture.ts';

const small = networkRecord({
  subnets: [
    {
      family: 4,
      subnet: '10.0.0.0/29',
      gateway: '10.0.0.1',
      ipRange: null,
      auxiliaryAddresses: { router: '10.0.0.3' },
    },
  ],
});

t.test('networks are found by name, id and beginning of an id', (t) => {
  const { store } = networkWorld();
  store.insert(networkRecord());
  store.insert(networkRecord({ id: `12${'0'.repeat(62)}`, name: 'n2', bridgeName: 'tsd-2' }));
  t.equal(store.lookup('n1').id, idOf('1'));
  t.equal(store.lookup(idOf('1')).name, 'n1');
  t.equal(store.lookup('111').name, 'n1');
  t.throws(() => store.lookup('1'), {
    code: 'bad_parameter',
    message: 'network 1 is ambiguous (2 matches found on ID prefix)',
  });
  t.throws(() => store.lookup('n3'), { code: 'not_found', message: 'network n3 not found' });
  t.throws(() => store.insert(networkRecord({ id: idOf('3') })), {
    code: 'conflict',
    message: 'network with name n1 already exists',
  });
  t.end();
});

t.test('what is being removed is hidden, and an interrupted removal is found by the next daemon', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-networks-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'tsd.db');
  const first = networkWorld(path);
  const network = networkRecord({
    egress: { default: 'deny', allow: ['deb.debian.org:80'] },
    labels: { a: 'b' },
    options: { 'com.docker.network.driver.mtu': '1400' },
    mtu: 1400,
    internal: true,
  });
  first.store.insert(network);
  first.store.insert(networkRecord({ id: idOf('2'), name: 'n2', bridgeName: 'tsd-2' }));
  first.store.markRemoving(idOf('2'));
  t.strictSame(first.store.list(), [network]);
  t.throws(() => first.store.lookup('n2'), { code: 'not_found' });
  t.throws(() => first.store.insert(networkRecord({ id: idOf('3'), name: 'n2' })), { code: 'conflict' });
  first.db.close();

  const second = networkWorld(path);
  t.strictSame(second.store.list(), [network], 'every field survives');
  t.strictSame(
    second.store.removing().map(({ name }) => name),
    ['n2'],
  );
  second.store.remove(idOf('2'));
  t.strictSame(second.store.removing(), []);
  second.db.close();
  t.end();
});

t.test('addresses: each once, never the reserved ones, used again as late as possible', (t) => {
  const world = networkWorld();
  world.store.insert(small);
  const address = (digit: string) => world.attach(idOf(digit), small).attachment?.ipv4;
  t.equal(address('a'), '10.0.0.2');
  t.equal(address('b'), '10.0.0.4', 'the auxiliary address is left out');
  world.store.release(idOf('a'));
  t.equal(address('c'), '10.0.0.5', 'not the one that was given back a moment ago');
  t.equal(address('d'), '10.0.0.6');
  t.equal(address('e'), '10.0.0.2', 'round again');
  t.throws(() => address('f'), {
    code: 'conflict',
    message: "no available IPv4 addresses on this network's address pools: n1 (10.0.0.0/29)",
  });
  world.removeContainer(idOf('c'));
  world.store.attach(idOf('f'), small.id);
  t.equal(world.store.endpointByAddress(small.id, 4, '10.0.0.5')?.containerId, idOf('f'));
  t.end();
});

t.test('an endpoint: interface, MAC, id, and what the row says again', (t) => {
  const world = networkWorld();
  const network = networkRecord();
  const other = networkRecord({
    id: idOf('2'),
    name: 'n2',
    bridgeName: 'tsd-2',
    ipv6: true,
    subnets: [
      { family: 4, subnet: '10.1.0.0/24', gateway: '10.1.0.1', ipRange: '10.1.0.128/25', auxiliaryAddresses: {} },
      { family: 6, subnet: 'fd00:1::/64', gateway: 'fd00:1::1', ipRange: null, auxiliaryAddresses: {} },
    ],
  });
  const host = networkRecord({ id: idOf('3'), name: 'host', driver: 'host', bridgeName: null, subnets: [] });
  for (const each of [network, other, host]) world.store.insert(each);
  const { attachment } = world.attach(idOf('a'), network, { Aliases: ['web'] });
  t.match(attachment, {
    ipv4: '172.18.0.2',
    ipv6: null,
    mac: '02:42:ac:12:00:02',
    interface: 'eth0',
    id: /^[0-9a-f]{64}$/,
  });
  world.store.putEndpoint(idOf('a'), other, {});
  t.match(world.store.attach(idOf('a'), other.id).attachment, {
    ipv4: '10.1.0.128',
    ipv6: 'fd00:1::2',
    mac: '02:42:0a:01:00:80',
    interface: 'eth1',
  });
  t.strictSame(world.store.attach(idOf('a'), network.id).attachment, attachment, 'attached already');
  t.strictSame(
    world.store.endpointsOfContainer(idOf('a')).map(({ networkName, position }) => [networkName, position]),
    [
      ['n1', 0],
      ['n2', 1],
    ],
  );
  t.same(
    world.store.release(idOf('a')).map(({ name }) => name),
    ['n1', 'n2'],
  );
  t.same(world.store.release(idOf('a')), []);
  t.equal(world.store.endpoint(idOf('a'), network.id)?.attachment, null);
  t.strictSame(world.store.endpoint(idOf('a'), network.id)?.config, { Aliases: ['web'] });
  const again = world.store.attach(idOf('a'), network.id).attachment;
  t.equal(again?.interface, 'eth0', 'the first free name');
  t.not(again?.id, attachment?.id);
  t.match(world.attach(idOf('b'), host).attachment, { ipv4: null, mac: null, interface: null });
  t.equal(world.store.endpointsOf(network.id).length, 1);
  world.store.dropEndpoint(idOf('a'), network.id);
  t.equal(world.store.endpointsOf(network.id).length, 0);
  t.end();
});

t.test('addresses that were asked for are kept for their container', (t) => {
  const world = networkWorld();
  world.store.insert(small);
  world.addContainer(idOf('a'));
  world.store.putEndpoint(idOf('a'), small, {
    IPAMConfig: { IPv4Address: '10.0.0.2' },
    MacAddress: '02:42:0a:00:00:05',
  });
  t.equal(world.attach(idOf('b'), small).attachment?.ipv4, '10.0.0.4', 'stopped, but it asked for .2');
  t.match(world.store.attach(idOf('a'), small.id).attachment, { ipv4: '10.0.0.2', mac: '02:42:0a:00:00:05' });
  const c = world.attach(idOf('c'), small).attachment;
  t.equal(c?.ipv4, '10.0.0.5');
  t.match(c?.mac, /^02:42:/);
  t.not(c?.mac, '02:42:0a:00:00:05', 'a MAC that somebody asked for is not derived again');
  const refused: readonly (readonly [string, object, RegExp])[] = [
    [
      'd',
      { IPAMConfig: { IPv4Address: '10.0.0.2' } },
      /^Address already in use: 10\.0\.0\.2 in network n1 belongs to container a{12}$/,
    ],
    ['e', { IPAMConfig: { IPv4Address: '10.0.0.1' } }, /Address already in use: 10\.0\.0\.1 is the gateway/],
    ['f', { IPAMConfig: { IPv4Address: '10.0.0.7' } }, /broadcast/],
    ['0', { IPAMConfig: { IPv4Address: '10.9.0.2' } }, /no configured subnet contains IP address 10\.9\.0\.2/],
    ['1', { MacAddress: '02:42:0a:00:00:05' }, /MAC address already in use/],
  ];
  for (const [digit, config, message] of refused) {
    t.throws(() => world.attach(idOf(digit), small, config), { code: 'conflict', message });
    t.equal(world.store.endpoint(idOf(digit), small.id)?.attachment, null, 'nothing of it is kept');
  }
  t.end();
});

t.test('stopped containers do not keep a network, and their rows go with them', (t) => {
  const world = networkWorld();
  world.store.insert(small);
  world.addContainer(idOf('a'));
  world.store.putEndpoint(idOf('a'), small, {});
  world.store.markRemoving(small.id);
  world.store.remove(small.id);
  t.throws(() => world.store.attach(idOf('a'), small.id), { code: 'not_found', message: 'network n1 not found' });
  world.store.putPorts(idOf('a'), [{ containerPort: 80, protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080 }]);
  world.store.putPorts(idOf('a'), [{ containerPort: 81, protocol: 'udp', hostIp: '::', hostPort: 8081 }]);
  t.strictSame(
    world.store.allPorts(),
    new Map([[idOf('a'), [{ containerPort: 81, protocol: 'udp', hostIp: '::', hostPort: 8081 }]]]),
  );
  world.removeContainer(idOf('a'));
  t.strictSame(world.store.portsOf(idOf('a')), []);
  t.strictSame(world.store.endpointsOfContainer(idOf('a')), []);
  t.end();
});

t.test('500 containers get 500 addresses quickly', (t) => {
  const world = networkWorld();
  const network = networkRecord();
  world.store.insert(network);
  const ids = Array.from({ length: 500 }, (_, index) => index.toString(16).padStart(64, '0'));
  const addresses = ids.map((id) => world.attach(id, network).attachment?.ipv4);
  t.equal(new Set(addresses).size, 500);
  const startedAt = performance.now();
  for (const id of ids) {
    world.store.release(id);
    world.store.attach(id, network.id);
  }
  const perStartMs = (performance.now() - startedAt) / 500;
  t.comment(`${perStartMs.toFixed(3)} ms for a release and an attachment`);
  t.ok(perStartMs < 5, `${perStartMs} ms`);
  t.end();
});
