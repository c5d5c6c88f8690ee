/**
 * The firewall of networks with real packets: namespaces stand for the host, for containers and for the outside, so neither
 * the rules nor the interfaces of this machine are touched.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Test, test } from 'tap';
import { createFirewall, type FirewallOptions } from '../packages/daemon/src/networks/firewall/create-firewall.ts';
import type { ContainerRules, Firewall, PortTranslation } from '../packages/daemon/src/networks/firewall.ts';
import { linkLocalAddress } from '../packages/daemon/src/networks/ip-address.ts';
import { NAME_SERVER_PORT } from '../packages/daemon/src/networks/name-server/name-server.ts';
import { ask, serve } from './firewall/peer.ts';
import { enterOwnNamespaces, makeTopology, networkRecord } from './firewall/topology.ts';
import { eventually } from './support/eventually.ts';
import { guestRules } from './support/leaks.ts';

enterOwnNamespaces(import.meta.filename);

const topology = await makeTopology();
const { outside, a1, a2, b1, g1 } = topology;
await Promise.all(
  [outside, a1, a2, b1, g1].flatMap((place) => [
    place.serve('tcp', 80),
    place.serve('udp', 53_000),
    place.serve('tcp', 81),
  ]),
);
await serve('tcp', 7000, 'host');

const TABLE = 'tsd_test';
const warnings: string[] = [];
const log = {
  info: () => undefined,
  warn: (_: object, message: string) => void warnings.push(message),
  error: (fields: object, message: string) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
};
const nft = (...command: readonly string[]): string => execFileSync('nft', command, { encoding: 'utf8' });

const A1 = 'a1'.padEnd(64, '0');
const B1 = 'b1'.padEnd(64, '0');

/** Several questions at a time. */
async function hears(
  t: Test,
  questions: readonly (readonly [answer: Promise<string>, expected: string, what?: string])[],
) {
  for (const [answer, expected, what] of questions) t.equal(await answer, expected, what ?? '');
}

async function withFirewall(t: Test, options: Partial<FirewallOptions> = {}): Promise<Firewall> {
  const firewall = createFirewall({ table: TABLE, publishThroughInput: false, log, ...options });
  t.teardown(async () => {
    await firewall.close();
    await firewall.cleanUp();
  });
  await firewall.restore([networkRecord('alpha'), networkRecord('beta'), networkRecord('gamma')], new Map());
  return firewall;
}

function published(hostPort: number, over: Partial<PortTranslation> = {}): PortTranslation {
  const containerPort = over.protocol === 'udp' ? 53_000 : 80;
  return { protocol: 'tcp', hostIp: '0.0.0.0', hostPort, containerIp: '10.99.1.2', containerPort, ...over };
}

function rules(...ports: readonly PortTranslation[]): ContainerRules {
  return { ports, egress: null };
}

await test('networks: together, apart, internal, and out', async (t) => {
  await withFirewall(t);
  await hears(t, [
    [a1.ask('tcp', '10.99.1.3', 80), 'a2 sees 10.99.1.2', 'within a network'],
    [a1.ask('tcp', 'fd99:1::3', 80), 'a2 sees fd99:1::2'],
    [a1.ask('tcp', '10.99.2.2', 80), 'no answer', 'not into another'],
    [a1.ask('udp', 'fd99:2::2', 53_000), 'no answer'],
    [a1.ask('tcp', '192.0.2.2', 80), 'outside sees 192.0.2.1', 'out, with the host’s address'],
    [a1.ask('udp', '192.0.2.2', 53_000), 'outside sees 192.0.2.1'],
    [a1.ask('tcp', '2001:db8::2', 80), 'outside sees 2001:db8::1'],
    [a1.ask('tcp', '10.99.1.1', 7000), 'host sees 10.99.1.2', 'the host, at the gateway'],
    [ask({ protocol: 'tcp', host: '10.99.1.2', port: 80 }), 'a1 sees 10.99.1.1', 'the host reaches containers'],
    [outside.ask('tcp', '10.99.1.2', 80), 'no answer', 'a neighbour does not, whatever it routes'],
    [outside.ask('tcp', 'fd99:1::2', 80), 'no answer'],
    [g1.ask('tcp', '192.0.2.2', 80), 'no answer', 'nothing goes out of an internal network'],
    [g1.ask('tcp', '10.99.1.2', 80), 'no answer'],
    [a1.ask('tcp', '10.99.3.2', 80), 'no answer', 'nothing goes in'],
    [g1.ask('tcp', '10.99.3.1', 7000), 'host sees 10.99.3.2', 'its gateway answers'],
    [g1.ask('tcp', '192.0.2.1', 7000), 'no answer', 'other addresses of the host do not'],
  ]);
});

