/** The firewall's text, without a kernel: parts of the table, changes, egress rules, other programs' rules. */
import { test } from 'tap';
import { namesHost, parseEgressRule, parseEgressRules } from '../src/networks/egress-rule.ts';
import { containerPart } from '../src/networks/firewall/container-part.ts';
import { createLaidTable } from '../src/networks/firewall/laid-table.ts';
import { createLearntAddresses, learnCommands } from '../src/networks/firewall/learnt-addresses.ts';
import { networkPart } from '../src/networks/firewall/network-part.ts';
import {
  guestCommands,
  hostChains,
  listedGuests,
  obstacles,
  wantedGuests,
} from '../src/networks/firewall/other-tables.ts';
import { readRefusals, readRuleCounters, readUnlisted } from '../src/networks/firewall/read-egress.ts';
import { layFrame, tableFrame } from '../src/networks/firewall/table-frame.ts';
import { addParts, changePart, EMPTY_PART, type TablePart } from '../src/networks/firewall/table-part.ts';
import type { NetworkRecord } from '../src/networks/network.ts';
import { type Nftables, NftablesError } from '../src/os/libnftables.ts';
import type { NetlinkMessage } from '../src/os/netlink-answers.ts';
import {
  decodeGeneration,
  destinationPort,
  encodeForgetConnection,
  encodeGetGeneration,
  encodeListUdpConnections,
} from '../src/runtime/netlink/netfilter.ts';

const NETWORK: NetworkRecord = {
  id: 'a'.repeat(64),
  name: 'web',
  driver: 'bridge',
  createdAt: '2026-01-01T00:00:00.000000000Z',
  internal: false,
  attachable: false,
  ipv4: true,
  ipv6: true,
  bridgeName: 'tsd-aaaa',
  mtu: null,
  labels: {},
  options: {},
  egress: null,
  subnets: [
    { family: 4, subnet: '172.18.0.0/16', gateway: '172.18.0.1', ipRange: null, auxiliaryAddresses: {} },
    { family: 6, subnet: 'fd00:1::/64', gateway: 'fd00:1::1', ipRange: null, auxiliaryAddresses: {} },
  ],
};
const CONTAINER = 'c'.repeat(64);
const PORT = {
  protocol: 'tcp',
  hostIp: '0.0.0.0',
  hostPort: 8080,
  containerIp: '172.18.0.2',
  containerPort: 80,
} as const;

const added = (part: TablePart): readonly string[] => addParts('tsd', [part]).split('\n');

test('a network is elements', (t) => {
  t.strictSame(added(networkPart(NETWORK)), [
    'add element inet tsd bridges { "tsd-aaaa" }',
    'add element inet tsd within { "tsd-aaaa" . "tsd-aaaa" : accept }',
    'add element inet tsd leaving { "tsd-aaaa" : goto leave }',
    'add element inet tsd subnets4 { "tsd-aaaa" . 172.18.0.0/16 }',
    'add element inet tsd masqueraded4 { 172.18.0.0/16 }',
    'add element inet tsd subnets6 { "tsd-aaaa" . fd00:1::/64 }',
    'add element inet tsd masqueraded6 { fd00:1::/64 }',
  ]);
  const internal = added(networkPart({ ...NETWORK, internal: true }));
  t.ok(internal.includes('add element inet tsd leaving { "tsd-aaaa" : drop }'));
  t.ok(internal.includes('add element inet tsd internal_bridges { "tsd-aaaa" }'));
  t.notMatch(internal.join(), 'masqueraded');
  const options = {
    'com.docker.network.bridge.enable_icc': 'false',
    'com.docker.network.bridge.enable_ip_masquerade': 'false',
  };
  const closed = added(networkPart({ ...NETWORK, options }));
  t.match(closed.join(), '"tsd-aaaa" . "tsd-aaaa" : goto closed_within');
  t.notMatch(closed.join(), 'masqueraded');
  t.end();
});

