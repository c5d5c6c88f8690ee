/** Verbs of networks, with a host in memory: create, list, inspect, remove, prune, and what a start finds. */
import type { NetworkCreateBody } from '@tsd/shared/api-networks';
import { parseFilters } from '@tsd/shared/filters';
import t from 'tap';
import { createEngineEvents, type EngineEvents } from '../src/events/engine-events.ts';
import { parseAddressPool } from '../src/networks/address-pools.ts';
import { createNetwork } from '../src/networks/create-network.ts';
import { checkEndpointConfig } from '../src/networks/endpoint-config.ts';
import { inspectNetwork } from '../src/networks/inspect-network.ts';
import { prefixFrom } from '../src/networks/ip-address.ts';
import { listNetworks } from '../src/networks/list-networks.ts';
import { type NetworkRecord, predefinedNetworkId } from '../src/networks/network.ts';
import type { NetworkDeps } from '../src/networks/network-deps.ts';
import { networkFlag } from '../src/networks/network-options.ts';
import { ensurePredefinedNetworks } from '../src/networks/predefined-networks.ts';
import { reconcileNetworks } from '../src/networks/reconcile-networks.ts';
import { pruneNetworks, removeNetwork } from '../src/networks/remove-network.ts';
import { idOf, type NetworkWorld, networkRecord, networkWorld } from './network-fixture.ts';

const NOW = '2026-02-01T00:00:00.000000000Z';
const DEFAULT_BRIDGE = { bridgeName: 'tsd0', bip: null, mtu: null, ipv6: false, ip: '0.0.0.0' };

interface Host extends NetworkDeps {
  readonly events: EngineEvents;
  readonly world: NetworkWorld;
  /** What the host was asked to do, in order. */
  readonly done: string[];
  readonly logged: string[];
  /** What fails: `ensure n1`. */
  readonly failing: Set<string>;
  /** Runs when something is done. */
  during: (step: string) => void;
  nameServerPort: number;
}

function host(world = networkWorld()): Host {
  const done: string[] = [];
  const logged: string[] = [];
  const failing = new Set<string>();
  const nameOf = (id: string) =>
    [...world.store.list(), ...world.store.removing()].find((network) => network.id === id)?.name ?? id.slice(0, 8);
  const act = (step: string) => {
    done.push(step);
    made.during(step);
    if (failing.has(step)) throw new Error(`${step} failed`);
  };
  const log = (_: object, message: string) => void logged.push(message);
  const made: Host = {
    world,
    done,
    logged,
    failing,
    during: () => undefined,
    nameServerPort: 25_353,
    store: world.store,
    events: createEngineEvents(),
    bridges: {
      ensure: ({ name }) => act(`ensure ${name}`),
      remove: async ({ name }) => act(`delete ${name}`),
      removeAtOnce: ({ bridgeName }) => act(`delete at once ${bridgeName}`),
    },
    forwarding: { prepare: async ({ name }) => act(`forward ${name}`) },
    firewall: {
      setNetwork: async ({ name }) => act(`rules ${name}`),
      removeNetwork: async (id) => act(`no rules ${nameOf(id)}`),
      redirectNames: async (_, address, port) => act(`redirect ${address} ${port}`),
      egressCounters: async () => [{ rule: 'deb.debian.org:80', packets: 3 }],
      egressRefusals: async () => ({
        listed: [
          {
            bridgeName: 'tsd-1',
            source: '172.18.0.2',
            destination: '192.0.2.1',
            protocol: 'tcp',
            port: 443,
            packets: 2,
          },
          {
            bridgeName: 'tsd-2',
            source: '172.19.0.2',
            destination: '192.0.2.1',
            protocol: 'icmp',
            port: null,
            packets: 1,
          },
        ],
        unlisted: [{ bridgeName: 'tsd-1', source: '172.18.0.2', packets: 70 }],
      }),
    },
    names: {
      listen: async (_, address) => {
        act(`listen ${address}`);
        return { port: made.nameServerPort };
      },
      stop: async (id) => act(`stop ${nameOf(id)}`),
      refusedNames: () => ({ listed: [], unlisted: [] }),
    },
    addressPools: [parseAddressPool('base=172.16.0.0/12,size=16'), parseAddressPool('base=fd00:1::/48,size=64')],
    hostRoutes: () => [prefixFrom('172.16.0.0/16'), prefixFrom('192.0.2.0/24')],
    containerName: (id) => `c-${id.slice(0, 4)}`,
    log: { info: log, warn: log, error: log },
  };
  return made;
}