await test('published ports, from everywhere', async (t) => {
  const firewall = await withFirewall(t);
  await firewall.setContainer(
    A1,
    rules(
      published(8080),
      published(8080, { hostIp: '::', containerIp: 'fd99:1::2' }),
      published(8053, { protocol: 'udp' }),
      published(8053, { protocol: 'udp', hostIp: '::', containerIp: 'fd99:1::2' }),
      published(8081, { hostIp: '127.0.0.1' }),
      published(8082, { hostIp: '192.0.2.1', containerPort: 81 }),
    ),
  );
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'a1 sees 192.0.2.2', 'from outside, with the source preserved');
  t.equal(await outside.ask('tcp', '2001:db8::1', 8080), 'a1 sees 2001:db8::2');
  t.equal(await outside.ask('udp', '192.0.2.1', 8053), 'a1 sees 192.0.2.2');
  t.equal(await outside.ask('udp', '2001:db8::1', 8053), 'a1 sees 2001:db8::2');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8082), 'a1 sees 192.0.2.2', 'on one address');
  t.equal(await outside.ask('tcp', '192.0.2.9', 8082), 'ECONNREFUSED', 'and not on another');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8081), 'ECONNREFUSED', 'what is on 127.0.0.1 is not outside');

  const host = (address: string, port: number, protocol: 'tcp' | 'udp' = 'tcp') =>
    ask({ protocol, host: address, port });
  t.match(await host('192.0.2.1', 8080), /^a1 sees /, 'from the host');
  t.equal(await host('127.0.0.1', 8080), 'a1 sees 10.99.1.1', 'on 127.0.0.1');
  t.equal(await host('127.0.0.1', 8053, 'udp'), 'a1 sees 10.99.1.1');
  t.equal(await host('127.0.0.1', 8081), 'a1 sees 10.99.1.1');
  t.match(await host('2001:db8::1', 8080), /^a1 sees /);
  t.match(await host('fd99:1::1', 8080), /^a1 sees /);
  t.equal(await host('127.0.0.1', 8082), 'ECONNREFUSED');
  t.equal(await host('::1', 8080), 'ECONNREFUSED', 'clients of localhost go on to 127.0.0.1');

  t.equal(await a2.ask('tcp', '192.0.2.1', 8080), 'a1 sees 10.99.1.1', 'from the same network');
  t.equal(await a2.ask('tcp', '10.99.1.1', 8080), 'a1 sees 10.99.1.1');
  t.equal(await a2.ask('udp', '192.0.2.1', 8053), 'a1 sees 10.99.1.1');
  t.equal(await a2.ask('tcp', '2001:db8::1', 8080), 'a1 sees fd99:1::1');
  t.equal(await a1.ask('tcp', '192.0.2.1', 8080), 'a1 sees 10.99.1.1', 'from the container itself');
  t.match(await b1.ask('tcp', '192.0.2.1', 8080), /^a1 sees /, 'from another network');
  t.match(await b1.ask('tcp', '2001:db8::1', 8080), /^a1 sees /);
  t.equal(await g1.ask('tcp', '10.99.3.1', 8080), 'no answer', 'but not from an internal one');
  t.equal(await a2.ask('tcp', '127.0.0.1', 8081), 'ECONNREFUSED', 'a container’s 127.0.0.1 is its own');

  await firewall.removeContainer(A1);
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'ECONNREFUSED', 'afterwards nothing answers');
  t.equal(await host('127.0.0.1', 8080), 'ECONNREFUSED');
});

await test('a removal follows the change that is under way', async (t) => {
  const firewall = await withFirewall(t);
  await Promise.all([firewall.setContainer(A1, rules(published(8080))), firewall.removeContainer(A1)]);
  t.notMatch(nft('list', 'map', 'inet', TABLE, 'any_ports4'), '8080');
});

