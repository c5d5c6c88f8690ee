/** Networks with real packets: names, isolation, published ports, egress policies, NAT, and what a restart leaves alone. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { decode, encode } from 'dns-packet';
import t from 'tap';
import { type CommandResult, run } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { loadProbeImage, netProbe, PROBE_IMAGE } from './support/net-probe.ts';
import { makeOutside } from './support/outside.ts';

t.setTimeout(180_000);
const outside = makeOutside();
t.teardown(() => outside.remove());
const upstream = await startUpstream();
t.teardown(() => upstream.close());
// Each run of the tests has address pools of its own: daemons do not see what others are about to take.
const pool = process.pid % 100;
const daemon = await startDaemon({
  args: ['--bip', `10.${100 + pool}.255.1/24`, '--default-address-pool', `base=10.${100 + pool}.0.0/16,size=24`],
});
t.teardown(() => daemon.remove());
const { tsdctl } = daemon;
await loadProbeImage(daemon);
const probe = netProbe();

/** Runs in the background and waits until it serves. */
async function serve(name: string, ...args: string[]): Promise<void> {
  await tsdctl.output('run', '-d', '--name', name, ...args, PROBE_IMAGE);
  await serving(name);
}

async function serving(name: string): Promise<void> {
  await eventually(async () => (await tsdctl.output('logs', name)).includes('serving'), { what: `${name} serves` });
}

/** A command in a container of its own on a network. */
function inside(network: string, ...command: string[]): Promise<CommandResult> {
  return tsdctl('run', '--rm', '--network', network, PROBE_IMAGE, ...command);
}

/** A shell script in a running container: the question goes out from its own namespaces. */
async function within(container: string, script: string): Promise<CommandResult> {
  const { State } = await daemon.inspect(container);
  return run('nsenter', [
    '--target',
    String(State.Pid),
    '--net',
    '--mount',
    '--root',
    '--wd=/',
    '/bin/sh',
    '-c',
    script,
  ]);
}