function create(deps: NetworkDeps, body: NetworkCreateBody) {
  return createNetwork(deps, body, NOW);
}

t.test('a network is written, isolated, made and named, in this order', async (t) => {
  const deps = host();
  const { Id, Warning } = await create(deps, { Name: 'n1', Labels: { a: 'b' }, CheckDuplicate: true } as never);
  t.match(Id, /^[0-9a-f]{64}$/);
  t.equal(Warning, '');
  t.strictSame(deps.done, ['rules n1', 'forward n1', 'ensure n1', 'listen 172.17.0.1', 'redirect 172.17.0.1 25353']);
  t.strictSame(deps.store.lookup('n1'), {
    ...networkRecord({ id: Id, createdAt: NOW, bridgeName: `tsd-${Id.slice(0, 11)}`, labels: { a: 'b' } }),
    subnets: [{ family: 4, subnet: '172.17.0.0/16', gateway: '172.17.0.1', ipRange: null, auxiliaryAddresses: {} }],
  });
  await create(deps, {
    Name: 'n2',
    EnableIPv6: true,
    Internal: true,
    Options: { 'com.docker.network.driver.mtu': '1400', 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' },
  });
  t.match(deps.store.lookup('n2'), { internal: true, mtu: 1400, ipv6: true });
  t.strictSame(
    deps.store.lookup('n2').subnets.map(({ subnet, gateway }) => [subnet, gateway]),
    [
      ['172.18.0.0/16', '172.18.0.1'],
      ['fd00:1::/64', 'fd00:1::1'],
    ],
  );
});

t.test('where something else has the name server’s port, queries are passed on to another one', async (t) => {
  const deps = host();
  deps.nameServerPort = 40000;
  await create(deps, { Name: 'n1' });
  t.equal(deps.done.at(-1), 'redirect 172.17.0.1 40000');
});

t.test('what the user asks of the subnets', async (t) => {
  const deps = host();
  const { Warning } = await create(deps, {
    Name: 'n1',
    EnableIPv6: true,
    IPAM: {
      Driver: 'default',
      Config: [
        {
          Subnet: '192.0.2.0/24',
          IPRange: '192.0.2.128/25',
          Gateway: '192.0.2.254',
          AuxiliaryAddresses: { r: '192.0.2.2' },
        },
        { Subnet: 'FD00:0:0::/64', Gateway: '' },
        {},
      ],
    },
  });
  t.match(Warning, 'the subnet 192.0.2.0/24 overlaps 192.0.2.0/24, which the host has a route to');
  t.strictSame(deps.store.lookup('n1').subnets, [
    {
      family: 4,
      subnet: '192.0.2.0/24',
      gateway: '192.0.2.254',
      ipRange: '192.0.2.128/25',
      auxiliaryAddresses: { r: '192.0.2.2' },
    },
    { family: 6, subnet: 'fd00::/64', gateway: 'fd00::1', ipRange: null, auxiliaryAddresses: {} },
  ]);
  const unused = await create(deps, { Name: 'n2', IPAM: { Config: [{ Subnet: 'fd00:9::/64' }] } });
  t.match(unused.Warning, 'the subnet fd00:9::/64 is not used: IPv6 is not enabled on this network');
  const only6 = await create(deps, { Name: 'n3', EnableIPv4: false, EnableIPv6: true });
  t.strictSame(
    deps.store.lookup(only6.Id).subnets.map(({ family }) => family),
    [6],
  );

  const refused: readonly (readonly [object, string, RegExp])[] = [
    [{ Subnet: '10.0.0.1/24' }, 'bad_parameter', /invalid subnet 10\.0\.0\.1\/24: it should be 10\.0\.0\.0\/24/],
    [{ Subnet: '10.0.0.0' }, 'bad_parameter', /invalid subnet 10\.0\.0\.0/],
    [{ Subnet: '10.0.0.0/31' }, 'bad_parameter', /no room/],
    [{ Gateway: '10.0.0.1' }, 'bad_parameter', /needs the subnet/],
    [
      { Subnet: '10.0.0.0/24', Gateway: '10.0.1.1' },
      'bad_parameter',
      /invalid gateway 10\.0\.1\.1: parent subnet 10\.0\.0\.0\/24 doesn't contain/,
    ],
    [{ Subnet: '10.0.0.0/24', Gateway: 'fd00::1' }, 'bad_parameter', /parent subnet is an IPv4 block/],
    [
      { Subnet: '10.0.0.0/24', Gateway: '10.0.0.0' },
      'bad_parameter',
      /invalid gateway 10\.0\.0\.0: it is the network's own/,
    ],
    [{ Subnet: '10.0.0.0/24', Gateway: 'x' }, 'bad_parameter', /invalid gateway x/],
    [{ Subnet: '10.0.0.0/24', IPRange: '10.0.0.0/16' }, 'bad_parameter', /bigger than its parent/],
    [{ Subnet: '10.0.0.0/24', IPRange: '10.0.1.0/25' }, 'bad_parameter', /doesn't contain ip-range/],
    [{ Subnet: '10.0.0.0/24', IPRange: '10.0.0.1/25' }, 'bad_parameter', /it should be 10\.0\.0\.0\/25/],
    [{ Subnet: '10.0.0.0/24', AuxiliaryAddresses: { a: '10.1.0.1' } }, 'bad_parameter', /invalid auxiliary address/],
    [{ Subnet: '192.0.2.0/25' }, 'forbidden', /Pool overlaps with other one on this address space.*network n1/],
  ];
  for (const [config, code, message] of refused) {
    await t.rejects(create(deps, { Name: 'x', IPAM: { Config: [config] } }), { code, message }, JSON.stringify(config));
  }
  await t.rejects(
    create(deps, { Name: 'x', IPAM: { Config: [{ Subnet: '10.0.0.0/24' }, { Subnet: '10.1.0.0/24' }] } }),
    {
      code: 'bad_parameter',
      message: /one subnet of each family/,
    },
  );
  t.equal(deps.store.list().length, 3, 'nothing is left of what was refused');
});

t.test('what is refused, with the texts of Docker', async (t) => {
  const deps = host();
  await create(deps, { Name: 'n1', Options: { 'com.docker.network.bridge.name': 'web0' } });
  const option = (key: string, value: string) => ({ Name: 'x', Options: { [key]: value } });
  const refused: readonly (readonly [NetworkCreateBody, string, string | RegExp])[] = [
    [{ Name: 'n1' }, 'conflict', 'network with name n1 already exists'],
    [{ Name: 'bridge' }, 'forbidden', 'operation is not permitted on predefined bridge network'],
    [{ Name: 'default' }, 'forbidden', /predefined default network/],
    [{ Name: 'a b' }, 'bad_parameter', /invalid network name \(a b\)/],
    [{ Name: '' }, 'bad_parameter', /invalid network name/],
    [{ Name: 'container:x' }, 'bad_parameter', /invalid network name/],
    [{ Name: 'x', Driver: 'host' }, 'forbidden', 'only one instance of "host" network is allowed'],
    [{ Name: 'x', Driver: 'macvlan' }, 'not_implemented', /macvlan is not supported by tsd: use bridge/],
    [{ Name: 'x', Driver: 'weave' }, 'not_found', /plugin weave/],
    [{ Name: 'x', Ingress: true }, 'not_implemented', /Swarm/],
    [{ Name: 'x', IPAM: { Driver: 'dhcp' } }, 'not_found', /IPAM driver dhcp/],
    [{ Name: 'x', EnableIPv4: false }, 'bad_parameter', /IPv4 or IPv6 must be enabled/],
    [
      option('com.docker.network.driver.mtu', '20'),
      'bad_parameter',
      /com\.docker\.network\.driver\.mtu: invalid value "20"/,
    ],
    [option('com.docker.network.bridge.host_binding_ipv4', '::1'), 'bad_parameter', /invalid value "::1" \(an IPv4/],
    [option('com.docker.network.bridge.name', '../../etc'), 'bad_parameter', /invalid name of a bridge/],
    [
      option('com.docker.network.bridge.name', 'web0'),
      'forbidden',
      /conflicts with network n1: networks have same bridge name web0/,
    ],
    [option('com.docker.network.bridge.enable_icc', 'no'), 'bad_parameter', /enable_icc/],
    [option('com.docker.network.bridge.gateway_mode_ipv4', 'routed'), 'not_implemented', /gateway_mode_ipv4=routed/],
    [option('tsd.egress', 'maybe'), 'bad_parameter', /tsd\.egress: invalid value "maybe"/],
    [option('tsd.allow-egress', '::bad::'), 'bad_parameter', /allow-egress/],
  ];
  for (const [body, code, message] of refused)
    await t.rejects(create(deps, body), { code, message }, JSON.stringify(body));
  t.notOk(
    networkFlag(
      networkRecord({ options: { 'com.docker.network.bridge.enable_icc': 'false' } }),
      'com.docker.network.bridge.enable_icc',
    ),
  );
});

t.test('what fails half-way leaves nothing, or is removed by the next start', async (t) => {
  const deps = host();
  deps.failing.add('ensure n1');
  await t.rejects(create(deps, { Name: 'n1' }), { message: 'ensure n1 failed' });
  t.strictSame(deps.done, ['rules n1', 'forward n1', 'ensure n1', 'stop n1', 'delete n1', 'no rules n1']);
  t.strictSame([...deps.store.list(), ...deps.store.removing()], []);

  deps.failing.add('delete n1');
  await t.rejects(create(deps, { Name: 'n1' }), { message: 'ensure n1 failed' }, 'the first error is told');
  t.strictSame(
    deps.store.removing().map(({ name }) => name),
    ['n1'],
  );
  t.match(deps.logged, ['a network that failed is removed later']);
  deps.failing.clear();
  deps.done.length = 0;
  await create(deps, { Name: 'n2' });
  await reconcileNetworks(deps);
  t.strictSame(deps.store.removing(), []);
  t.strictSame(deps.done.slice(-3), ['ensure n2', 'listen 172.18.0.1', 'redirect 172.18.0.1 25353']);
  t.ok(deps.done.includes('delete n1'));
});

t.test('a network that is removed while it is created does not stay', async (t) => {
  const deps = host();
  const removals: Promise<void>[] = [];
  deps.during = (step) => {
    if (step === 'rules n1') removals.push(removeNetwork(deps, 'n1'));
  };
  await t.rejects(create(deps, { Name: 'n1' }), { code: 'conflict', message: /removed while it was created/ });
  await Promise.all(removals);
  t.strictSame([...deps.store.list(), ...deps.store.removing()], []);
  t.ok(deps.done.findLastIndex((step) => step.startsWith('delete')) > deps.done.lastIndexOf('ensure n1'));
});

t.test('removing: not the predefined ones, nor with running containers; stopped ones do not matter', async (t) => {
  const deps = host();
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, NOW);
  const network = networkRecord();
  deps.store.insert(network);
  deps.world.attach(idOf('a'), network);
  await t.rejects(removeNetwork(deps, 'bridge'), {
    code: 'forbidden',
    message: 'bridge is a pre-defined network and cannot be removed',
  });
  await t.rejects(removeNetwork(deps, 'n9'), { code: 'not_found', message: 'network n9 not found' });
  await t.rejects(removeNetwork(deps, 'n1'), {
    code: 'forbidden',
    message: `error while removing network: network n1 has active endpoints (name:"c-aaaa" id:"${'a'.repeat(12)}")`,
  });
  t.strictSame(deps.done, []);
  deps.store.release(idOf('a'));
  await removeNetwork(deps, 'n1');
  t.strictSame(deps.done, ['stop n1', 'delete n1', 'no rules n1']);
  t.equal(deps.store.byName('n1'), undefined);
});

t.test('prune: by label and age, and on past one that fails', async (t) => {
  const deps = host();
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, NOW);
  const add = (digit: string, changes: Partial<NetworkRecord> = {}) => {
    const network = networkRecord({ id: idOf(digit), name: `n${digit}`, bridgeName: `tsd-${digit}`, ...changes });
    deps.store.insert(network);
    return network;
  };
  add('1', { labels: { keep: '1' } });
  add('2', { createdAt: '2026-03-01T00:00:00.000000000Z' });
  deps.world.attach(idOf('a'), add('3'));
  add('4');
  add('5');
  deps.failing.add('delete n4');
  const filters = parseFilters('{"label!":["keep"]}');
  t.strictSame(await pruneNetworks(deps, filters, '2026-02-02T00:00:00.000000000Z'), { NetworksDeleted: ['n5'] });
  t.match(deps.logged, ['a network could not be pruned']);
  t.strictSame(await pruneNetworks(deps, parseFilters('{"label":["none"]}'), null), { NetworksDeleted: null });
  t.strictSame(
    deps.store.list().map(({ name }) => name),
    ['bridge', 'host', 'none', 'n1', 'n2', 'n3'],
  );
});

t.test('lists and filters', (t) => {
  const deps = host();
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, NOW);
  const network = networkRecord({ labels: { a: 'b' } });
  deps.store.insert(network);
  const names = (filters?: string) => listNetworks(deps, parseFilters(filters)).map(({ Name }) => Name);
  t.strictSame(names(), ['bridge', 'host', 'none', 'n1']);
  t.strictSame(names('{"name":["n"]}'), ['none', 'n1']);
  t.strictSame(names('{"id":["111"]}'), ['n1']);
  t.strictSame(names('{"driver":["host","null"]}'), ['host', 'none']);
  t.strictSame(names('{"type":{"custom":true}}'), ['n1']);
  t.strictSame(names('{"type":["builtin"]}'), ['bridge', 'host', 'none']);
  t.strictSame(names('{"scope":["swarm"]}'), []);
  t.strictSame(names('{"label":["a=b"]}'), ['n1']);
  t.strictSame(names('{"dangling":["true"]}'), ['n1']);
  deps.world.attach(idOf('a'), network);
  t.strictSame(names('{"dangling":["1"]}'), []);
  t.throws(() => names('{"type":["x"]}'), { code: 'bad_parameter', message: "invalid filter: 'type'='x'" });
  t.throws(() => names('{"dangling":["x"]}'), { code: 'bad_parameter' });
  t.end();
});