await test('neighbours do not reach 127.0.0.1', async (t) => {
  const firewall = await withFirewall(t);
  await firewall.setContainer(A1, rules(published(8081, { hostIp: '127.0.0.1' })));
  outside.run('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
  outside.run('ip', 'address', 'delete', '127.0.0.1/8', 'dev', 'lo');
  outside.run('ip', 'route', 'add', '127.0.0.0/8', 'via', '192.0.2.1');
  a2.run('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
  a2.run('ip', 'address', 'delete', '127.0.0.1/8', 'dev', 'lo');
  a2.run('ip', 'route', 'add', '127.0.0.0/8', 'via', '10.99.1.1');
  await serve('tcp', 7001, 'host');
  await hears(
    t,
    [outside, a2].flatMap((place) => [
      [place.ask('tcp', '127.0.0.1', 8081), 'no answer', 'a published port'] as const,
      [place.ask('tcp', '127.0.0.1', 7001), 'no answer', 'a server of the host'] as const,
    ]),
  );
  for (const place of [outside, a2]) place.run('ip', 'address', 'add', '127.0.0.1/8', 'dev', 'lo');
});

await test('a UDP client that was there before is translated, and to the next container afterwards', async (t) => {
  const firewall = await withFirewall(t);
  const from = 40_053;
  t.not(await outside.ask('udp', '192.0.2.1', 8053, from), 'a1 sees 192.0.2.2', 'nobody yet');
  await firewall.setContainer(A1, rules(published(8053, { protocol: 'udp' })));
  t.equal(await outside.ask('udp', '192.0.2.1', 8053, from), 'a1 sees 192.0.2.2');
  await firewall.removeContainer(A1);
  await firewall.setContainer(B1, rules(published(8053, { protocol: 'udp', containerIp: '10.99.2.2' })));
  await eventually(async () => (await outside.ask('udp', '192.0.2.1', 8053, from)) === 'b1 sees 192.0.2.2', {
    what: 'the client reaches the next container',
  });
});

await test('a name server on another port, and containers of a network that is closed within', async (t) => {
  const firewall = await withFirewall(t);
  await serve('udp', 5353, 'names');
  await serve('tcp', 5353, 'names');
  await firewall.redirectNames(networkRecord('alpha').id, '10.99.1.1', 5353);
  await firewall.redirectNames(networkRecord('alpha').id, 'fd99:1::1', 5353);
  t.equal(await a1.ask('udp', '10.99.1.1', 53), 'names sees 10.99.1.2');
  t.equal(await a1.ask('tcp', 'fd99:1::1', 53), 'names sees fd99:1::2');
  t.equal(await b1.ask('tcp', '10.99.2.1', 53), 'ECONNREFUSED', 'only that network');
  t.equal(await b1.ask('tcp', '10.99.1.1', 53), 'ECONNREFUSED', 'and from nowhere else');
  t.equal(await outside.ask('tcp', '192.0.2.1', 53), 'ECONNREFUSED');

  const isBridgeFiltered = readFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').trim() === '1';
  await firewall.setNetwork(networkRecord('alpha', { options: { 'com.docker.network.bridge.enable_icc': 'false' } }));
  if (isBridgeFiltered) t.equal(await a1.ask('tcp', '10.99.1.3', 80), 'no answer');
  t.equal(await a1.ask('tcp', '192.0.2.2', 80), 'outside sees 192.0.2.1', 'out they still come');
  await firewall.removeNetwork(networkRecord('alpha').id);
  t.equal(await a1.ask('tcp', '10.99.1.1', 53), 'ECONNREFUSED', 'the redirection goes with the network');
});

await test('published ports that obey the host’s INPUT rules', async (t) => {
  const firewall = await withFirewall(t, { publishThroughInput: true });
  await firewall.setContainer(
    A1,
    rules(
      published(8080),
      published(8080, { hostIp: '::', containerIp: 'fd99:1::2' }),
      published(8053, { protocol: 'udp' }),
      published(8082, { hostIp: '192.0.2.1' }),
    ),
  );
  nft('add table inet host; add chain inet host input { type filter hook input priority filter; }');
  t.teardown(() => void nft('delete table inet host'));
  nft('add rule inet host input ip saddr 192.0.2.3 tcp dport 8080 drop');
  const startedAt = performance.now();
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'a1 sees 192.0.2.2', 'what INPUT lets pass');
  t.ok(performance.now() - startedAt > 500, 'after a repetition');
  const second = performance.now();
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'a1 sees 192.0.2.2');
  t.ok(performance.now() - second < 500, 'once only');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8082), 'a1 sees 192.0.2.2');
  t.equal(await outside.ask('tcp', '2001:db8::1', 8080), 'a1 sees 2001:db8::2');
  t.equal(await outside.ask('udp', '192.0.2.1', 8053), 'a1 sees 192.0.2.2');
  nft('add rule inet host input udp dport 8053 drop');
  nft('add rule inet host input iifname tsd-beta drop');
  t.equal(await b1.ask('tcp', '192.0.2.1', 8080), 'no answer', 'what INPUT drops');
  outside.run('ip', 'route', 'change', '192.0.2.0/24', 'dev', 'eth0', 'src', '192.0.2.3');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'no answer', 'by address and port');
  t.equal(await outside.ask('udp', '192.0.2.1', 8053), 'no answer');
  outside.run('ip', 'route', 'change', '192.0.2.0/24', 'dev', 'eth0', 'src', '192.0.2.2');
  t.equal(await ask({ protocol: 'tcp', host: '127.0.0.1', port: 8080 }), 'a1 sees 10.99.1.1', 'the host itself');
});

