import { readFileSync } from 'node:fs';
import { EGRESS_ALLOW_ANNOTATION } from '@tsd/shared/egress';
import { NO_FILTERS, parseFilters } from '@tsd/shared/filters';
import t from 'tap';
import { connectContainer, disconnectContainer } from '../src/containers/connect-container.ts';
import type { ContainerDeps } from '../src/containers/container-deps.ts';
import { containerFiles } from '../src/containers/container-paths.ts';
import { createContainer } from '../src/containers/create-container.ts';
import { inspectContainer } from '../src/containers/inspect-container.ts';
import { listContainers } from '../src/containers/list-containers.ts';
import { removeContainer } from '../src/containers/remove-container.ts';
import { renameContainer } from '../src/containers/rename-container.ts';
import { startContainer } from '../src/containers/start-container.ts';
import { stopContainer } from '../src/containers/stop-container.ts';
import type { NetworkRecord } from '../src/networks/network.ts';
import { createWorld, until, type World } from './container-fakes.ts';
import { idOf, networkRecord } from './network-fixture.ts';

interface Setting {
  readonly world: World;
  readonly deps: ContainerDeps;
  /** Creates and starts a container; returns its id. */
  run(name: string, host?: object, more?: object): Promise<string>;
  network(changes: Partial<NetworkRecord> & { readonly name: string; readonly digit: string }): NetworkRecord;
}

async function setUp(test: { teardown(work: () => void): void }): Promise<Setting> {
  const world = createWorld();
  test.teardown(() => world.close());
  const deps = await world.daemon();
  return {
    world,
    deps,
    async run(name, HostConfig = {}, more = {}) {
      const { Id } = createContainer(deps, { Image: 'busybox', HostConfig, ...more }, { name });
      await startContainer(deps, name);
      return Id;
    },
    network({ digit, ...changes }) {
      const subnet = { family: 4, subnet: `10.${digit}.0.0/24`, gateway: `10.${digit}.0.1`, ipRange: null } as const;
      const record = networkRecord({
        id: idOf(digit),
        bridgeName: `tsd-${digit}`,
        subnets: [{ ...subnet, auxiliaryAddresses: {} }],
        ...changes,
      });
      deps.networks.store.insert(record);
      return record;
    },
  };
}

const inspect = (deps: ContainerDeps, name: string) => inspectContainer(deps, name, { size: false });

t.test('the default network: an interface in the launch, an address while it runs', async (t) => {
  const { world, deps, run } = await setUp(t);
  const id = await run('web');
  const { input } = world.lastProcess();
  const { attachment } = deps.networks.store.endpointsOfContainer(id)[0] ?? {};
  t.match(input.networks, [
    {
      hostName: `tsdv${attachment?.id.slice(0, 11)}`,
      bridgeIndex: 7,
      name: 'eth0',
      mtu: 1500,
      addresses: ['172.17.0.2/16'],
      gateways: ['172.17.0.1'],
      isolated: false,
    },
  ]);
  t.equal(world.network.rules.size, 0, 'the packet filter is not told');
  t.match((await inspect(deps, 'web')).NetworkSettings, {
    IPAddress: '172.17.0.2',
    Gateway: '172.17.0.1',
    IPPrefixLen: 16,
    MacAddress: /^02:42/,
    Networks: { bridge: { IPAddress: '172.17.0.2', EndpointID: attachment?.id, DNSNames: null } },
  });
  const files = containerFiles(deps.roots, id);
  t.match(readFileSync(files.hosts, 'utf8'), `172.17.0.2\t${id.slice(0, 12)}\n`);
  t.match(readFileSync(files.resolvConf, 'utf8'), /^nameserver 172\.17\.0\.1\n(.*\n)*options .*ndots/);
  world.lastProcess().exit(0);
  await until(() => deps.networks.store.endpointsOfContainer(id)[0]?.attachment === null, 'the address is given back');
  const stopped = (await inspect(deps, 'web')).NetworkSettings;
  t.match(stopped, {
    IPAddress: '',
    SandboxKey: '',
    Ports: {},
    Networks: { bridge: { IPAddress: '', EndpointID: '' } },
  });
});