t.test('inspect shows running containers, and what a policy let through and refused', async (t) => {
  const deps = host();
  const network = networkRecord({ egress: { default: 'deny', allow: ['deb.debian.org:80'] } });
  deps.store.insert(network);
  const { attachment } = deps.world.attach(idOf('a'), network);
  deps.world.addContainer(idOf('b'));
  deps.store.putEndpoint(idOf('b'), network, {});
  t.strictSame(await inspectNetwork(deps, '11'), {
    Name: 'n1',
    Id: idOf('1'),
    Created: '2026-01-01T00:00:00.000000000Z',
    Scope: 'local',
    Driver: 'bridge',
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {
      [idOf('a')]: {
        Name: 'c-aaaa',
        EndpointID: attachment?.id,
        MacAddress: '02:42:ac:12:00:02',
        IPv4Address: '172.18.0.2/16',
        IPv6Address: '',
      },
    },
    Options: {},
    Labels: {},
    Egress: {
      Default: 'deny',
      Allow: [{ Rule: 'deb.debian.org:80', Packets: 3 }],
      Refused: [{ Container: 'c-aaaa', Destination: '192.0.2.1', Protocol: 'tcp', Port: 443, Packets: 2 }],
      Unlisted: [{ Container: 'c-aaaa', Packets: 70 }],
    },
  });
});