await test('what others flush is laid down again', async (t) => {
  const firewall = await withFirewall(t);
  await firewall.setContainer(A1, rules(published(8080)));
  await firewall.setNetwork(networkRecord('beta', { egress: { default: 'deny', allow: [] } }));
  firewall.watch();
  for (const damage of [
    'flush ruleset',
    `delete table inet ${TABLE}`,
    `flush table inet ${TABLE}`,
    `flush chain inet ${TABLE} prerouting`,
    `flush map inet ${TABLE} any_ports4`,
    // The first rule of the chain that lets in what is published.
    `replace rule inet ${TABLE} enter handle HANDLE accept`,
    `replace rule inet ${TABLE} egress_${networkRecord('beta').id.slice(0, 12)} handle HANDLE accept`,
  ]) {
    const [, chain = ''] = /(\S+) handle/.exec(damage) ?? [];
    const handle =
      chain === ''
        ? ''
        : /# handle (\d+)$/m.exec(
            nft('-a', 'list', 'chain', 'inet', TABLE, chain).replace(/^.*\bchain\b.*$/m, ''),
          )?.[1];
    nft(damage.replace('HANDLE', String(handle)));
    await eventually(
      async () => {
        const chains = nft('list', 'tables').includes(TABLE) ? nft('list', 'table', 'inet', TABLE) : '';
        const isAsBefore = chain === '' || !nft('list', 'chain', 'inet', TABLE, chain).includes('\n\t\taccept\n');
        return (
          isAsBefore && chains.includes('tcp . 8080 : 10.99.1.2 . 80') && chains.split('jump translate').length === 3
        );
      },
      { what: `the table is whole after ${damage}` },
    );
    t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'a1 sees 192.0.2.2', damage);
  }
  t.equal(warnings.splice(0).filter((text) => text.includes('laying them down again')).length, 7);
  nft('add table inet somebody');
  await firewall.setContainer(B1, rules(published(8090, { containerIp: '10.99.2.2' })));
  t.equal(await outside.ask('tcp', '192.0.2.1', 8090), 'b1 sees 192.0.2.2');
  t.strictSame(warnings, [], 'changes of others that do no harm');
  nft('delete table inet somebody');
});

await test('a transaction that fails changes nothing, and harms no other', async (t) => {
  const firewall = await withFirewall(t);
  await firewall.setContainer(A1, rules(published(8080)));
  const taken = firewall.setContainer(B1, rules(published(8080, { containerIp: '10.99.2.2' }), published(8090)));
  const alongside = firewall.setContainer('c'.repeat(64), rules(published(8100)));
  await t.rejects(taken, { code: 'conflict', message: /^container b1.*: a host port or an address of it is another/ });
  await alongside;
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'a1 sees 192.0.2.2');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8090), 'ECONNREFUSED');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8100), 'a1 sees 192.0.2.2');
});