test('published ports are elements, by address and family', (t) => {
  const ports = [
    PORT,
    { ...PORT, hostPort: 8081 },
    { ...PORT, hostIp: '192.0.2.1', protocol: 'udp' },
    { ...PORT, hostIp: '::', containerIp: 'fd00:1::2' },
    { ...PORT, hostIp: '2001:db8::1', containerIp: 'fd00:1::2' },
  ] as const;
  t.strictSame(added(containerPart(CONTAINER, { ports, egress: null })), [
    'add element inet tsd any_ports4 { tcp . 8080 : 172.18.0.2 . 80, tcp . 8081 : 172.18.0.2 . 80 }',
    'add element inet tsd ports4 { 192.0.2.1 . udp . 8080 : 172.18.0.2 . 80 }',
    'add element inet tsd any_ports6 { tcp . 8080 : fd00:1::2 . 80 }',
    'add element inet tsd ports6 { 2001:db8::1 . tcp . 8080 : fd00:1::2 . 80 }',
  ]);
  t.end();
});

test('egress policies have chains of their own', (t) => {
  const allow = ['10.0.0.0/8', 'api.example:443/tcp', '[2001:db8::/32]:53'];
  const network = networkPart({ ...NETWORK, egress: { default: 'deny', allow } });
  t.strictSame(
    added(network).filter((command) => command.includes('egress') && !command.startsWith('add set inet tsd refused')),
    [
      'add set inet tsd egress_aaaaaaaaaaaa_1_4 { type ipv4_addr; flags timeout; size 4096; }',
      'add set inet tsd egress_aaaaaaaaaaaa_1_6 { type ipv6_addr; flags timeout; size 4096; }',
      'add chain inet tsd egress_aaaaaaaaaaaa',
      'add rule inet tsd egress_aaaaaaaaaaaa jump egress_exempt',
      'add rule inet tsd egress_aaaaaaaaaaaa ip daddr 10.0.0.0/8 counter accept comment "0"',
      'add rule inet tsd egress_aaaaaaaaaaaa ip daddr @egress_aaaaaaaaaaaa_1_4 meta l4proto tcp th dport 443 counter accept comment "1"',
      'add rule inet tsd egress_aaaaaaaaaaaa ip6 daddr @egress_aaaaaaaaaaaa_1_6 meta l4proto tcp th dport 443 counter accept comment "1"',
      'add rule inet tsd egress_aaaaaaaaaaaa ip6 daddr 2001:db8::/32 meta l4proto { tcp, udp } th dport 53 counter accept comment "2"',
      'add rule inet tsd egress_aaaaaaaaaaaa meta l4proto { tcp, udp, sctp } update @refused_aaaaaaaaaaaa_4 { iifname . ip saddr . ip daddr . meta l4proto . th dport } goto egress_refuse',
      'add rule inet tsd egress_aaaaaaaaaaaa meta l4proto != { tcp, udp, sctp } update @refused_aaaaaaaaaaaa_other_4 { iifname . ip saddr . ip daddr . meta l4proto } goto egress_refuse',
      'add rule inet tsd egress_aaaaaaaaaaaa meta l4proto { tcp, udp, sctp } update @refused_aaaaaaaaaaaa_6 { iifname . ip6 saddr . ip6 daddr . meta l4proto . th dport } goto egress_refuse',
      'add rule inet tsd egress_aaaaaaaaaaaa meta l4proto != { tcp, udp, sctp } update @refused_aaaaaaaaaaaa_other_6 { iifname . ip6 saddr . ip6 daddr . meta l4proto } goto egress_refuse',
      'add rule inet tsd egress_aaaaaaaaaaaa goto egress_refuse_unlisted',
      'add element inet tsd egress_networks { "tsd-aaaa" : goto egress_aaaaaaaaaaaa }',
    ],
  );
  const egress = { allow: ['10.1.1.1'], sources: [{ bridgeName: 'tsd0', addresses: ['172.17.0.2', 'fd00::2'] }] };
  const isOwn = (command: string) => !command.includes('refused_');
  t.strictSame(added(containerPart(CONTAINER, { ports: [], egress })).filter(isOwn), [
    'add chain inet tsd egress_cccccccccccc',
    'add rule inet tsd egress_cccccccccccc jump egress_exempt',
    'add rule inet tsd egress_cccccccccccc ip daddr 10.1.1.1/32 counter accept comment "0"',
    'add rule inet tsd egress_cccccccccccc iifname vmap @egress_networks',
    'add rule inet tsd egress_cccccccccccc goto egress_refuse_unlisted',
    'add element inet tsd egress_containers4 { "tsd0" . 172.17.0.2 : goto egress_cccccccccccc }',
    'add element inet tsd egress_containers6 { "tsd0" . fd00::2 : goto egress_cccccccccccc }',
  ]);
  t.notMatch(added(networkPart({ ...NETWORK, egress: { default: 'allow', allow: [] } })).join(), 'egress');
  t.end();
});