t.test('the predefined networks: the same ids for ever, the same subnet after a restart', (t) => {
  const deps = host();
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, NOW);
  const first = deps.store.list();
  t.strictSame(
    first.map(({ name, driver, id }) => [name, driver, id]),
    [
      ['bridge', 'bridge', predefinedNetworkId('bridge')],
      ['host', 'host', predefinedNetworkId('host')],
      ['none', 'null', predefinedNetworkId('none')],
    ],
  );
  t.equal(first[0]?.subnets[0]?.subnet, '172.17.0.0/16', 'beside what the host has a route to');
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, '2026-05-01T00:00:00.000000000Z');
  t.strictSame(deps.store.list(), first);

  deps.store.insert(networkRecord());
  const bip = { bridgeName: 'tsd7', bip: '10.7.0.9/24', mtu: 1400, ipv6: true, ip: '127.0.0.1' };
  t.strictSame(deps.done, []);
  deps.during = () => t.equal(deps.store.lookup('bridge').bridgeName, 'tsd0', 'before its name is forgotten');
  deps.failing.add('delete at once tsd0');
  ensurePredefinedNetworks(deps, bip, NOW);
  t.strictSame(deps.done, ['delete at once tsd0'], 'a daemon that was killed has left it');
  t.match(deps.logged.splice(0), [/could not be removed/], 'which is no reason not to start');
  t.match(deps.store.byName('bridge'), {
    bridgeName: 'tsd7',
    mtu: 1400,
    ipv6: true,
    subnets: [{ subnet: '10.7.0.0/24', gateway: '10.7.0.9' }, { subnet: 'fd00:1::/64' }],
    options: { 'com.docker.network.bridge.name': 'tsd7', 'com.docker.network.driver.mtu': '1400' },
  });
  t.throws(() => ensurePredefinedNetworks(deps, { ...bip, bip: '172.18.5.1/24' }, NOW), {
    code: 'conflict',
    message: 'bip: 172.18.5.0/24 overlaps the subnet of the network n1',
  });
  const bridge = deps.store.lookup('bridge');
  deps.world.attach(idOf('a'), bridge);
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, NOW);
  t.strictSame(deps.store.lookup('bridge'), bridge, 'as it is, while a container is in it');
  t.match(deps.logged, [/settings of the default bridge have changed/]);
  t.end();
});