async function addressOf(container: string, network: string, field = 'IPAddress'): Promise<string> {
  return tsdctl.output('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").${field}}}`, container);
}

/** Where a published port of the container is reachable on the host. */
async function hostPort(container: string, port: string): Promise<string> {
  const [first = ''] = (await tsdctl.output('port', container, port)).split('\n');
  return first.slice(first.lastIndexOf(':') + 1);
}

async function removeAll(containers: readonly string[], networks: readonly string[] = []): Promise<void> {
  await tsdctl.output('rm', '-f', ...containers);
  if (networks.length > 0) await tsdctl.output('network', 'rm', ...networks);
}

type Assertions = Pick<typeof t, 'equal' | 'not'>;
const answered = (t: Assertions, result: CommandResult, address: string, comment: string): void => {
  t.equal(result.code, 0, `${comment}: ${result.stderr}`);
  t.equal(result.stdout.split(' ')[0], address, comment);
};
const unanswered = (t: Assertions, result: CommandResult, comment: string): void => {
  t.not(result.code, 0, `${comment}: it answered ${result.stdout}`);
};
const host = (protocol: string, address: string, port: string): Promise<CommandResult> =>
  run(probe, ['ask', protocol, address, port]);
const neighbour = (protocol: string, address: string, port: string): Promise<CommandResult> =>
  outside.run(probe, 'ask', protocol, address, port);

t.test('containers of a network find each other by name, others do not', async (t) => {
  await tsdctl.output('network', 'create', '--ipv6', '--subnet', `10.${pool}.1.0/24`, '--subnet', 'fd00:1::/64', 'app');
  await tsdctl.output('network', 'create', 'other');
  await serve('web', '--network', 'app', '--network-alias', 'shop');
  const address = await addressOf('web', 'app');
  t.match(address, new RegExp(`^10\\.${pool}\\.1\\.\\d+$`));
  for (const name of ['web', 'shop', address, (await daemon.inspect('web')).Id.slice(0, 12)]) {
    const { code, stderr } = await inside('app', 'net-probe', 'ping', name);
    t.equal(code, 0, `ping ${name}: ${stderr}`);
    for (const protocol of ['tcp', 'udp']) {
      const { stdout } = await inside('app', 'net-probe', 'ask', protocol, name, '80');
      t.match(stdout, /^(10\.\d+\.1\.|fd00:1::)/, `${protocol} ${name}`);
    }
  }
  const reverse = await inside('app', 'nslookup', address);
  t.match(reverse.stdout, /name = web\.app/, 'PTR');
  const ipv6 = await addressOf('web', 'app', 'GlobalIPv6Address');
  t.match((await inside('app', 'net-probe', 'ask', 'tcp', ipv6, '80')).stdout, 'fd00:1::');
  t.match((await inside('app', 'nslookup', '-type=aaaa', 'web')).stdout, ipv6);

  for (const network of ['other', 'bridge', 'none']) {
    unanswered(t, await inside(network, 'nslookup', 'web'), `the name on ${network}`);
    unanswered(t, await inside(network, 'net-probe', 'ping', address), `ping on ${network}`);
    unanswered(t, await inside(network, 'net-probe', 'ask', 'tcp', address, '80'), `tcp on ${network}`);
    unanswered(t, await inside(network, 'net-probe', 'ask', 'udp', address, '80'), `udp on ${network}`);
  }
  t.match(await tsdctl('network', 'rm', 'app'), { code: 1, stderr: /has active endpoints/ });
  await removeAll(['web'], ['app', 'other']);
});

t.test('a name that several containers share goes round', async (t) => {
  await tsdctl.output('network', 'create', 'farm');
  await serve('one', '--network', 'farm', '--network-alias', 'service');
  await serve('two', '--network', 'farm', '--network-alias', 'service');
  const addresses = [await addressOf('one', 'farm'), await addressOf('two', 'farm')].sort();
  const { stdout } = await inside('farm', 'nslookup', '-type=a', 'service');
  t.same([...stdout.matchAll(/^Address: (\S+)$/gm)].map(([, address]) => address).sort(), addresses);
  await tsdctl.output('stop', '-t', '0', 'one');
  const left = await inside('farm', 'nslookup', '-type=a', 'service');
  t.same(
    [...left.stdout.matchAll(/^Address: (\S+)$/gm)].map(([, address]) => address),
    [await addressOf('two', 'farm')],
  );
  await removeAll(['one', 'two'], ['farm']);
});

t.test('a published port answers from everywhere, and sees who asks', async (t) => {
  await tsdctl.output('network', 'create', '--ipv6', '--subnet', 'fd00:2::/64', 'front');
  const port = await freePort();
  await serve('web', '--network', 'front', '-p', `${port}:80`, '-p', `${port}:80/udp`);
  t.equal(await hostPort('web', '80'), port);
  t.match(await tsdctl.output('ps', '--format', '{{.Ports}}'), `0.0.0.0:${port}->80/tcp`);
  for (const protocol of ['tcp', 'udp']) {
    answered(t, await neighbour(protocol, outside.hostIpv4, port), outside.ipv4, `${protocol} from outside`);
    answered(t, await neighbour(protocol, outside.hostIpv6, port), outside.ipv6, `${protocol} from outside, IPv6`);
    for (const address of ['127.0.0.1', outside.hostIpv4, outside.hostIpv6]) {
      const result = await host(protocol, address, port);
      t.equal(result.code, 0, `${protocol} from the host at ${address}: ${result.stderr}`);
    }
    // The last one is the container itself: its packets come back to where they went out.
    for (const network of ['front', 'bridge', 'container:web']) {
      const result = await inside(network, 'net-probe', 'ask', protocol, outside.hostIpv4, port);
      t.equal(result.code, 0, `${protocol} from a container on ${network} at the host's address: ${result.stderr}`);
    }
  }
  // The kernel cannot route to a container from ::1: `localhost` has to be refused there at once, not after minutes.
  t.match(await host('tcp', '::1', port), { code: 1, stderr: /connect: Connection refused/ });
  const gateway = await addressOf('web', 'front', 'Gateway');
  const address = await addressOf('web', 'front');
  outside.route(address, outside.hostIpv4);
  unanswered(t, await neighbour('tcp', address, '80'), 'the container itself is not reachable past the published port');
  t.equal((await host('tcp', gateway, port)).code, 0, 'at the bridge');

  const second = await tsdctl('run', '-d', '--name', 'second', '-p', `${port}:80`, PROBE_IMAGE);
  t.equal(second.code, 125);
  t.match(second.stderr, `Bind for 0.0.0.0:${port} failed: port is already allocated`);
  const taken = await occupy();
  const third = await tsdctl('run', '-d', '--name', 'third', '-p', `${taken.port}:80`, PROBE_IMAGE);
  t.equal(third.code, 125, 'a port that another process of the host has');
  t.match(third.stderr, /address already in use/);
  taken.close();

  await tsdctl.output('stop', '-t', '0', 'web');
  unanswered(t, await neighbour('tcp', outside.hostIpv4, port), 'after the stop');
  await tsdctl.output('start', 'web');
  await eventually(async () => (await neighbour('tcp', outside.hostIpv4, port)).code === 0, {
    what: 'it answers again',
  });
  await removeAll(['web', 'second', 'third'], ['front']);
});

const hasSctp = !/Protocol not supported/.test((await host('sctp', '127.0.0.1', '9')).stderr);
t.test('SCTP', { skip: !hasSctp && 'this kernel has no SCTP (modprobe sctp)' }, async (t) => {
  await tsdctl.output('network', 'create', '--ipv6', 'streams');
  const port = await freePort();
  const serveIt = [PROBE_IMAGE, 'net-probe', 'serve', 'sctp:80'];
  await tsdctl.output('run', '-d', '--name', 'web', '--network', 'streams', '-p', `${port}:80/sctp`, ...serveIt);
  await serving('web');
  t.equal((await inside('streams', 'net-probe', 'ask', 'sctp', 'web', '80')).code, 0, 'by name');
  answered(t, await neighbour('sctp', outside.hostIpv4, port), outside.ipv4, 'from outside');
  answered(t, await neighbour('sctp', outside.hostIpv6, port), outside.ipv6, 'from outside, IPv6');
  unanswered(t, await inside('bridge', 'net-probe', 'ask', 'sctp', await addressOf('web', 'streams'), '80'), 'apart');
  await removeAll(['web'], ['streams']);
  unanswered(t, await neighbour('sctp', outside.hostIpv4, port), 'afterwards');
});

t.test('ports on one address, ranges, -P and port numbers of the daemon’s choice', async (t) => {
  const port = await freePort();
  await serve('local', '-p', `127.0.0.1:${port}:80`);
  t.equal((await host('tcp', '127.0.0.1', port)).code, 0);
  unanswered(t, await neighbour('tcp', outside.hostIpv4, port), '127.0.0.1 is not for neighbours');
  unanswered(t, await inside('bridge', 'net-probe', 'ask', 'tcp', outside.hostIpv4, port), 'nor for containers');
  await serve('all', '-P');
  for (const protocol of ['tcp', 'udp']) {
    const published = await hostPort('all', `80/${protocol}`);
    answered(t, await neighbour(protocol, outside.hostIpv4, published), outside.ipv4, `-P ${protocol}`);
  }
  await tsdctl.output(
    'run',
    '-d',
    '--name',
    'range',
    '-p',
    '8000-8003',
    PROBE_IMAGE,
    'net-probe',
    'serve',
    'tcp:8000',
    'tcp:8003',
  );
  await serving('range');
  for (const number of ['8000', '8003']) {
    const published = await hostPort('range', number);
    answered(t, await neighbour('tcp', outside.hostIpv4, published), outside.ipv4, `${number} of a range`);
  }
  await removeAll(['local', 'all', 'range']);
});

t.test('a network whose ports are on one address by default', async (t) => {
  const option = 'com.docker.network.bridge.host_binding_ipv4=127.0.0.1';
  await tsdctl.output('network', 'create', '--ipv6', '-o', option, 'inward');
  await serve('local', '--network', 'inward', '-p', '80');
  t.match(await tsdctl.output('port', 'local', '80'), /^127\.0\.0\.1:\d+$/);
  const port = await hostPort('local', '80');
  t.equal((await host('tcp', '127.0.0.1', port)).code, 0);
  for (const address of [outside.hostIpv4, outside.hostIpv6])
    unanswered(t, await neighbour('tcp', address, port), `${address} is not where it is published`);
  await removeAll(['local'], ['inward']);
});

t.test('a network that is closed within', async (t) => {
  await tsdctl.output('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', 'apart');
  await serve('web', '--network', 'apart', '-p', '80');
  const address = await addressOf('web', 'apart');
  for (const protocol of ['tcp', 'udp'])
    unanswered(t, await inside('apart', 'net-probe', 'ask', protocol, address, '80'), `${protocol} to a neighbour`);
  unanswered(t, await inside('apart', 'net-probe', 'ping', address), 'ping');
  t.match(
    (await inside('apart', 'nslookup', '-type=a', 'web')).stdout,
    address,
    'the name server answers all the same',
  );
  await serveOutside(t);
  t.equal((await inside('apart', 'net-probe', 'ask', 'tcp', outside.ipv4, '80')).code, 0, 'out they still come');
  t.equal(
    (await neighbour('tcp', outside.hostIpv4, await hostPort('web', '80'))).code,
    0,
    'and published ports answer',
  );
  await removeAll(['web'], ['apart']);
});

t.test('links in the default network', async (t) => {
  await serve('db', '--hostname', 'dbhost', '-e', 'COLOUR=red');
  const linked = ['run', '--rm', '--link', 'db:store', PROBE_IMAGE];
  const address = await addressOf('db', 'bridge');
  const { stdout } = await tsdctl(...linked, 'sh', '-c', 'env; cat /etc/hosts; net-probe ask tcp store 80');
  for (const line of [`STORE_PORT=tcp://${address}:80`, `STORE_PORT_80_UDP_ADDR=${address}`, 'STORE_ENV_COLOUR=red'])
    t.match(stdout, line);
  t.match(stdout, `${address}\tstore dbhost db\n`);
  t.match(stdout, /^10\.\d+\.255\.\d+ \d+$/m, 'and it answers');
  await removeAll(['db']);
});

t.test('connect and disconnect while running', async (t) => {
  await tsdctl.output('network', 'create', 'left');
  await tsdctl.output('network', 'create', '--subnet', `10.${pool}.2.0/24`, 'right');
  const port = await freePort();
  await serve('web', '--network', 'left', '-p', `${port}:80`);
  await tsdctl.output('network', 'connect', '--alias', 'there', '--ip', `10.${pool}.2.77`, 'right', 'web');
  t.equal(await addressOf('web', 'right'), `10.${pool}.2.77`);
  answered(t, await inside('right', 'net-probe', 'ask', 'tcp', 'there', '80'), `10.${pool}.2.2`, 'by its alias');
  t.equal((await inside('left', 'net-probe', 'ask', 'tcp', 'web', '80')).code, 0);
  unanswered(t, await inside('left', 'nslookup', 'there'), 'the alias is the other network’s');

  await tsdctl.output('network', 'disconnect', 'right', 'web');
  unanswered(t, await inside('right', 'nslookup', 'web'), 'the name after disconnect');
  unanswered(
    t,
    await inside('right', 'net-probe', 'ask', 'tcp', `10.${pool}.2.77`, '80'),
    'the address after disconnect',
  );
  t.equal((await neighbour('tcp', outside.hostIpv4, port)).code, 0, 'the other network’s port stays');
  await tsdctl.output('network', 'disconnect', 'left', 'web');
  unanswered(t, await neighbour('tcp', outside.hostIpv4, port), 'the port after disconnect');
  unanswered(t, await host('tcp', '127.0.0.1', port), 'the port on the host after disconnect');
  await tsdctl.output('network', 'connect', 'right', 'web');
  t.equal((await inside('right', 'net-probe', 'ask', 'tcp', 'web', '80')).code, 0, 'connected again');
  await removeAll(['web'], ['left', 'right']);
});

t.test('the network of another container, and of the host', async (t) => {
  await serve('owner');
  const address = await tsdctl.output('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'owner');
  const shared = await inside('container:owner', 'net-probe', 'ask', 'tcp', '127.0.0.1', '80');
  answered(t, shared, '127.0.0.1', 'its loopback');
  t.match((await inside('container:owner', 'ip', 'address')).stdout, `inet ${address}/24`);
  t.match((await inside('host', 'ip', 'address')).stdout, `inet ${outside.hostIpv4}/30`);
  await removeAll(['owner']);
});

t.test('an internal network reaches nothing outside, and nobody reaches it', async (t) => {
  await tsdctl.output('network', 'create', '--internal', 'cellar');
  const port = await freePort();
  await serve('web', '--network', 'cellar', '-p', `${port}:80`);
  t.equal((await inside('cellar', 'net-probe', 'ask', 'tcp', 'web', '80')).code, 0, 'its own containers');
  await serveOutside(t);
  t.equal(
    (await inside('bridge', 'net-probe', 'ask', 'tcp', outside.ipv4, '80')).code,
    0,
    'the default network reaches it',
  );
  unanswered(t, await inside('cellar', 'net-probe', 'ask', 'tcp', outside.ipv4, '80'), 'outside');
  unanswered(t, await neighbour('tcp', outside.hostIpv4, port), 'its port from outside');
  await removeAll(['web'], ['cellar']);
});

t.test('what goes out has the host’s address', async (t) => {
  await serveOutside(t);
  for (const protocol of ['tcp', 'udp']) {
    answered(t, await inside('bridge', 'net-probe', 'ask', protocol, outside.ipv4, '80'), outside.hostIpv4, protocol);
  }
});

t.test('hosts and resolv.conf', async (t) => {
  const { stdout } = await tsdctl(
    ...['run', '--rm', '--hostname', 'me', '--add-host', 'friend:192.0.2.7', '--add-host', 'up:host-gateway'],
    ...[
      '--dns',
      upstream.address,
      '--dns-search',
      'test.invalid',
      PROBE_IMAGE,
      'cat',
      '/etc/hosts',
      '/etc/resolv.conf',
    ],
  );
  t.match(stdout, /^192\.0\.2\.7\s+friend$/m);
  t.match(stdout, new RegExp(`^10\\.${100 + pool}\\.255\\.1\\s+up$`, 'm'), 'host-gateway is the bridge');
  t.match(stdout, new RegExp(`^10\\.${100 + pool}\\.255\\.\\d+\\s+me$`, 'm'));
  t.match(stdout, /^search test\.invalid$/m);
});

t.test('an egress policy lets what is listed through, refuses the rest and counts it', async (t) => {
  upstream.names.set('allowed.test', outside.ipv4);
  upstream.names.set('refused.test', outside.ipv4);
  await serveOutside(t);
  await tsdctl.output('network', 'create', '--egress', 'deny', '--allow-egress', 'allowed.test:80', 'strict');
  const dns = ['--dns', upstream.address];
  const probe = [...dns, PROBE_IMAGE, 'sleep', '1000'];
  const clientId = await tsdctl.output('run', '-d', '--name', 'client', '--network', 'strict', ...probe);
  unanswered(
    t,
    await within('client', `net-probe ask tcp ${outside.ipv4} 80`),
    'its address, before anybody asked for the name',
  );
  answered(t, await within('client', 'net-probe ask tcp allowed.test 80'), outside.hostIpv4, 'the listed name');
  unanswered(t, await within('client', 'net-probe ask udp allowed.test 81'), 'another port of it');
  unanswered(t, await within('client', `net-probe ping ${outside.ipv4}`), 'ping');
  const { Egress } = JSON.parse(await tsdctl.output('network', 'inspect', 'strict'))[0];
  t.match(Egress, { Default: 'deny', Allow: [{ Rule: 'allowed.test:80' }] });
  t.ok(Egress.Allow[0].Packets > 0, 'what passed is counted');
  const refused = (protocol: string, port: number | null): number =>
    Egress.Refused.filter(
      (one: { Protocol: string; Port: number | null; Destination: string }) =>
        one.Protocol === protocol && one.Port === port && one.Destination === outside.ipv4,
    ).reduce((sum: number, { Packets }: { Packets: number }) => sum + Packets, 0);
  t.ok(refused('tcp', 80) > 0, 'tcp 80 was refused at first');
  t.ok(refused('udp', 81) > 0, 'udp 81');
  unanswered(t, await within('client', 'net-probe ask tcp refused.test 80'), 'another name');
  const events = ['events', '--since', '10m', '--filter', 'event=refuse', '--format', 'json'];
  const told = async (protocol: string, destination: string, port?: string): Promise<boolean> => {
    const lines = await tsdctl.output(...events, '--until', String(Date.now() / 1000));
    return lines.split('\n').some((line) => {
      const { Actor } = JSON.parse(line);
      const wanted = { name: 'strict', container: clientId, destination, protocol, port };
      return Object.entries(wanted).every(([key, value]) => Actor.Attributes[key] === value);
    });
  };
  await eventually(() => told('tcp', outside.ipv4, '80'), { what: 'an event of the refused address' });
  await eventually(() => told('dns', 'refused.test'), { what: 'an event of the refused name' });

  const own = ['--allow-egress', `${outside.ipv4}/32`, ...dns];
  const listed = await tsdctl('run', '--rm', ...own, PROBE_IMAGE, 'net-probe', 'ask', 'udp', outside.ipv4, '80');
  answered(t, listed, outside.hostIpv4, 'a list of the container’s own');
  const other = await tsdctl('run', '--rm', ...own, PROBE_IMAGE, 'net-probe', 'ask', 'tcp', outside.hostIpv4, '53');
  unanswered(t, other, 'what is not on it');
  await removeAll(['client'], ['strict']);
});

t.test('addresses, ports and names outlive the daemon', async (t) => {
  await tsdctl.output('network', 'create', 'lasting');
  const port = await freePort();
  await serve('web', '--network', 'lasting', '-p', `${port}:80`);
  await tsdctl.output('run', '-d', '--name', 'asker', '--network', 'lasting', PROBE_IMAGE, 'sleep', '1000');
  const before = [await addressOf('web', 'lasting'), await addressOf('web', 'lasting', 'MacAddress')];
  await daemon.crash();
  t.equal((await neighbour('tcp', outside.hostIpv4, port)).code, 0, 'without the daemon');
  await daemon.start();
  t.same([await addressOf('web', 'lasting'), await addressOf('web', 'lasting', 'MacAddress')], before);
  t.equal((await neighbour('tcp', outside.hostIpv4, port)).code, 0, 'with the next daemon');
  t.equal((await within('asker', 'net-probe ask tcp web 80')).code, 0, 'by its name');
  const again = await tsdctl('run', '--rm', '-p', `${port}:80`, PROBE_IMAGE, 'true');
  t.match(again, { code: 125, stderr: /port is already allocated/ }, 'the port is still reserved');
  await run('nft', ['delete', 'table', 'inet', await firewallTable()]);
  await eventually(async () => (await neighbour('tcp', outside.hostIpv4, port)).code === 0, {
    what: 'the port answers after somebody deleted the rules',
  });
  await removeAll(['web', 'asker'], ['lasting']);
});

t.test('prune, and nothing is left', async (t) => {
  await tsdctl.output('network', 'create', '--label', 'x=y', 'unused');
  t.match(await tsdctl.output('network', 'prune', '-f', '--filter', 'label=x=y'), 'unused');
  t.same((await tsdctl.output('network', 'ls', '--format', '{{.Name}} {{.Driver}}')).split('\n').sort(), [
    'bridge bridge',
    'host host',
    'none null',
  ]);
  const bridge = await bridgeName('bridge');
  const members = (): string[] => readdirSync(`/sys/class/net/${bridge}/brif`);
  await eventually(() => members().length === 0, { what: 'the bridge has no members' });
});

function bridgeName(network: string): Promise<string> {
  return tsdctl.output('network', 'inspect', '-f', '{{index .Options "com.docker.network.bridge.name"}}', network);
}

/** The table of this daemon: the one that knows its bridge. */
async function firewallTable(): Promise<string> {
  const bridge = await bridgeName('bridge');
  const { stdout } = await run('nft', ['list', 'tables', 'inet']);
  for (const [, table = ''] of stdout.matchAll(/^table inet (tsd\S*)$/gm)) {
    if ((await run('nft', ['list', 'table', 'inet', table])).stdout.includes(`"${bridge}"`)) return table;
  }
  throw new Error(`no table of ${bridge} among ${stdout}`);
}

/** net-probe outside, until the end of the test. */
async function serveOutside(test: Pick<typeof t, 'teardown'>): Promise<void> {
  const [program, ...args] = outside.prefix;
  const child = spawn(program, [...args, probe, 'serve', 'tcp:80', 'udp:80', 'udp:81'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  test.teardown(() => child.kill());
  await once(child.stdout, 'data');
}

interface Upstream {
  readonly address: string;
  /** What it knows; everything else does not exist. */
  readonly names: Map<string, string>;
  close(): void;
}

/** A name server on the host's end of the cable. */
async function startUpstream(): Promise<Upstream> {
  const names = new Map<string, string>();
  const socket = createSocket('udp4');
  socket.on('message', (message, { address, port }) => {
    const { id = 0, questions = [] } = decode(message);
    const [question] = questions;
    const found = question === undefined ? undefined : names.get(question.name.toLowerCase());
    const answers =
      question?.type === 'A' && found !== undefined
        ? [{ type: 'A' as const, name: question.name, ttl: 60, data: found }]
        : [];
    const notFound = found === undefined ? 3 : 0;
    socket.send(encode({ type: 'response', id, flags: 0x180 | notFound, questions, answers }), port, address);
  });
  await new Promise<void>((done, fail) => {
    socket.once('error', fail);
    socket.bind(53, outside.hostIpv4, done);
  });
  return { address: outside.hostIpv4, names, close: () => socket.close() };
}

/** A port of the host that nobody has. */
async function freePort(): Promise<string> {
  const taken = await occupy();
  taken.close();
  return taken.port;
}

async function occupy(): Promise<{ port: string; close(): void }> {
  const server = createServer().listen(0, '0.0.0.0');
  await new Promise((done) => server.once('listening', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: String(address.port), close: () => server.close() };
}