test('a change is what differs, in an order that the kernel takes', (t) => {
  const one = containerPart(CONTAINER, { ports: [PORT], egress: null });
  const two = containerPart(CONTAINER, { ports: [PORT, { ...PORT, hostPort: 8081 }], egress: null });
  t.equal(changePart('tsd', one, one), '');
  t.equal(changePart('tsd', one, two), 'add element inet tsd any_ports4 { tcp . 8081 : 172.18.0.2 . 80 }');
  t.equal(changePart('tsd', two, one), 'delete element inet tsd any_ports4 { tcp . 8081 : 172.18.0.2 . 80 }');
  const moved = containerPart(CONTAINER, { ports: [{ ...PORT, containerIp: '172.18.0.3' }], egress: null });
  t.strictSame(changePart('tsd', one, moved).split('\n'), [
    'delete element inet tsd any_ports4 { tcp . 8080 : 172.18.0.2 . 80 }',
    'add element inet tsd any_ports4 { tcp . 8080 : 172.18.0.3 . 80 }',
  ]);

  const policy = (allow: string[]) => networkPart({ ...NETWORK, egress: { default: 'deny', allow } });
  t.strictSame(
    changePart('tsd', policy(['a.example']), policy(['a.example', '10.0.0.1']))
      .split('\n')
      .slice(0, 4),
    [
      'delete element inet tsd egress_networks { "tsd-aaaa" : goto egress_aaaaaaaaaaaa }',
      'flush chain inet tsd egress_aaaaaaaaaaaa',
      'delete chain inet tsd egress_aaaaaaaaaaaa',
      'add chain inet tsd egress_aaaaaaaaaaaa',
    ],
  );
  const removal = changePart('tsd', policy(['a.example']), EMPTY_PART).split('\n');
  t.ok(
    removal.indexOf('delete chain inet tsd egress_aaaaaaaaaaaa') <
      removal.indexOf('delete set inet tsd egress_aaaaaaaaaaaa_0_4'),
    'sets go after the rules that name them',
  );
  t.end();
});

test('the frame is laid down in the place of the old one', (t) => {
  const plain = layFrame('tsd', tableFrame({ publishThroughInput: false }));
  t.ok(plain.startsWith('add table inet tsd\ndelete table inet tsd\ntable inet tsd {\n'));
  t.notMatch(plain, 'admitted');
  const strict = tableFrame({ publishThroughInput: true });
  t.match(strict.chains.get('admission')?.hook, /hook input priority 300/);
  t.notMatch(strict.chains.get('prerouting')?.rules.join('\n'), 'fib daddr type local jump translate');
  t.equal(
    tableFrame({ publishThroughInput: false }).chains.get('prerouting')?.rules[0],
    'ip daddr 127.0.0.0/8 return',
    'ports of 127.0.0.1 are never translated for neighbours',
  );
  t.end();
});