t.test('published ports: reserved, translated, shown, given back', async (t) => {
  const { world, deps, run } = await setUp(t);
  const PortBindings = { '80/tcp': [{ HostPort: '8080' }], '53/udp': [{ HostIp: '127.0.0.1' }] };
  const id = await run('web', { PortBindings }, { ExposedPorts: { '443/tcp': {} } });
  t.match(world.network.rules.get(id), {
    egress: null,
    ports: [
      { hostIp: '127.0.0.1', hostPort: 49153, containerPort: 53, protocol: 'udp', containerIp: '172.17.0.2' },
      { hostIp: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp', containerIp: '172.17.0.2' },
    ],
  });
  t.match((await inspect(deps, 'web')).NetworkSettings.Ports, {
    '53/udp': [{ HostIp: '127.0.0.1', HostPort: '49153' }],
    '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }],
    '443/tcp': null,
  });
  const [listed] = await listContainers(deps, { all: false, limit: 0, size: false, filters: NO_FILTERS });
  t.same(listed?.Ports, [
    { IP: '127.0.0.1', PrivatePort: 53, Type: 'udp', PublicPort: 49153 },
    { IP: '0.0.0.0', PrivatePort: 80, Type: 'tcp', PublicPort: 8080 },
    { PrivatePort: 443, Type: 'tcp' },
  ]);
  createContainer(deps, { Image: 'busybox', HostConfig: { PortBindings } }, { name: 'other' });
  await t.rejects(startContainer(deps, 'other'), { code: 'conflict', message: /endpoint other \([0-9a-f]{64}\)/ });
  t.match((await inspect(deps, 'other')).NetworkSettings.Networks['bridge'], { EndpointID: '' });
  await stopContainer(deps, 'web', {});
  await until(() => !world.network.rules.has(id), 'the rules are gone');
  t.same([...world.network.held.keys()], []);
  t.equal(await startContainer(deps, 'other'), true, 'the port is free again');
});

t.test('ps --filter publish knows the ports of -P too, inside and outside', async (t) => {
  const { deps, run } = await setUp(t);
  await run('all', { PublishAllPorts: true }, { ExposedPorts: { '80/tcp': {}, '53/udp': {} } });
  await run('none', {}, { ExposedPorts: { '80/tcp': {} } });
  const { Ports } = (await inspect(deps, 'all')).NetworkSettings;
  const outside = Ports?.['80/tcp']?.[0]?.HostPort ?? '';
  const by = async (publish: string): Promise<readonly (string | undefined)[]> => {
    const filters = parseFilters(JSON.stringify({ publish: [publish] }));
    return (await listContainers(deps, { all: true, limit: 0, size: false, filters })).map(({ Names }) => Names[0]);
  };
  for (const publish of ['80', '80/tcp', '70-90', '53/udp', outside]) t.same(await by(publish), ['/all'], publish);
  for (const publish of ['53', '80/udp', '81']) t.same(await by(publish), [], publish);
});

t.test('a start that fails gives everything back', async (t) => {
  const { world, deps } = await setUp(t);
  const HostConfig = { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } };
  const { Id } = createContainer(deps, { Image: 'busybox', HostConfig }, { name: 'web' });
  const isFree = () =>
    world.network.held.size === 0 &&
    world.network.rules.size === 0 &&
    deps.networks.store.portsOf(Id).length === 0 &&
    deps.networks.store.endpointsOfContainer(Id)[0]?.attachment === null;
  world.failNextLaunch = new Error('no launcher');
  await t.rejects(startContainer(deps, 'web'), { message: 'no launcher' });
  t.ok(isFree(), 'the launch failed');
  world.network.failNextRules = new Error('no rules');
  await t.rejects(startContainer(deps, 'web'), { message: 'no rules' });
  t.ok(isFree(), 'the rules failed');
  t.same(world.lastProcess().signals, [9], 'what ran without its ports is ended');
  t.equal(deps.store.lookup('web').status, 'created');
  await startContainer(deps, 'web');
  t.equal(world.network.rules.size, 1);
});