await test('beside rules of Docker’s kind', async (t) => {
  for (const iptables of ['iptables-nft', 'ip6tables-nft']) {
    execFileSync(iptables, ['-P', 'FORWARD', 'DROP']);
    execFileSync(iptables, ['-N', 'DOCKER-USER']);
    execFileSync(iptables, ['-A', 'DOCKER-USER', '-j', 'RETURN']);
    execFileSync(iptables, ['-I', 'FORWARD', '-j', 'DOCKER-USER']);
    execFileSync(iptables, ['-P', 'INPUT', 'DROP']);
  }
  t.teardown(() => void nft('flush ruleset'));
  const firewall = createFirewall({ table: TABLE, publishThroughInput: false, log });
  await firewall.restore([networkRecord('alpha')], new Map([[A1, rules(published(8080))]]));
  await serve('udp', NAME_SERVER_PORT, 'names');
  await eventually(async () => nft('list', 'chain', 'ip6', 'filter', 'INPUT').includes(`dport ${NAME_SERVER_PORT}`), {
    what: 'rules in ip6tables',
  });
  t.equal(await a1.ask('tcp', '192.0.2.2', 80), 'outside sees 192.0.2.1', 'out');
  t.equal(await outside.ask('tcp', '192.0.2.1', 8080), 'a1 sees 192.0.2.2', 'in');
  t.equal(await a1.ask('udp', '10.99.1.1', 53), 'names sees 10.99.1.2', 'the name server');
  t.equal(await a1.ask('tcp', '10.99.1.1', 7000), 'no answer', 'other ports of the host stay closed');
  t.equal(guestRules().length, 8, 'the test runner sees those that would be left behind');
  const listed = execFileSync('iptables-nft', ['-S'], { encoding: 'utf8' });
  t.match(listed, /-A DOCKER-USER -i tsd-alpha/, 'iptables still reads its table');
  await firewall.removeNetwork(networkRecord('alpha').id);
  await firewall.setNetwork(networkRecord('beta'));
  await firewall.redirectNames(networkRecord('beta').id, '10.99.2.1', NAME_SERVER_PORT);
  await firewall.close();
  t.match(nft('list', 'chain', 'ip', 'filter', 'INPUT'), /tsd-beta/);
  execFileSync('iptables-nft', ['-P', 'INPUT', 'ACCEPT']);
  await firewall.cleanUp();
  t.notMatch(nft('list', 'ruleset'), /tsd/, 'nothing is left');
  t.strictSame(guestRules(), []);
  t.match(execFileSync('iptables-nft', ['-S'], { encoding: 'utf8' }), /-A DOCKER-USER -j RETURN/);
  t.strictSame(warnings.splice(0), []);
});

await test('rules that are in the way are told', async (t) => {
  nft('add table inet firewalld; add table inet mine');
  nft('add chain inet mine forward { type filter hook forward priority 0; policy drop; }');
  t.teardown(() => void nft('delete table inet firewalld; delete table inet mine'));
  nft('add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }');
  const firewall = await withFirewall(t);
  await firewall.setNetwork(networkRecord('alpha'));
  await firewall.close();
  const told = warnings.splice(0);
  t.equal(told.length, 2, 'each once');
  t.match(told.join(), /chain forward of the table inet mine drops/);
  t.match(told.join(), /firewall-cmd/);
});