test('egress rules as users write them', (t) => {
  const read = (text: string) => {
    const { destination, port, protocol } = parseEgressRule(text);
    return [destination.kind === 'name' ? destination.name : destination.prefix.bits, port, protocol];
  };
  t.strictSame(read('10.0.0.0/8'), [8, null, null]);
  t.strictSame(read('10.1.2.3:53/udp'), [32, 53, 'udp']);
  t.strictSame(read('2001:db8::/32'), [32, null, null]);
  t.strictSame(read('2001:db8::1'), [128, null, null]);
  t.strictSame(read('[2001:db8::1]:443'), [128, 443, null]);
  t.strictSame(read('Deb.Debian.ORG.:80'), ['deb.debian.org', 80, null]);
  t.strictSame(read('*.example.org'), ['*.example.org', null, null]);
  for (const wrong of [
    '',
    ':80',
    '10.0.0.0/33',
    'a b',
    '1.2.3',
    'x:0',
    'x:70000',
    'x:80/icmp',
    '[x',
    'a..b',
    '*',
    '-a.b',
    'x"; drop',
    'a\nb',
  ])
    t.throws(
      () => parseEgressRule(wrong),
      { code: 'bad_parameter', message: /^allow-egress: / },
      JSON.stringify(wrong),
    );
  t.throws(() => parseEgressRules(Array.from({ length: 257 }, () => '10.0.0.1')), { code: 'bad_parameter' });
  t.ok(namesHost(parseEgressRule('*.example.org'), 'a.b.example.org'));
  t.notOk(namesHost(parseEgressRule('*.example.org'), 'example.org'));
  t.notOk(namesHost(parseEgressRule('*.example.org'), 'badexample.org'));
  t.notOk(namesHost(parseEgressRule('10.0.0.1'), '10.0.0.1'));
  t.end();
});

test('learnt addresses are renewed when their time runs out, and not before', (t) => {
  let nowMs = 0;
  const learnt = createLearntAddresses(() => nowMs);
  const policies = [{ owner: NETWORK.id, rules: parseEgressRules(['10.0.0.1', 'a.example']) }];
  const first = learnt.missing(policies, 'a.example', ['192.0.2.1', '2001:db8::1'], 30);
  t.equal(
    learnCommands('tsd', first, nowMs, learnt.knows),
    'add element inet tsd egress_aaaaaaaaaaaa_1_4 { 192.0.2.1 timeout 90s }\n' +
      'add element inet tsd egress_aaaaaaaaaaaa_1_6 { 2001:db8::1 timeout 90s }',
  );
  learnt.remember(first);
  t.strictSame(learnt.missing(policies, 'b.example', ['192.0.2.1'], 30), [], 'another name');
  nowMs = 50_000;
  t.strictSame(learnt.missing(policies, 'a.example', ['192.0.2.1'], 30), [], 'known for long enough');
  nowMs = 70_000;
  const again = learnt.missing(policies, 'a.example', ['192.0.2.1'], 30);
  t.strictSame(learnCommands('tsd', again, nowMs, learnt.knows).split('\n'), [
    'add element inet tsd egress_aaaaaaaaaaaa_1_4 { 192.0.2.1 timeout 90s }',
    'delete element inet tsd egress_aaaaaaaaaaaa_1_4 { 192.0.2.1 }',
    'add element inet tsd egress_aaaaaaaaaaaa_1_4 { 192.0.2.1 timeout 90s }',
  ]);
  learnt.remember(again);
  nowMs = 100_000;
  t.strictSame(
    learnt.list().map(({ address }) => address),
    ['192.0.2.1'],
    'the other one has expired',
  );
  learnt.forget('egress_aaaaaaaaaaaa_1_4');
  t.strictSame(learnt.list(), []);
  t.end();
});