t.test('a start makes every bridge, whatever becomes of one', async (t) => {
  const deps = host();
  ensurePredefinedNetworks(deps, DEFAULT_BRIDGE, NOW);
  deps.store.insert(networkRecord());
  deps.failing.add('ensure bridge');
  await reconcileNetworks(deps);
  t.strictSame(deps.done, [
    'forward bridge',
    'ensure bridge',
    'forward n1',
    'ensure n1',
    'listen 172.18.0.1',
    'redirect 172.18.0.1 25353',
  ]);
  t.match(deps.logged, ['a network could not be brought up']);
});

t.test('what is asked of an endpoint', (t) => {
  const network = networkRecord();
  t.strictSame(
    checkEndpointConfig(network, {
      IPAMConfig: { IPv4Address: '172.18.0.9', IPv6Address: '', LinkLocalIPs: null },
      Aliases: ['web', 'web.example'],
      MacAddress: '02-42-AC-12-00-09',
      GwPriority: 5,
      Links: [],
      DriverOpts: null,
      NetworkID: 'x',
      EndpointID: 'x',
      IPAddress: '10.0.0.1',
    }),
    {
      IPAMConfig: { IPv4Address: '172.18.0.9' },
      Aliases: ['web', 'web.example'],
      MacAddress: '02:42:ac:12:00:09',
      GwPriority: 5,
    },
  );
  t.strictSame(checkEndpointConfig(network, {}), {});
  const bridge = networkRecord({ name: 'bridge' });
  const refused: readonly (readonly [NetworkRecord, object, string, RegExp])[] = [
    [network, { IPAMConfig: { IPv4Address: '172.18' } }, 'bad_parameter', /invalid IPv4 address: 172\.18/],
    [network, { IPAMConfig: { IPv6Address: '172.18.0.9' } }, 'bad_parameter', /invalid IPv6 address/],
    [
      network,
      { IPAMConfig: { IPv6Address: 'fd00::9' } },
      'bad_parameter',
      /no configured subnet contains IP address fd00::9/,
    ],
    [network, { IPAMConfig: { IPv4Address: '10.0.0.9' } }, 'bad_parameter', /no configured subnet contains/],
    [network, { IPAMConfig: { IPv4Address: '172.18.0.1' } }, 'bad_parameter', /Address already in use/],
    [network, { IPAMConfig: { LinkLocalIPs: ['169.254.0.1'] } }, 'not_implemented', /LinkLocalIPs/],
    [network, { DriverOpts: { 'com.docker.network.endpoint.ifname': 'x' } }, 'not_implemented', /ifname/],
    [network, { MacAddress: '02:42' }, 'bad_parameter', /invalid MAC address: address 02:42/],
    [network, { MacAddress: '01:00:5e:00:00:01' }, 'bad_parameter', /invalid MAC address/],
    [network, { MacAddress: '00:00:00:00:00:00' }, 'bad_parameter', /invalid MAC address/],
    [network, { Aliases: ['a\n127.0.0.1 evil'] }, 'bad_parameter', /Aliases: invalid name/],
    [network, { Aliases: Array.from({ length: 300 }, (_, index) => `a${index}`) }, 'bad_parameter', /at most 256/],
    [
      bridge,
      { IPAMConfig: { IPv4Address: '172.18.0.9' } },
      'bad_parameter',
      /^user specified IP address is supported on user defined networks only$/,
    ],
    [
      bridge,
      { Aliases: ['web'] },
      'bad_parameter',
      /network-scoped alias is supported only for containers in user defined networks/,
    ],
  ];
  for (const [where, config, code, message] of refused)
    t.throws(() => checkEndpointConfig(where, config), { code, message }, JSON.stringify(config).slice(0, 80));
  t.end();
});
