/** The name server of containers, asked from loopback addresses that stand for containers. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { type Answer, AUTHENTIC_DATA, type DecodedPacket, encode, TRUNCATED_RESPONSE } from 'dns-packet';
import t, { type Test } from 'tap';
import { parseEgressRules } from '../src/networks/egress-rule.ts';
import type { LearntAnswer } from '../src/networks/firewall.ts';
import { createNameServer } from '../src/networks/name-server/create-name-server.ts';
import {
  createNameDirectory,
  type NameDirectory,
  type NamedEndpoint,
} from '../src/networks/name-server/name-directory.ts';
import type { NameServer } from '../src/networks/name-server/name-server.ts';
import {
  type Asked,
  addressRecord,
  ask,
  askOverTcp,
  askRaw,
  dataOf,
  type FakeServer,
  query,
  type Respond,
  rcodeOf,
  startFakeServer,
} from './fake-dns.ts';

const GATEWAY = '127.0.1.1';
const OTHER_GATEWAY = '127.0.2.1';
const UPSTREAM = '127.0.3.1';
const ID = {
  web: 'a'.repeat(64),
  db: 'b'.repeat(64),
  far: 'c'.repeat(64),
  both: 'd'.repeat(64),
  inside: '1'.repeat(64),
};

interface World {
  readonly directory: NameDirectory;
  readonly names: NameServer;
  readonly upstream: FakeServer;
  readonly resolvConf: string;
  readonly learnt: LearntAnswer[];
  readonly web: Asked;
  readonly far: Asked;
}

function endpoint(containerId: string, name: string, ipv4: string, more: Partial<NamedEndpoint> = {}): NamedEndpoint {
  const network = { networkId: 'net', networkName: 'Backend' };
  const plain = { internal: false, links: {}, ipv6: null, dnsServers: [], egress: null };
  return { containerId, names: [name], ipv4, ...network, ...plain, ...more };
}

async function setUp(t: Test, respond: Respond = () => ({ answers: [] })): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'tsd-names-'));
  const resolvConf = join(folder, 'resolv.conf');
  writeFileSync(resolvConf, `# of a test\nsearch example.org\nnameserver ${UPSTREAM}\noptions edns0 trust-ad\n`);
  const upstream = await startFakeServer(UPSTREAM, respond);
  const learnt: LearntAnswer[] = [];
  const directory = createNameDirectory();
  const names = createNameServer({
    directory,
    learn: async (answer) => {
      learnt.push(answer);
    },
    log: { warn: (fields, message) => t.fail(message, fields) },
    port: 0,
    serverPort: upstream.port,
    resolvConfPath: resolvConf,
  });
  t.teardown(async () => {
    await names.close();
    await upstream.close();
    rmSync(folder, { recursive: true });
  });
  const [{ port }, { port: otherPort }] = await Promise.all([
    names.listen('net', GATEWAY),
    names.listen('other', OTHER_GATEWAY),
  ]);
  directory.put(endpoint(ID.web, 'web', '127.0.1.2', { names: ['web', 'front', 'host1'], ipv6: 'fd00::0:2' }));
  directory.put(endpoint(ID.db, 'db', '127.0.1.3', { names: ['db', 'front'] }));
  directory.put(endpoint(ID.far, 'far', '127.0.2.2', { networkId: 'other', networkName: 'other' }));
  return {
    directory,
    names,
    upstream,
    resolvConf,
    learnt,
    web: { source: '127.0.1.2', server: GATEWAY, port },
    far: { source: '127.0.2.2', server: OTHER_GATEWAY, port: otherPort },
  };
}

t.test('names of containers', async (t) => {
  const { web, far, directory, upstream } = await setUp(t, () => ({ flags: 3 }));
  const cases: [string, 'A' | 'AAAA' | 'PTR' | 'MX', unknown[]][] = [
    ['db', 'A', ['127.0.1.3']],
    ['DB', 'A', ['127.0.1.3']],
    ['host1', 'A', ['127.0.1.2']],
    ['web', 'AAAA', ['fd00::2']],
    ['db.backend', 'A', ['127.0.1.3']],
    [ID.db.slice(0, 12), 'A', ['127.0.1.3']],
    ['db', 'AAAA', []],
    ['db', 'MX', []],
    ['3.1.0.127.in-addr.arpa', 'PTR', ['db.Backend']],
    [`2.0.${'0.'.repeat(28)}d.f.ip6.arpa`, 'PTR', ['web.Backend']],
  ];
  for (const [name, type, expected] of cases) {
    const answer = await ask(web, query(name, type));
    t.equal(rcodeOf(answer), 'NOERROR', name);
    t.same(dataOf(answer), expected, `${name} ${type}`);
    t.equal(answer?.questions?.[0]?.name, name, 'the question comes back in its own letters');
  }
  t.equal(upstream.queries.length, 0, 'nobody outside hears of them');
  t.equal(rcodeOf(await ask(web, query('far'))), 'NXDOMAIN', 'names of other networks are not there');
  t.equal(rcodeOf(await ask(far, query('db.Backend'))), 'NXDOMAIN');
  t.equal(rcodeOf(await ask(far, query('3.1.0.127.in-addr.arpa', 'PTR'))), 'NXDOMAIN');
  t.equal(upstream.queries.length, 3);

  directory.put(endpoint(ID.both, 'both', '127.0.1.4', { links: { store: 'db' } }));
  directory.put(endpoint(ID.both, 'both', '127.0.2.4', { networkId: 'other', networkName: 'other' }));
  const both = { ...web, source: '127.0.1.4' };
  t.same(dataOf(await ask(both, query('far'))), ['127.0.2.2'], 'who is in two networks sees both');
  t.same(dataOf(await ask(both, query('db'))), ['127.0.1.3']);
  t.same(dataOf(await ask(both, query('store'))), ['127.0.1.3'], 'a link');
  t.equal(rcodeOf(await ask(web, query('store'))), 'NXDOMAIN', 'a link is only for who made it');

  directory.drop(ID.both, 'other');
  t.equal(rcodeOf(await ask(both, query('far'))), 'NXDOMAIN');
  directory.drop(ID.db);
  directory.drop(ID.db);
  t.equal(rcodeOf(await ask(web, query('db'))), 'NXDOMAIN');
  t.same(dataOf(await ask(web, query('front'))), ['127.0.1.2']);
});

t.test('the default network has links only', async (t) => {
  const { web, directory } = await setUp(t, () => ({ flags: 3 }));
  const network = { networkName: 'bridge' };
  directory.put(endpoint(ID.web, 'web', '127.0.1.2', network));
  directory.put(endpoint(ID.db, 'db', '127.0.1.3', { ...network, links: { shop: 'web' } }));
  t.equal(rcodeOf(await ask(web, query('db'))), 'NXDOMAIN');
  t.equal(rcodeOf(await ask(web, query('3.1.0.127.in-addr.arpa', 'PTR'))), 'NXDOMAIN');
  t.same(dataOf(await ask({ ...web, source: '127.0.1.3' }, query('shop'))), ['127.0.1.2']);
});

t.test('a name of several containers', async (t) => {
  const { web, directory } = await setUp(t);
  const firsts = new Set<unknown>();
  for (let count = 0; count < 60; count++) {
    const [first, ...rest] = dataOf(await ask(web, query('front')));
    t.equal(rest.length, 1);
    firsts.add(first);
  }
  t.same([...firsts].sort(), ['127.0.1.2', '127.0.1.3'], 'each comes first at times');
  for (let index = 0; index < 200; index++)
    directory.put(endpoint(String(index).padStart(64, 'e'), `w${index}`, `127.0.9.${index}`, { names: ['many'] }));
  const cut = await ask(web, query('many'));
  t.equal(cut?.flag_tc, true);
  t.equal(cut?.answers?.length, Math.floor((512 - 12 - 10) / 16), 'as many as fit');
  const more = await ask(web, query('many', 'A', { additionals: [optWith(4096)] }));
  t.equal(more?.answers?.length, Math.floor((1232 - 12 - 10 - 11) / 16));
  const [all] = await askOverTcp(web, [query('many')]);
  t.equal(new Set(dataOf(all ?? null)).size, 200);
  t.equal(all?.flag_tc, false);
});

t.test('what is nobody in the network gets no answer', async (t) => {
  const { web, far } = await setUp(t);
  t.equal(await ask({ ...web, source: '127.0.1.99' }, query('db'), 200), null);
  t.equal(await ask({ ...web, source: far.source }, query('far'), 200), null, 'a container of another network');
  const socket = connect({ host: GATEWAY, port: web.port, localAddress: '127.0.1.99' });
  await once(socket.resume(), 'close');
});

t.test('forwards, and keeps what it heard', async (t) => {
  const { web, upstream } = await setUp(t, ({ questions }) => ({
    flags: AUTHENTIC_DATA,
    answers: [
      { type: 'CNAME', name: questions?.[0]?.name ?? '', ttl: 300, data: 'real.example.org' },
      addressRecord('real.example.org', '192.0.2.1', 90),
    ],
    additionals: [optWith(512)],
  }));
  const first = await ask(web, query('Www.Example.org', 'A', { id: 7 }));
  t.equal(first?.id, 7);
  t.equal(first?.questions?.[0]?.name, 'Www.Example.org');
  t.same(dataOf(first), ['real.example.org', '192.0.2.1']);
  t.same(first?.additionals, [], 'no EDNS to who did not ask with it');
  const again = await ask(web, query('www.EXAMPLE.org', 'A', { id: 8 }));
  t.equal(again?.questions?.[0]?.name, 'www.EXAMPLE.org');
  t.same(dataOf(again), ['real.example.org', '192.0.2.1']);
  t.equal(upstream.queries.length, 1, 'from the cache');
  await ask(web, query('other.example.org'));
  const [one, two] = upstream.queries;
  t.not(one?.query.id, 7, 'the id is another one');
  t.not(one?.sourcePort, two?.sourcePort);
  t.equal(one?.query.flag_rd, true);
  t.match(one?.query.additionals?.[0], { type: 'OPT', udpPayloadSize: 1232, flag_do: false });
  const secure = await ask(web, query('www.example.org', 'A', { additionals: [optWith(4096, true)] }));
  t.match(secure?.additionals?.[0], { type: 'OPT', flag_do: true });
  t.match(
    upstream.queries[2]?.query.additionals?.[0],
    { flag_do: true },
    'who checks signatures asks for other records',
  );
});

t.test('record types that nobody knows arrive as they were sent', async (t) => {
  const { web } = await setUp(t, ({ id = 0 }) => {
    const message = Buffer.from('000085800001000100000000036e6577076578616d706c6500ff01000', 'hex');
    const head = Buffer.concat([message.subarray(0, 12), Buffer.from('\x03new\x07example\0', 'latin1')]);
    head.writeUInt16BE(id, 0);
    return Buffer.concat([head, Buffer.from('ff010001c00cff010001000000780003c00c99', 'hex')]);
  });
  const asked = Buffer.concat([
    Buffer.from('beef01000001000000000000', 'hex'),
    Buffer.from('\x03nEw\x07example\0', 'latin1'),
    Buffer.from('ff010001', 'hex'),
  ]);
  const reply = await askRaw(web, asked);
  t.equal(reply?.subarray(-19).toString('hex'), 'ff010001c00cff010001000000780003c00c99');
  t.equal(reply?.toString('latin1', 12, 17), '\x03nEw\x07');
});

t.test('an answer that does not fit comes over TCP', async (t) => {
  const texts = Array.from(
    { length: 40 },
    (_, index): Answer => ({ type: 'TXT', name: 'big.example.org', ttl: 60, data: `${index}`.padEnd(100, '.') }),
  );
  const { web, upstream } = await setUp(t, (_, over) =>
    over === 'tcp' ? { answers: texts } : { flags: TRUNCATED_RESPONSE },
  );
  const cut = await ask(web, query('big.example.org', 'TXT'));
  t.equal(cut?.flag_tc, true, 'the container is told so too');
  t.same(cut?.answers, []);
  t.same(
    upstream.queries.map(({ over }) => over),
    ['udp', 'tcp'],
  );
  const both = await askOverTcp(web, [query('big.example.org', 'TXT', { id: 1 }), query('db', 'A', { id: 2 })]);
  const [whole, small] = [1, 2].map((id) => both.find((answer) => answer.id === id));
  t.equal(whole?.answers?.length, 40);
  t.same(dataOf(small ?? null), ['127.0.1.3'], 'more than one query of a connection');
  t.equal(upstream.queries.length, 2, 'from the cache');
});

t.test('names that are not there', async (t) => {
  const soa: Answer = {
    type: 'SOA',
    name: 'example.org',
    ttl: 3600,
    data: { mname: 'ns', rname: 'root', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 30 },
  };
  const { web, upstream } = await setUp(t, ({ questions }) =>
    questions?.[0]?.name === 'gone.example.org' ? { flags: 3, authorities: [soa] } : { flags: 3 },
  );
  for (let count = 0; count < 3; count++) t.equal(rcodeOf(await ask(web, query('gone.example.org'))), 'NXDOMAIN');
  t.equal(upstream.queries.length, 1, 'remembered');
  for (let count = 0; count < 3; count++) await ask(web, query('nobody.knows.for.how.long'));
  t.equal(upstream.queries.length, 4);
});

t.test('servers that are silent, broken or lying', async (t) => {
  const answerTo = ({ questions }: DecodedPacket) => ({
    answers: [addressRecord(questions?.[0]?.name ?? '', '192.0.2.9')],
  });
  const { web, upstream, resolvConf } = await setUp(t, () => null);
  const second = await startFakeServer('127.0.3.2', answerTo, upstream.port);
  t.teardown(() => second.close());
  writeFileSync(resolvConf, `nameserver ${UPSTREAM}\nnameserver 127.0.3.2\n`);
  t.same(dataOf(await ask(web, query('one.example.org'), 5000)), ['192.0.2.9'], 'the second server after the first');
  const started = performance.now();
  t.same(dataOf(await ask(web, query('two.example.org'))), ['192.0.2.9']);
  t.ok(performance.now() - started < 1000, 'the silent one is asked last for a while');
  upstream.respond = answerTo;
  second.respond = () => ({ flags: 2 });
  t.same(dataOf(await ask(web, query('three.example.org'))), ['192.0.2.9'], 'a failure is tried elsewhere');

  second.respond = () => ({ flags: 5 });
  upstream.respond = () => ({ flags: 2 });
  t.ok(
    ['REFUSED', 'SERVFAIL'].includes(rcodeOf(await ask(web, query('four.example.org'))) ?? ''),
    'what they say, where none helps',
  );

  upstream.respond = (asked) =>
    encode({
      type: 'response',
      id: asked.id ?? 0,
      questions: [{ type: 'A', name: 'evil.example.org' }],
      ...answerTo(asked),
    });
  second.respond = (asked) =>
    encode({ type: 'response', id: ((asked.id ?? 0) + 1) % 65_536, questions: asked.questions, ...answerTo(asked) });
  t.equal(
    rcodeOf(await ask(web, query('five.example.org'), 6000)),
    'SERVFAIL',
    'answers to other questions and ids count for nothing',
  );

  upstream.respond = (asked) =>
    encode({ type: 'response', id: asked.id ?? 0, questions: asked.questions, ...answerTo(asked) }).subarray(0, -2);
  second.respond = answerTo;
  t.same(dataOf(await ask(web, query('six.example.org'))), ['192.0.2.9'], 'a record that is cut off');
  await second.close();
  await upstream.close();
  t.equal(rcodeOf(await ask(web, query('seven.example.org'))), 'SERVFAIL', 'nobody listens');
  const reopened = await startFakeServer(UPSTREAM, answerTo, upstream.port);
  const third = await startFakeServer('127.0.3.2', answerTo, upstream.port);
  upstream.close = () => reopened.close();
  second.close = () => third.close();
  t.same(dataOf(await ask(web, query('seven.example.org'))), ['192.0.2.9'], 'and back again');
});

t.test('a lost datagram is sent again; a server that knows no EDNS is asked without', async (t) => {
  let seen = 0;
  const { web, upstream } = await setUp(t, ({ questions, additionals }) => {
    if (questions?.[0]?.name === 'old.example.org' && additionals?.length !== 0) return { flags: 1 };
    seen += 1;
    return seen === 1 ? null : { answers: [addressRecord(questions?.[0]?.name ?? '', '192.0.2.4')] };
  });
  t.same(dataOf(await ask(web, query('lost.example.org'))), ['192.0.2.4']);
  t.same(new Set(upstream.queries.map(({ query: { id } }) => id)).size, 1);
  t.same(dataOf(await ask(web, query('old.example.org'))), ['192.0.2.4']);
});

t.test('follows the file of the host', async (t) => {
  const { web, upstream, resolvConf } = await setUp(t, () => ({ answers: [addressRecord('x', '192.0.2.1')] }));
  const stub = await startFakeServer(
    '127.0.0.53',
    () => ({ answers: [addressRecord('x', '192.0.2.2')] }),
    upstream.port,
  );
  t.teardown(() => stub.close());
  t.same(dataOf(await ask(web, query('x.example.org'))), ['192.0.2.1']);
  writeFileSync(`${resolvConf}.stub`, 'nameserver 127.0.0.53\n');
  symlinkSync(`${resolvConf}.stub`, `${resolvConf}.new`);
  renameSync(`${resolvConf}.new`, resolvConf);
  // It is looked at once a second.
  const deadline = performance.now() + 3000;
  let data: unknown[] = [];
  while (data[0] !== '192.0.2.2' && performance.now() < deadline) {
    data = dataOf(await ask(web, query('x.example.org')));
    await setTimeout(20);
  }
  t.same(data, ['192.0.2.2'], 'what the old servers said is not used');
});

t.test('a container with servers of its own', async (t) => {
  const { web, directory, upstream } = await setUp(t, () => ({ answers: [addressRecord('x', '192.0.2.1')] }));
  const own = await startFakeServer('127.0.3.7', () => ({ answers: [addressRecord('x', '192.0.2.7')] }), upstream.port);
  t.teardown(() => own.close());
  directory.put(endpoint(ID.both, 'both', '127.0.1.4', { dnsServers: ['127.0.3.7'] }));
  t.same(dataOf(await ask(web, query('x.example.org'))), ['192.0.2.1']);
  t.same(dataOf(await ask({ ...web, source: '127.0.1.4' }, query('x.example.org'))), ['192.0.2.7']);
  t.same(dataOf(await ask({ ...web, source: '127.0.1.4' }, query('web'))), ['127.0.1.2']);
});

t.test('egress policies', async (t) => {
  const { web, directory, upstream, learnt, names } = await setUp(t, ({ questions }) => {
    const name = questions?.[0]?.name ?? '';
    return {
      answers: [
        addressRecord('cdn.example.net', '192.0.2.1', 40),
        { type: 'CNAME', name, ttl: 300, data: 'cdn.example.net' },
        addressRecord('elsewhere.example.net', '192.0.2.66', 40),
      ],
    };
  });
  const egress = parseEgressRules(['deb.example.org:80', '*.ok.example', '10.0.0.0/8']);
  directory.put(endpoint(ID.both, 'both', '127.0.1.4', { egress }));
  directory.put(endpoint(ID.inside, 'inside', '127.0.1.5', { internal: true }));
  const both = { ...web, source: '127.0.1.4' };
  t.equal(dataOf(await ask(both, query('DEB.example.org'))).length, 3);
  t.equal(dataOf(await ask(both, query('a.b.ok.example'))).length, 3);
  t.equal(dataOf(await ask(both, query('a.b.ok.example'))).length, 3);
  const expected = { networkId: 'net', containerId: ID.both, addresses: ['192.0.2.1'], ttlSeconds: 40 };
  t.same(
    learnt,
    ['deb.example.org', 'a.b.ok.example', 'a.b.ok.example'].map((name) => ({ ...expected, name })),
  );
  const before = upstream.queries.length;
  for (const name of ['evil.example.org', 'ok.example', 'evil.example.org', 'x.deb.example.org'])
    t.equal(rcodeOf(await ask(both, query(name))), 'NXDOMAIN', name);
  t.equal(rcodeOf(await ask({ ...web, source: '127.0.1.5' }, query('deb.example.org'))), 'NXDOMAIN', 'internal');
  t.same(dataOf(await ask(both, query('db'))), ['127.0.1.3'], 'names of the network are not concerned');
  t.equal(upstream.queries.length, before, 'nothing of it got out');
  t.same(names.refusedNames('net').listed, [
    { containerId: ID.both, name: 'ok.example', queries: 1 },
    { containerId: ID.both, name: 'evil.example.org', queries: 2 },
    { containerId: ID.both, name: 'x.deb.example.org', queries: 1 },
  ]);
  t.same(names.refusedNames('other'), { listed: [], unlisted: [] });
});

t.test('messages that nobody should send', async (t) => {
  const { web, upstream } = await setUp(t, (_query, _over, message) => {
    const response = Buffer.from(message);
    response.writeUInt16BE(0x8180, 2);
    return response;
  });
  const good = encode(query('db'));
  const response = Buffer.from(good);
  response.writeUInt16BE(0x8180, 2);
  for (const [what, message] of [
    ['empty', Buffer.alloc(0)],
    ['short', good.subarray(0, 11)],
    ['response', response],
  ] as const)
    t.equal(await askRaw(web, message, 100), null, what);
  const update = Buffer.from(good);
  update.writeUInt16BE(0x2800, 2);
  const twoQuestions = Buffer.from(good);
  twoQuestions.writeUInt16BE(2, 4);
  const pointer = Buffer.concat([good.subarray(0, 12), Buffer.from('c00c00010001', 'hex')]);
  const transfer = Buffer.from(good);
  transfer.writeUInt16BE(252, good.length - 4);
  const chaos = Buffer.from(good);
  chaos.writeUInt16BE(3, good.length - 2);
  const cutOpt = Buffer.concat([good, Buffer.from([0, 0, 41])]);
  cutOpt.writeUInt16BE(1, 10);
  for (const [message, rcode] of [
    [update, 4],
    [twoQuestions, 1],
    [pointer, 1],
    [good.subarray(0, -1), 1],
    [transfer, 4],
    [chaos, 5],
    [cutOpt, 1],
  ] as const) {
    const reply = await askRaw(web, message);
    t.equal((reply?.readUInt16BE(2) ?? 0) & 0xf, rcode, message.toString('hex'));
    t.equal(reply?.readUInt16BE(0), 4711);
  }
  const version = await askRaw(
    web,
    encode(query('db', 'A', { additionals: [{ ...optWith(512), ednsVersion: 1 } as Answer] })),
  );
  t.equal(version?.[version.length - 6], 1, 'BADVERS has its upper bits in the OPT record');
  const strange = Buffer.concat([good.subarray(0, 12), Buffer.from('\x05a.\xff\0b\0\0\x01\0\x01', 'latin1')]);
  t.equal((await askRaw(web, strange))?.subarray(12, 23).toString('latin1'), strange.subarray(12).toString('latin1'));
  t.equal(upstream.queries.length, 1);
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.1.2');
  await once(socket, 'listening');
  for (let seed = 0; seed < 2000; seed++) {
    const noise = Buffer.from(good);
    for (let count = 0; count < 1 + (seed % 3); count++) {
      noise[(seed * 7919 + count * 31) % noise.length] = (seed * 104_729) & 0xff;
    }
    socket.send(noise, web.port, GATEWAY);
    if (seed % 50 === 0) await setImmediate();
  }
  socket.close();
  t.same(dataOf(await ask(web, query('db'))), ['127.0.1.3'], 'it goes on');
});

t.test('a flood of one container', async (t) => {
  const { web, upstream, directory } = await setUp(t, () => null);
  directory.put(endpoint(ID.both, 'both', '127.0.1.4'));
  const flood = createSocket('udp4');
  flood.bind(0, '127.0.1.4');
  await once(flood, 'listening');
  t.teardown(() => flood.close());
  let answers = 0;
  flood.on('message', () => {
    answers += 1;
  });
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 100; round++) {
    for (let index = 0; index < 200; index++)
      flood.send(encode(query(`n${round}x${index}.example.org`)), web.port, GATEWAY);
    await setImmediate();
  }
  t.same(dataOf(await ask(web, query('db'))), ['127.0.1.3'], 'others are answered');
  t.equal(answers, 0);
  // On a slow machine the server's silence lasts long enough for a second try of each.
  const passedOn = new Set(upstream.queries.map(({ query: { questions } }) => questions?.[0]?.name)).size;
  t.ok(passedOn <= 64, `${passedOn} were passed on`);
  t.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024);
});

t.test('a flood of many containers leaves the others their share', async (t) => {
  const { web, upstream, directory } = await setUp(t, ({ questions }) => {
    const name = questions?.[0]?.name ?? '';
    return name.startsWith('slow') ? null : { answers: [addressRecord(name, '192.0.2.1')] };
  });
  const floods = Array.from({ length: 16 }, (_, index) => ({ index, source: `127.0.1.${100 + index}` }));
  for (const { index, source } of floods)
    directory.put(endpoint(String(index).padStart(64, '0'), `flood${index}`, source));
  for (const { index, source } of floods) {
    const socket = createSocket('udp4');
    t.teardown(() => socket.close());
    socket.bind(0, source);
    await once(socket, 'listening');
    for (let count = 0; count < 64; count++)
      socket.send(encode(query(`slow${index}x${count}.example.org`)), web.port, GATEWAY);
    // What was sent has been taken in when this is answered.
    t.same(dataOf(await ask(web, query('db'))), ['127.0.1.3']);
  }
  const begun = new Set(upstream.queries.map(({ query: { questions } }) => questions?.[0]?.name)).size;
  t.ok(begun > 300, `${begun} were passed on`);
  t.same(dataOf(await ask(web, query('quick.example.org'))), ['192.0.2.1'], 'one that asked for nothing yet');
});

t.test('connections', async (t) => {
  const { web } = await setUp(t);
  const sockets = Array.from({ length: 20 }, () =>
    connect({ host: GATEWAY, port: web.port, localAddress: '127.0.1.2' }),
  );
  const closed = sockets.map((socket) => {
    socket.on('error', () => socket.destroy()).resume();
    return once(socket, 'close');
  });
  await Promise.race(closed);
  await Promise.all(sockets.map((socket) => (socket.connecting ? once(socket, 'connect') : null)));
  const open = sockets.filter(({ destroyed }) => !destroyed).slice(0, 3);
  t.ok(open.length > 0);
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
  t.equal((await askOverTcp(web, [query('db')]))[0]?.answers?.length, 1);
});

t.test('where the port is taken', async (t) => {
  const { names } = await setUp(t);
  const taken = createServer();
  taken.listen(0, '127.0.4.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const second = createNameServer({
    directory: createNameDirectory(),
    learn: () => Promise.resolve(),
    log: { warn: (fields, message) => t.fail(message, fields) },
    port,
  });
  t.teardown(() => second.close());
  const listening = await second.listen('net', '127.0.4.1');
  t.not(listening.port, port);
  t.same(await second.listen('net', '127.0.4.1'), listening, 'once is enough');
  t.same(await second.listen('net', '127.0.4.2'), { port }, 'only there');
  await t.rejects(second.listen('net', '192.0.2.1'), { code: 'EADDRNOTAVAIL' });
  await second.stop('net');
  await second.stop('net');
  await names.stop('nothing');
});

function optWith(udpPayloadSize: number, dnssecOk = false): Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: dnssecOk ? 0x8000 : 0,
    flag_do: dnssecOk,
    options: [],
  };
}