t.test('where ports are published that nobody names an address for', async (t) => {
  const { deps, run, network } = await setUp(t);
  const subnets = [
    ...network({ name: 'four', digit: '4' }).subnets,
    { family: 6, subnet: 'fd00:6::/64', gateway: 'fd00:6::1', ipRange: null, auxiliaryAddresses: {} } as const,
  ];
  const bound = async (digit: string, binding: string): Promise<readonly string[]> => {
    const options = { 'com.docker.network.bridge.host_binding_ipv4': binding };
    network({ name: `n${digit}`, digit, ipv6: true, subnets, options });
    const id = await run(`c${digit}`, { NetworkMode: `n${digit}`, PortBindings: { '80/tcp': [{ HostPort: '' }] } });
    return deps.networks.store.portsOf(id).map(({ hostIp }) => hostIp);
  };
  t.strictSame(await bound('5', ''), ['0.0.0.0', '::']);
  t.strictSame(await bound('6', '0.0.0.0'), ['0.0.0.0', '::']);
  t.strictSame(await bound('7', '127.0.0.1'), ['127.0.0.1'], 'not on all addresses of IPv6');
  t.strictSame(await bound('8', '::1'), ['::1'], 'as --ip can have it');
});

t.test('rules for what a container may reach hold before it begins', async (t) => {
  const { world, deps, run, network } = await setUp(t);
  world.network.failNextRules = new Error('no rules');
  const Annotations = { [EGRESS_ALLOW_ANNOTATION]: 'example.org:443' };
  await t.rejects(run('web', { Annotations }), { message: 'no rules' });
  t.equal(world.processes.length, 0);
  await startContainer(deps, 'web');
  const { id } = deps.store.lookup('web');
  t.match(world.network.rules.get(id), {
    egress: { allow: ['example.org:443'], sources: [{ bridgeName: 'tsd0', addresses: [/^172\.17\.0\./] }] },
  });
  const subnets = [
    ...network({ name: 'four', digit: '4' }).subnets,
    { family: 6, subnet: 'fd00:6::/64', gateway: 'fd00:6::1', ipRange: null, auxiliaryAddresses: {} } as const,
  ];
  network({ name: 'six', digit: '6', ipv6: true, subnets });
  await run('second', { NetworkMode: 'six', Annotations });
  const addresses = world.network.rules.get(deps.store.lookup('second').id)?.egress?.sources[0]?.addresses;
  t.match(addresses?.[1], /^fd/);
  t.match(addresses?.[2], /^fe80::/, 'the link-local address that the kernel adds');
  t.throws(
    () => createContainer(deps, { Image: 'busybox', HostConfig: { Annotations: { [EGRESS_ALLOW_ANNOTATION]: '!' } } }),
    {
      code: 'bad_parameter',
    },
  );
});