test('counters and refusals are read from JSON', (t) => {
  const rule = (comment: string | undefined, packets: number) => ({
    rule: {
      chain: 'x',
      ...(comment === undefined ? {} : { comment }),
      expr: [{ match: {} }, { counter: { packets, bytes: 1 } }],
    },
  });
  t.strictSame(
    readRuleCounters([{ chain: {} }, rule(undefined, 9), rule('1', 2), rule('1', 3)], ['10.0.0.0/8', 'a.example']),
    [
      { rule: '10.0.0.0/8', packets: 0 },
      { rule: 'a.example', packets: 5 },
    ],
  );
  const element = (expires: number, ...concat: (string | number)[]) => ({
    elem: { val: { concat }, timeout: 3600, expires, counter: { packets: 2, bytes: 120 } },
  });
  const sets = [
    { set: { name: 'refused_a_4', elem: [element(10, 'tsd0', '172.17.0.2', '192.0.2.1', 'tcp', 443)] } },
    { set: { name: 'refused_a_other_6', elem: [element(20, 'tsd0', 'fd00::2', '2001:db8::1', 58)] } },
    { set: { name: 'refused_a_6' } },
  ];
  t.strictSame(readRefusals(sets), [
    {
      bridgeName: 'tsd0',
      source: 'fd00::2',
      destination: '2001:db8::1',
      protocol: 'ipv6-icmp',
      port: null,
      packets: 2,
    },
    { bridgeName: 'tsd0', source: '172.17.0.2', destination: '192.0.2.1', protocol: 'tcp', port: 443, packets: 2 },
  ]);
  t.strictSame(readUnlisted([{ set: { name: 'unlisted4', elem: [element(10, 'tsd0', '172.17.0.2')] } }]), [
    { bridgeName: 'tsd0', source: '172.17.0.2', packets: 2 },
  ]);
  t.end();
});

test('rules in other programs’ chains', (t) => {
  const chain = (family: string, table: string, name: string, rest: object = {}) => ({
    chain: { family, table, name, ...rest },
  });
  const listed = [
    chain('ip', 'filter', 'FORWARD', { hook: 'forward', policy: 'drop' }),
    chain('ip', 'filter', 'DOCKER-USER'),
    chain('ip', 'filter', 'INPUT', { hook: 'input', policy: 'drop' }),
    chain('ip6', 'filter', 'FORWARD', { hook: 'forward', policy: 'drop' }),
    chain('ip6', 'filter', 'INPUT', { hook: 'input', policy: 'accept' }),
    chain('inet', 'tsd', 'forward', { hook: 'forward', policy: 'accept' }),
  ];
  const places = hostChains(listed);
  const wanted = wantedGuests('tsd', places, [{ name: 'tsd0', namePorts: [53] }]);
  const commands = guestCommands([], wanted);
  t.strictSame(commands.split('\n'), [
    'insert rule ip filter DOCKER-USER iifname "tsd0" counter accept comment "tsd: iifname tsd0"',
    'insert rule ip filter DOCKER-USER oifname "tsd0" counter accept comment "tsd: oifname tsd0"',
    'insert rule ip filter INPUT iifname "tsd0" udp dport 53 counter accept comment "tsd: iifname tsd0 udp dport 53"',
    'insert rule ip filter INPUT iifname "tsd0" tcp dport 53 counter accept comment "tsd: iifname tsd0 tcp dport 53"',
  ]);
  const there = [
    {
      rule: { family: 'ip', table: 'filter', chain: 'DOCKER-USER', handle: 5, comment: 'tsd: iifname tsd0', expr: [] },
    },
    {
      rule: {
        family: 'ip',
        table: 'filter',
        chain: 'DOCKER-USER',
        handle: 6,
        comment: 'tsd: iifname tsd-old',
        expr: [],
      },
    },
    {
      rule: {
        family: 'ip',
        table: 'filter',
        chain: 'DOCKER-USER',
        handle: 7,
        comment: 'tsd_1234: iifname tsd1',
        expr: [],
      },
    },
    { rule: { family: 'ip', table: 'filter', chain: 'DOCKER-USER', handle: 8, expr: [] } },
  ];
  const guests = listedGuests('tsd', there);
  t.strictSame(
    guests.map(({ handle }) => handle),
    [5, 6],
    'only this daemon’s',
  );
  const change = guestCommands(guests, wanted).split('\n');
  t.equal(change[0], 'delete rule ip filter DOCKER-USER handle 6');
  t.equal(change.length, 4, 'what is there already is not added');
  t.match(obstacles('tsd', listed), [/chain FORWARD of the table ip6 filter/]);
  t.match(obstacles('tsd', [chain('inet', 'firewalld', 'filter_FORWARD', { hook: 'forward', policy: 'accept' })]), [
    /firewall-cmd/,
  ]);
  t.strictSame(obstacles('tsd', []), []);
  t.end();
});