await test('egress policies', async (t) => {
  const firewall = await withFirewall(t);
  const egress = {
    default: 'deny',
    allow: ['192.0.2.2:80', 'web.example:81/tcp', '*.v6.example', '192.0.2.1:8080'],
  } as const;
  const alpha = networkRecord('alpha', { egress });
  await firewall.setNetwork(alpha);
  await firewall.setContainer(
    B1,
    rules(published(8080, { containerIp: '10.99.2.2' }), published(8081, { containerIp: '10.99.2.2' })),
  );
  const learn = (name: string, address: string) =>
    firewall.learn({ networkId: alpha.id, containerId: A1, name, addresses: [address], ttlSeconds: 30 });

  t.equal(await a1.ask('tcp', '192.0.2.2', 80), 'outside sees 192.0.2.1', 'an address on the list');
  t.equal(await a1.ask('tcp', '192.0.2.2', 81), 'ECONNREFUSED', 'another port');
  t.equal(await a1.ask('udp', '192.0.2.2', 53_000), 'no answer', 'another protocol');
  t.equal(await a1.ask('tcp', '192.0.2.3', 80), 'ECONNREFUSED', 'another address');
  await learn('web.example', '192.0.2.3');
  t.equal(await a1.ask('tcp', '192.0.2.3', 81), 'outside sees 192.0.2.1', 'a name on the list');
  t.equal(await a1.ask('tcp', '192.0.2.3', 80), 'ECONNREFUSED');
  t.equal(await a1.ask('tcp', '2001:db8::2', 80), 'ECONNREFUSED');
  await learn('v6.example', '2001:db8::2');
  t.equal(await a1.ask('tcp', '2001:db8::2', 80), 'ECONNREFUSED', 'a pattern is not the name above it');
  await learn('www.v6.example', '2001:db8::2');
  t.equal(await a1.ask('tcp', '2001:db8::2', 80), 'outside sees 2001:db8::1');
  t.equal(await a1.ask('tcp', '10.99.1.3', 80), 'a2 sees 10.99.1.2', 'the network itself');
  t.equal(await a1.ask('tcp', 'fd99:1::3', 80), 'a2 sees fd99:1::2');
  t.equal(await a1.ask('tcp', '10.99.1.1', 7000), 'ECONNREFUSED', 'not the host');
  execFileSync('ip', ['address', 'add', 'fe80::99:1/64', 'dev', 'tsd-alpha', 'nodad']);
  a2.run('ip', 'address', 'add', 'fe80::99:3/64', 'dev', 'eth0', 'nodad');
  t.equal(await a1.ask('tcp', 'fe80::99:1%eth0', 7000), 'ECONNREFUSED', 'nor at its link-local address');
  t.match(await a1.ask('tcp', 'fe80::99:3%eth0', 80), /^a2 sees fe80::/, 'which neighbours may use');
  t.match(await a1.ask('tcp', '192.0.2.1', 8080), /^b1 sees/, 'a published port on the list');
  t.equal(await a1.ask('tcp', '192.0.2.1', 8081), 'ECONNREFUSED', 'and not another');
  t.equal(
    await ask({ protocol: 'tcp', host: '10.99.1.2', port: 80 }),
    'a1 sees 10.99.1.1',
    'what comes in is answered',
  );

  const counters = await firewall.egressCounters(alpha.id);
  t.strictSame(
    counters.map(({ rule, packets }) => [rule, packets > 0]),
    egress.allow.map((rule) => [rule, true]),
  );
  const { listed: refusals } = await firewall.egressRefusals();
  t.match(
    refusals.find(({ port }) => port === 7000),
    {
      bridgeName: 'tsd-alpha',
      source: '10.99.1.2',
      destination: '10.99.1.1',
      protocol: 'tcp',
      packets: 1,
    },
  );
  t.match(
    refusals.find(({ protocol }) => protocol === 'udp'),
    { destination: '192.0.2.2', port: 53_000 },
  );
  t.match(
    refusals.find(({ destination }) => destination === '2001:db8::2'),
    { source: 'fd99:1::2', packets: 2 },
  );

  // A container with a list of its own, in a network with one and in one without.
  const own = (bridgeName: string, ...addresses: string[]): ContainerRules => ({
    ports: [],
    egress: { allow: ['192.0.2.3'], sources: [{ bridgeName, addresses }] },
  });
  await firewall.setContainer('d'.repeat(64), own('tsd-alpha', '10.99.1.3'));
  t.equal(await a2.ask('tcp', '192.0.2.3', 80), 'outside sees 192.0.2.1', 'its own list');
  t.equal(await a2.ask('tcp', '192.0.2.2', 80), 'outside sees 192.0.2.1', 'its network’s list');
  t.equal(await a2.ask('tcp', '192.0.2.2', 81), 'ECONNREFUSED');
  const mac = b1.run('cat', '/sys/class/net/eth0/address').trim();
  await firewall.setContainer('e'.repeat(64), own('tsd-beta', '10.99.2.2', linkLocalAddress(mac)));
  t.equal(await b1.ask('tcp', '192.0.2.3', 80), 'outside sees 192.0.2.1');
  t.equal(await b1.ask('tcp', '192.0.2.2', 80), 'ECONNREFUSED');
  execFileSync('ip', ['address', 'add', 'fe80::99:2/64', 'dev', 'tsd-beta', 'nodad']);
  t.equal(await b1.ask('tcp', 'fe80::99:2%eth0', 7000), 'ECONNREFUSED', 'not the host, from a link-local address');
  await firewall.removeContainer('e'.repeat(64));
  t.equal(await b1.ask('tcp', '192.0.2.2', 80), 'outside sees 192.0.2.1');

  // The next daemon goes on with what was learnt.
  await firewall.close();
  await firewall.restore([alpha, networkRecord('beta')], new Map());
  t.equal(await a1.ask('tcp', '192.0.2.3', 81), 'outside sees 192.0.2.1');
  await firewall.setNetwork(networkRecord('alpha'));
  t.equal(await a1.ask('tcp', '192.0.2.2', 81), 'outside sees 192.0.2.1', 'without a policy all is open again');
});