t.test('several networks: names, gateways, files; connecting and disconnecting while it runs', async (t) => {
  const { world, deps, run, network } = await setUp(t);
  const front = network({ name: 'front', digit: '3' });
  const back = network({ name: 'back', digit: '4', internal: true });
  const id = await run(
    'web',
    { NetworkMode: 'front', PortBindings: { '80/tcp': [{ HostPort: '8080' }] } },
    { NetworkingConfig: { EndpointsConfig: { front: { Aliases: ['www'] }, back: null } } },
  );
  const { pid, input } = world.lastProcess();
  t.match(input.networks, [
    { name: 'eth0', addresses: ['10.3.0.2/24'], gateways: ['10.3.0.1'] },
    { name: 'eth1', addresses: ['10.4.0.2/24'], gateways: [] },
  ]);
  const asked = await run('asker', { NetworkMode: 'front' });
  const sees = (name: string) => world.network.directory.scopeOf(front.id, '10.3.0.3')?.addresses(name) ?? null;
  t.same(sees('www'), ['10.3.0.2']);
  renameContainer(deps, 'web', 'site');
  t.same([sees('web'), sees('site')], [null, ['10.3.0.2']]);

  await disconnectContainer(deps, 'site', 'front');
  t.same(sees('www'), null);
  t.equal(world.network.removed.length, 1);
  t.same(world.network.gateways.get(pid), [], 'an internal network leads nowhere');
  t.notOk(world.network.rules.has(id), 'nothing is published there');
  const files = containerFiles(deps.roots, id);
  t.notMatch(readFileSync(files.hosts, 'utf8'), '10.3.0.2');
  t.match(readFileSync(files.resolvConf, 'utf8'), /^nameserver 10\.4\.0\.1\n/);
  await t.rejects(disconnectContainer(deps, 'site', 'front'), {
    code: 'conflict',
    message: /is not connected to the network front/,
  });

  await connectContainer(deps, 'site', front, { IPAMConfig: { IPv4Address: '10.3.0.77' }, Aliases: ['shop'] });
  t.match([...world.network.added.values()], [{ pid, planned: { name: 'eth0', addresses: ['10.3.0.77/24'] } }]);
  t.same(world.network.gateways.get(pid), [{ interface: 'eth0', address: '10.3.0.1' }]);
  t.match(world.network.rules.get(id), { ports: [{ hostPort: 8080, containerIp: '10.3.0.77' }] });
  t.same(sees('shop'), ['10.3.0.77']);
  t.match(readFileSync(files.hosts, 'utf8'), `10.3.0.77\t${id.slice(0, 12)}\n`);
  await t.rejects(connectContainer(deps, 'site', front, {}), {
    code: 'forbidden',
    message: /already exists in network front/,
  });

  world.network.failNextRules = new Error('no rules');
  const third = network({ name: 'third', digit: '5' });
  await t.rejects(connectContainer(deps, 'asker', third, {}), { message: 'no rules' });
  t.same(deps.networks.store.endpointsOf(third.id), [], 'a connection that failed leaves nothing');
  await stopContainer(deps, 'asker', {});
  await connectContainer(deps, asked, back, {});
  await startContainer(deps, 'asker');
  t.match(world.lastProcess().input.networks, [{ name: 'eth0' }, { name: 'eth1', addresses: ['10.4.0.3/24'] }]);
});

t.test('a container that ends while it is connected or disconnected leaves nothing', async (t) => {
  const { world, deps, run, network } = await setUp(t);
  const front = network({ name: 'front', digit: '3' });
  const back = network({ name: 'back', digit: '4' });
  const HostConfig = { NetworkMode: 'front', PortBindings: { '80/tcp': [{ HostPort: '8080' }] } };
  const id = await run('web', HostConfig);
  const { firewall, interfaces, store } = deps.networks;
  const isFree = () =>
    world.network.held.size === 0 &&
    world.network.rules.size === 0 &&
    store.portsOf(id).length === 0 &&
    store.endpointsOfContainer(id).every(({ attachment }) => attachment === null) &&
    [front, back].every((one) => world.network.directory.scopeOf(one.id, `10.${one.id[0]}.0.2`) === null);
  const end = async () => {
    world.lastProcess().exit(0);
    await until(isFree, 'everything is given back');
  };
  const { setContainer } = firewall;
  const endsDuring = async (work: () => Promise<void>) => {
    firewall.setContainer = async (...rules) => {
      await setContainer(...rules);
      firewall.setContainer = setContainer;
      await end();
    };
    try {
      await work();
    } finally {
      firewall.setContainer = setContainer;
    }
  };
  await endsDuring(async () => {
    await t.rejects(connectContainer(deps, 'web', back, {}), { code: 'conflict', message: /ended while/ });
  });
  t.ok(isFree(), 'connected');
  t.equal(store.endpoint(id, back.id), undefined, 'and not connected from the next start on');

  await startContainer(deps, 'web');
  await connectContainer(deps, 'web', back, {});
  await endsDuring(() => disconnectContainer(deps, 'web', 'back'));
  t.ok(isFree(), 'disconnected');
  t.equal(store.endpoint(id, back.id), undefined, 'which is what was asked for');

  await startContainer(deps, 'web');
  world.network.failNextRules = new Error('no rules');
  t.intercept(interfaces, 'remove', { value: end });
  await t.rejects(connectContainer(deps, 'web', back, {}), { message: 'no rules' });
  t.ok(isFree(), 'taken back');
});