/** A library that keeps what it is told, and refuses texts with `wrong` in them. */
function fakeNftables() {
  const runs: string[] = [];
  const nft: Nftables = {
    async run(commands) {
      await new Promise((resolve) => setImmediate(resolve));
      if (commands.includes('wrong')) throw new NftablesError('Error: wrong');
      runs.push(commands);
    },
    read: async () => [],
    close: () => undefined,
  };
  return { nft, runs };
}

test('changes at the same time share a transaction; one that is refused harms no other', async (t) => {
  const { nft, runs } = fakeNftables();
  const laid = createLaidTable(nft, 'tsd', tableFrame({ publishThroughInput: false }));
  const part = (element: string): TablePart => ({ ...EMPTY_PART, elements: [{ set: 'bridges', element }] });
  await Promise.all([laid.change('a', part('a')), laid.change('b', part('b')), laid.change('c', part('c'))]);
  t.equal(runs.length, 2, 'the first alone, the others together');
  t.equal(runs[1], 'add element inet tsd bridges { b }\nadd element inet tsd bridges { c }');

  const before = laid.change('d', part('d'));
  const results = await Promise.allSettled([laid.change('e', part('wrong')), laid.change('f', part('f'))]);
  await before;
  t.strictSame(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  );
  t.strictSame([...laid.parts.keys()], ['a', 'b', 'c', 'd', 'f']);
  runs.length = 0;
  await laid.change('a', part('a'));
  t.strictSame(runs, [], 'what changes nothing runs nothing');
  await laid.change('a', null);
  t.strictSame(runs, ['delete element inet tsd bridges { a }']);
  t.notOk(await laid.isIntact(), 'nothing is there');
});

test('netfilter’s messages', (t) => {
  t.equal(encodeGetGeneration().toString('hex'), '14000000100a0500000000000000000000000000');
  const generation = Buffer.from('000000000800010000000007', 'hex');
  t.equal(decodeGeneration([{ type: 0x0a0f, body: generation }]), 7);
  t.throws(() => decodeGeneration([]));
  t.equal(
    encodeListUdpConnections(2, 5353).toString('hex'),
    // Header; AF_INET; CTA_TUPLE_ORIG { CTA_TUPLE_PROTO { UDP, 5353 } }; CTA_FILTER { protocol and port }.
    '400000000101050300000000000000000200000018000180140002800500010011000000060003001 4e90000140019800800010028000000080002 0000000000'.replaceAll(
      ' ',
      '',
    ),
  );
  const body = Buffer.from('0200000018000180140002800500010011000000060003001 4e90000'.replaceAll(' ', ''), 'hex');
  const connection: NetlinkMessage = { type: 0x0100, body };
  t.equal(destinationPort(connection), 5353);
  t.match(encodeForgetConnection(connection).toString('hex'), /^2c00000002010500.{16}02000000180001801400028005000100/);
  t.end();
});