await test('a container that tries thousands of destinations hides nobody’s refusals', async (t) => {
  const firewall = await withFirewall(t);
  for (const name of ['alpha', 'beta'] as const)
    await firewall.setNetwork(networkRecord(name, { egress: { default: 'deny', allow: [] } }));
  // Datagrams, each to another port.
  const flood = `const socket = require('dgram').createSocket('udp4');
    socket.on('error', () => undefined);
    let left = 2600;
    const next = () => left === 0 ? socket.close() : socket.send('?', 1000 + left--, '192.0.2.2', next);
    next();`;
  a1.run(process.execPath, '-e', flood);
  t.equal(await b1.ask('tcp', '192.0.2.2', 80), 'ECONNREFUSED');
  t.equal(await a2.ask('tcp', '192.0.2.2', 80), 'ECONNREFUSED');
  const { listed, unlisted } = await firewall.egressRefusals();
  t.match(
    listed.filter(({ bridgeName }) => bridgeName === 'tsd-beta'),
    [{ source: '10.99.2.2', destination: '192.0.2.2', port: 80, packets: 1 }],
    'the other network’s refusals are listed',
  );
  const sum = (all: readonly { readonly source: string; readonly packets: number }[], source: string) =>
    all.filter((one) => one.source === source).reduce((total, { packets }) => total + packets, 0);
  t.equal(sum(listed, '10.99.1.2') + sum(unlisted, '10.99.1.2'), 2600, 'all are counted');
  t.ok(sum(unlisted, '10.99.1.2') > 1000);
  t.equal(sum(listed, '10.99.1.3') + sum(unlisted, '10.99.1.3'), 1, 'those of its neighbour too');
});

await test('what it costs', async (t) => {
  const firewall = await withFirewall(t);
  const many = (first: number) => rules(...Array.from({ length: 200 }, (_, index) => published(first + index)));
  const times: Record<string, number[]> = {};
  const measure = async (what: string, work: () => Promise<void>): Promise<void> => {
    const startedAt = performance.now();
    await work();
    times[what] = [...(times[what] ?? []), performance.now() - startedAt];
  };
  for (let round = 0; round < 20; round += 1) {
    const id = String(round).padStart(64, '0');
    const port = 10_000 + round * 200;
    await measure('publish 200 ports', () => firewall.setContainer(id, many(port)));
    await measure('publish one port', () => firewall.setContainer(A1, rules(published(8080))));
    await measure('take one port back', () => firewall.removeContainer(A1));
    if (round < 10) await measure('take 200 ports back', () => firewall.removeContainer(id));
  }
  for (const [what, all] of Object.entries(times)) {
    const median = all.sort((a, b) => a - b)[all.length >> 1] ?? 0;
    t.comment(`${what}: ${median.toFixed(2)} ms`);
    t.ok(median < 100, what);
  }
});

await test('end', async (t) => {
  await topology.end();
  t.equal(nft('list', 'ruleset'), '', 'nothing is left');
  t.strictSame(warnings, []);
});