t.test('ports that a connection reserves are known to its interface, and go with it', async (t) => {
  const { world, deps, run, network } = await setUp(t);
  const front = network({ name: 'front', digit: '3' });
  network({ name: 'inner', digit: '4', internal: true });
  const PortBindings = { '80/tcp': [{ HostPort: '8080' }] };
  const id = await run('web', { NetworkMode: 'inner', PortBindings });
  t.same(deps.networks.store.portsOf(id), [], 'an internal network publishes nothing');
  const { Networks } = (await inspect(deps, 'web')).NetworkSettings;
  t.match(Networks['inner'], { IPAddress: '10.4.0.2', IPPrefixLen: 24, Gateway: '' }, 'and has no way out to show');
  world.network.failNextRules = new Error('no rules');
  await t.rejects(connectContainer(deps, 'web', front, {}), { message: 'no rules' });
  t.same(deps.networks.store.portsOf(id), [], 'a connection that failed');
  t.notOk(world.network.held.has(id), 'has no ports');
  await connectContainer(deps, 'web', front, {});
  t.match([...world.network.added.values()], [{ planned: { addresses: [/^10\.3/], hairpin: true } }]);
  t.match(world.network.held.get(id), [{ hostPort: 8080 }]);
});

t.test("another container's network is shared while it runs", async (t) => {
  const { world, deps, run } = await setUp(t);
  const id = await run('web', {}, { Hostname: 'shop' });
  const { pid } = world.lastProcess();
  await run('sidecar', { NetworkMode: 'container:web' });
  const { input } = world.lastProcess();
  t.match(input, { networks: [], joinedNetworkPid: pid, config: { Hostname: 'shop' } });
  t.equal(input.paths.hosts, containerFiles(deps.roots, id).hosts);
  t.match(await inspect(deps, 'sidecar'), {
    HostConfig: { NetworkMode: `container:${id}` },
    NetworkSettings: { Networks: {}, Ports: {} },
  });
  const create = (body: object) => () => createContainer(deps, { Image: 'busybox', ...body });
  const HostConfig = { NetworkMode: 'container:web' };
  t.throws(create({ HostConfig, Hostname: 'x' }), { message: 'conflicting options: hostname and the network mode' });
  t.throws(create({ HostConfig: { ...HostConfig, PublishAllPorts: true } }), { message: /port publishing/ });
  await t.rejects(connectContainer(deps, 'sidecar', deps.networks.store.lookup('bridge'), {}), { code: 'conflict' });
  await stopContainer(deps, 'web', {});
  await stopContainer(deps, 'sidecar', {});
  await t.rejects(startContainer(deps, 'sidecar'), {
    message: `cannot join network of a non running container: ${id}`,
  });
});

t.test('a shared network ends with its owner: interfaces, then rules, then addresses', async (t) => {
  const { world, deps, run } = await setUp(t);
  const PortBindings = { '80/tcp': [{ HostPort: '8080' }] };
  const Annotations = { [EGRESS_ALLOW_ANNOTATION]: '192.0.2.9' };
  const id = await run('web', { PortBindings, Annotations });
  const web = world.lastProcess();
  const isAttached = () => deps.networks.store.endpointsOfContainer(id)[0]?.attachment !== null;
  await run('sidecar', { NetworkMode: 'container:web' });
  await run('third', { NetworkMode: 'container:sidecar' });
  t.equal(world.lastProcess().input.paths.hosts, containerFiles(deps.roots, id).hosts);
  await removeContainer(deps, 'sidecar', { force: true });
  const { interfaces } = deps.networks;
  const removal = Promise.withResolvers<void>();
  t.intercept(interfaces, 'remove', {
    value: async (name: string) => {
      await removal.promise;
      world.network.changes.push(`removed ${name.slice(0, 4)}`);
    },
  });
  web.exit(0);
  await until(() => deps.store.byId(id)?.status === 'exited', 'the exit is recorded');
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(isAttached() && world.network.rules.has(id) && world.network.held.has(id), 'all of it is held till then');
  removal.resolve();
  await until(() => !isAttached(), 'the address is given back');
  t.same(world.network.changes, ['removed tsdv', 'rules removed']);
  t.notOk(world.network.held.has(id));

  world.network.changes.length = 0;
  await startContainer(deps, 'web');
  world.lastProcess().exit(0);
  await until(() => !isAttached(), 'the address is given back');
  await until(() => !world.network.rules.has(id), 'the rules are gone');
  t.same(world.network.changes, ['rules removed'], 'what nobody shares goes with the namespace');
});

t.test('a daemon that starts asks the kernel whose network is shared', async (t) => {
  const { world, run } = await setUp(t);
  await run('web');
  const web = world.lastProcess();
  await run('sidecar', { NetworkMode: 'container:web' });
  const sidecar = world.lastProcess();
  await run('old', { NetworkMode: 'container:web' });
  world.network.shared.set(sidecar.pid, web.pid);
  const second = await world.daemon();
  const owner = second.store.lookup('web').id;
  t.ok(second.networks.sharers.isShared(owner));
  await stopContainer(second, 'sidecar', {});
  // The other one is in the namespace of an earlier run.
  await until(() => !second.networks.sharers.isShared(owner), 'it is shared no more');
  world.kill();
  web.exit(0);
  await world.daemon();
  t.equal(world.network.removed.length, 1, 'of one that ended meanwhile the interfaces are removed that are there');
});

t.test('links: names, lines of /etc/hosts and variables that one container has of another', async (t) => {
  const { world, deps, run, network } = await setUp(t);
  const dbId = await run('db', {}, { Hostname: 'dbhost', Env: ['SECRET=a=b'], ExposedPorts: { '80/tcp': {} } });
  const webId = await run('web', { Links: ['db:my-data'] }, { Env: ['MY_DATA_PORT=own'] });
  const { store, directory } = { store: deps.networks.store, directory: world.network.directory };
  const bridge = store.lookup('bridge').id;
  const named = () => directory.scopeOf(bridge, '172.17.0.3')?.addresses('my-data');
  const linkLines = () =>
    readFileSync(containerFiles(deps.roots, webId).hosts, 'utf8')
      .split('\n')
      .filter((line) => line.includes('my-data'));
  t.same(named(), ['172.17.0.2']);
  t.same(linkLines(), ['172.17.0.2\tmy-data dbhost db']);
  t.match(
    world.lastProcess().input.config.Env?.filter((entry) => entry.startsWith('MY_DATA')),
    [
      ...['MY_DATA_PORT=tcp://172.17.0.2:80', 'MY_DATA_PORT_80_TCP=tcp://172.17.0.2:80'],
      ...['MY_DATA_PORT_80_TCP_ADDR=172.17.0.2', 'MY_DATA_PORT_80_TCP_PORT=80', 'MY_DATA_PORT_80_TCP_PROTO=tcp'],
      ...['MY_DATA_NAME=/web/my-data', 'MY_DATA_ENV_SECRET=a=b', 'MY_DATA_PORT=own'],
    ],
    'its own come last, and win',
  );

  renameContainer(deps, 'db', 'store');
  t.same((await inspect(deps, 'web')).HostConfig.Links, ['/store:/web/my-data']);
  await stopContainer(deps, 'store', {});
  await run('between');
  await startContainer(deps, 'store');
  const address = store.endpoint(dbId, bridge)?.attachment?.ipv4;
  t.not(address, '172.17.0.2');
  t.same(named(), [address], 'after a rename and another start');
  t.same(linkLines(), [`${address}\tmy-data dbhost store`]);

  await stopContainer(deps, 'store', {});
  createContainer(deps, { Image: 'busybox', HostConfig: { Links: ['store'] } }, { name: 'late' });
  await t.rejects(startContainer(deps, 'late'), {
    message: 'Cannot link to a non running container: /store AS /late/store',
  });
  await removeContainer(deps, 'store', { force: false });
  await startContainer(deps, 'late');
  t.same((await inspect(deps, 'late')).HostConfig.Links, [], 'a link ends with its container');

  network({ name: 'far', digit: '7' });
  await run('apart', { NetworkMode: 'far' });
  createContainer(deps, { Image: 'busybox', HostConfig: { Links: ['apart'] } }, { name: 'refused' });
  await t.rejects(startContainer(deps, 'refused'), {
    code: 'conflict',
    message: 'Cannot link to /apart, as it does not belong to the default network',
  });
});

t.test('running containers keep addresses, ports, names and rules through a kill -9', async (t) => {
  const { world, run } = await setUp(t);
  const id = await run('web', { PortBindings: { '80/tcp': [{ HostPort: '8080' }], '81/tcp': [{ HostPort: '8081' }] } });
  const { pid } = world.lastProcess();
  const stopped = await run('stopped', { PortBindings: { '80/tcp': [{ HostPort: '9090' }] } });
  world.kill();
  world.lastProcess().exit(0);
  world.network.rules.clear();
  world.network.taken.add(8081);
  const endpoints = world.network.lost;
  const second = await world.daemon();
  const [endpoint] = second.networks.store.endpointsOfContainer(id);
  t.equal(endpoint?.attachment?.ipv4, '172.17.0.2');
  t.match(world.network.rules.get(id)?.ports, [{ hostPort: 8080 }, { hostPort: 8081 }]);
  t.same([...world.network.held.keys()], [id]);
  t.ok(world.log.some(({ message }) => message === 'another process has taken a published port'));
  const scope = world.network.directory.scopeOf(second.networks.store.lookup('bridge').id, '172.17.0.2');
  t.equal(scope?.containerId, id, 'the name server knows it');
  t.equal(second.networks.store.endpointsOfContainer(stopped)[0]?.attachment, null);
  t.same(second.networks.store.portsOf(stopped), []);
  t.equal(world.network.added.size, 0, 'its interface is there');

  endpoints.add(`tsdv${endpoint?.attachment?.id.slice(0, 11)}`);
  await world.daemon();
  t.match([...world.network.added.values()], [{ pid, planned: { name: 'eth0', addresses: ['172.17.0.2/16'] } }]);
  t.same(world.network.gateways.get(pid), [{ interface: 'eth0', address: '172.17.0.1' }]);
});

t.test('killed between the attachment and the launch: the address is free again', async (t) => {
  const { world, deps } = await setUp(t);
  const { Id } = createContainer(deps, { Image: 'busybox' }, { name: 'web' });
  const { id: networkId } = deps.networks.store.lookup('bridge');
  deps.networks.store.attach(Id, networkId);
  deps.networks.store.putPorts(Id, [{ containerPort: 80, protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8080 }]);
  const second = await world.daemon();
  t.equal(second.networks.store.endpoint(Id, networkId)?.attachment, null);
  t.same(second.networks.store.portsOf(Id), []);
  await removeContainer(second, 'web', { force: false });
  t.same(second.networks.store.endpointsOf(networkId), []);
});

t.test('what cannot be joined together is refused', async (t) => {
  const { deps, network } = await setUp(t);
  network({ name: 'front', digit: '3' });
  const create =
    (NetworkMode: string, EndpointsConfig: object, more: object = {}) =>
    () =>
      createContainer(deps, {
        Image: 'busybox',
        HostConfig: { NetworkMode },
        NetworkingConfig: { EndpointsConfig: EndpointsConfig as Record<string, null> },
        ...more,
      });
  t.throws(create('none', { front: {} }), { message: /one of the networks in private \(none\) mode/ });
  t.throws(create('host', { front: {} }), { message: /cannot be connected to any other network/ });
  t.throws(create('bridge', { bridge: { IPAMConfig: { IPv4Address: '172.17.0.9' } } }), {
    message: /user defined networks only/,
  });
  t.throws(create('front', { front: { IPAMConfig: { IPv4Address: '10.9.0.9' } } }), {
    message: /no configured subnet/,
  });
  t.throws(create('front', { front: { MacAddress: '02:42:00:00:00:01' } }, { MacAddress: '02:42:00:00:00:02' }), {
    message: /must match the endpoint-specific MAC/,
  });
  t.throws(create('front', {}, { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '70000' }] } } }), {
    message: /invalid port specification: "70000"/,
  });
  t.same(deps.store.list(), [], 'nothing is left');
  createContainer(deps, { Image: 'busybox', HostConfig: { NetworkMode: 'none' } }, { name: 'alone' });
  await t.rejects(connectContainer(deps, 'alone', deps.networks.store.lookup('front'), {}), {
    message: /private \(none\)/,
  });
});
