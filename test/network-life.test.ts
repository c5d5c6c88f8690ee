/**
 * What becomes of networks when containers, bridges and daemons end at the wrong moment. A network namespace stands for the
 * host, so all interfaces and rules in it are this test's.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type CommandResult, run } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';
import { loadProbeImage, netProbe, PROBE_IMAGE } from './support/net-probe.ts';
import { addNetworkNamespace } from './support/network-namespace.ts';
import { makeOutside } from './support/outside.ts';

t.setTimeout(180_000);
const host = addNetworkNamespace(`${TEMPORARY_PREFIX}life-${process.pid}`);
t.teardown(() => host.remove());
const outside = makeOutside(host.name);
t.teardown(() => outside.remove());
const daemon = await startDaemon({ before: host.enter, args: ['--bip', '10.78.0.1/24'] });
t.teardown(() => daemon.remove());
const { tsdctl } = daemon;
await loadProbeImage(daemon);
const probe = netProbe();

const onHost = (...command: string[]): string =>
  execFileSync('nsenter', [...host.enter.slice(1), ...command], { encoding: 'utf8' });

function start(name: string, ...args: string[]): Promise<string> {
  return tsdctl.output('run', '-d', '--name', name, ...args, PROBE_IMAGE, 'sleep', '1000');
}

/** The same with a server, ready when this resolves. */
async function serve(name: string, ...args: string[]): Promise<void> {
  await tsdctl.output('run', '-d', '--name', name, ...args, PROBE_IMAGE);
  await eventually(async () => (await tsdctl.output('logs', name)).includes('serving'), { what: `${name} serves` });
}

/** A command of the image in a running container's namespaces. */
async function within(container: string, ...command: string[]): Promise<CommandResult> {
  const { State } = await daemon.inspect(container);
  return run('nsenter', ['--target', String(State.Pid), '--net', '--mount', '--root', '--wd=/', ...command]);
}

/** The interfaces of a container besides loopback. */
async function interfacesOf(container: string): Promise<string[]> {
  const { stdout } = await within(container, '/bin/busybox', 'ip', '-o', 'link');
  return [...stdout.matchAll(/^\d+: ([^:@]+)/gm)].map(([, name = '']) => name).filter((name) => name.startsWith('eth'));
}

t.test('a network that is shared ends with the container that it belongs to', async (t) => {
  await tsdctl.output('network', 'create', '--subnet', '10.79.1.0/24', 'shared');
  await start('aa', '--network', 'shared', '--ip', '10.79.1.5');
  await start('bb', '--network', 'container:aa');
  await start('cc', '--network', 'container:bb');
  t.same(await interfacesOf('bb'), ['eth0']);
  await tsdctl.output('restart', '-t', '0', 'aa');
  t.same(await interfacesOf('aa'), ['eth0']);
  t.same(await interfacesOf('bb'), [], 'the address is given out once');
  t.match((await within('aa', '/bin/busybox', 'ip', 'address')).stdout, '10.79.1.5');

  await tsdctl.output('rm', '-f', 'bb');
  await start('bb', '--network', 'container:aa');
  await start('dd', '--network', 'container:bb');
  await tsdctl.output('rm', '-f', 'bb');
  await daemon.crash();
  await daemon.start();
  await tsdctl.output('kill', 'aa');
  await eventually(async () => (await interfacesOf('dd')).length === 0, {
    what: 'of a chain whose middle is gone too',
  });
  await tsdctl.output('start', 'aa');
  await start('bb', '--network', 'container:aa');
  const { Pid } = (await daemon.inspect('aa')).State;
  await daemon.crash();
  process.kill(Pid, 'SIGKILL');
  await daemon.start();
  t.same(await interfacesOf('bb'), [], 'and of one that ended without a daemon');
  t.match(await tsdctl('network', 'rm', 'shared'), { code: 0 });
  t.notMatch(onHost('ip', '-o', 'link'), 'tsdv', 'nothing is left of it');
  await tsdctl.output('rm', '-f', 'aa', 'bb', 'cc', 'dd');
});

t.test('an egress policy holds for those who share the network, until nothing goes out at all', async (t) => {
  await serveOutside(t);
  await start('ea', '--allow-egress', '192.0.2.9/32');
  await start('eb', '--network', 'container:ea');
  const ask = () => within('eb', '/bin/net-probe', 'ask', 'tcp', outside.ipv4, '80');
  t.not((await ask()).code, 0, 'not on the list');
  const other = ['run', '--rm', PROBE_IMAGE, 'net-probe', 'ask', 'tcp', outside.ipv4, '80'];
  await eventually(async () => (await tsdctl(...other)).code === 0, { what: 'others reach it' });
  const asked: CommandResult[] = [];
  await tsdctl.output('kill', 'ea');
  for (const deadline = Date.now() + 500; Date.now() < deadline; ) asked.push(await ask());
  t.same(
    asked.filter(({ code }) => code === 0),
    [],
    `none of ${asked.length} tries passed`,
  );
  await tsdctl.output('rm', '-f', 'ea', 'eb');
});

t.test('a container that ends while it is connected leaves nothing', async (t) => {
  const [inner, front] = await Promise.all([
    tsdctl.output('network', 'create', '--internal', '--subnet', '10.79.2.0/24', 'inner'),
    tsdctl.output('network', 'create', '--subnet', '10.79.3.0/24', 'front'),
  ]);
  const { api } = daemon;
  const ports = Array.from({ length: 200 }, (_, index) => String(8000 + index));
  const seen = new Map<number, number>();
  await start('asker', '--network', 'front');
  for (let round = 0; round < 24; round += 1) {
    const body = {
      Image: PROBE_IMAGE,
      // It ends with its new interface, so while the daemon still tells the packet filter of its many ports.
      Cmd: [
        'sh',
        '-c',
        `until [ -e /sys/class/net/eth1 ] || [ $((i += 1)) -gt 99999 ]; do :; done; usleep ${(round % 8) * 500}`,
      ],
      HostConfig: {
        NetworkMode: inner,
        PortBindings: Object.fromEntries(ports.map((port) => [`${port}/tcp`, [{ HostPort: port }]])),
      },
    };
    await api.request('POST', '/containers/create?name=racer', body);
    await api.request('POST', '/containers/racer/start');
    const { status } = await api.request('POST', `/networks/${front}/connect`, { Container: 'racer' });
    seen.set(status, (seen.get(status) ?? 0) + 1);
    await api.request('POST', '/containers/racer/wait');
    // A removal waits until the exit is dealt with.
    t.equal((await api.request('DELETE', '/containers/racer')).status, 204);
    const leftover = onHost('nft', 'list', 'ruleset').match(/tcp \. 8\d\d\d .*/)?.[0];
    t.equal(leftover, undefined, `no rule after ${status}`);
    t.not((await within('asker', '/bin/busybox', 'nslookup', 'racer')).code, 0, `no name after ${status}`);
  }
  t.ok(
    [...seen.keys()].every((status) => status === 200 || status === 409),
    String([...seen.entries()]),
  );
  await tsdctl.output('run', '--rm', '-p', '8080:80', PROBE_IMAGE, 'true');
  await tsdctl.output('rm', '-f', 'asker');
  await tsdctl.output('network', 'rm', 'inner', 'front');
});

t.test('a bridge that somebody deletes comes again, and its containers are on it again', async (t) => {
  await tsdctl.output('network', 'create', '--ipv6', '--subnet', '10.79.4.0/24', '--subnet', 'fd79:4::/64', 'bridged');
  const bridge = `tsd-${(await tsdctl.output('network', 'inspect', '-f', '{{.Id}}', 'bridged')).slice(0, 11)}`;
  await serve('web', '--network', 'bridged', '-p', '8080:80');
  await start('asker', '--network', 'bridged');
  const before = (await within('asker', '/bin/busybox', 'ip', '-o', '-4', 'address')).stdout;
  const routes = (await within('asker', '/bin/busybox', 'ip', 'route')).stdout;
  const works = async (): Promise<boolean> =>
    (await within('asker', '/bin/net-probe', 'ask', 'tcp', 'web', '80')).code === 0 &&
    (await outside.run(probe, 'ask', 'tcp', outside.hostIpv4, '8080')).code === 0;
  t.ok(await works());
  onHost('ip', 'link', 'delete', bridge);
  const repairs = (): number => daemon.log().match(/repairing the interfaces/g)?.length ?? 0;
  await eventually(() => repairs() === 2, { what: 'both are on a bridge again' });
  t.ok(await works(), 'with names and ports');
  t.equal(
    (await within('asker', '/bin/busybox', 'ip', '-o', '-4', 'address')).stdout,
    before,
    'inside nothing has changed',
  );
  t.equal((await within('asker', '/bin/busybox', 'ip', 'route')).stdout, routes);

  onHost('ip', 'link', 'delete', bridge);
  await start('third', '--network', 'bridged');
  await eventually(() => repairs() === 4, { what: 'also those that were there before a start made it again' });
  t.ok(await works());
  const veth = /(tsdv\w+)@.* master tsd-/.exec(onHost('ip', '-o', 'link'))?.[1] ?? '';
  onHost('ip', 'link', 'delete', veth);
  await daemon.crash();
  onHost('ip', 'link', 'delete', bridge);
  await daemon.start();
  t.ok(await works(), 'and a daemon that starts does all of it before it answers');
  await tsdctl.output('rm', '-f', 'web', 'asker', 'third');
  await tsdctl.output('network', 'rm', 'bridged');
});

t.test('subnets are chosen beside routes of other tables', async (t) => {
  onHost('ip', 'route', 'add', '172.17.0.0/16', 'dev', 'lo', 'table', '52');
  onHost('ip', 'route', 'add', '172.18.0.0/16', 'dev', 'lo', 'table', '52');
  await tsdctl.output('network', 'create', 'beside');
  const subnet = await tsdctl.output('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Subnet}}', 'beside');
  t.equal(subnet, '172.19.0.0/16', 'the first that nothing leads to');
  await tsdctl.output('network', 'rm', 'beside');
  onHost('ip', 'route', 'flush', 'table', '52');
});

t.test('another name of the default bridge after a kill -9', async (t) => {
  const dataRoot = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  t.teardown(() => rmSync(dataRoot, { recursive: true, force: true }));
  const args = ['--bip', '10.79.9.1/24', '--bridge-name'];
  const first = await startDaemon({ before: host.enter, dataRoot, args: [...args, 'tsdold'] });
  await first.crash();
  const second = await startDaemon({ before: host.enter, dataRoot, args: [...args, 'tsdnew'] });
  const links = onHost('ip', '-o', 'link');
  t.match(links, 'tsdnew');
  t.notMatch(links, 'tsdold', 'the address is on one bridge');
  await second.remove();
  await first.remove();
});

/** net-probe outside, until the end of the test. */
async function serveOutside(test: Pick<typeof t, 'teardown'>): Promise<void> {
  const [program, ...args] = outside.prefix;
  const child = spawn(program, [...args, probe, 'serve', 'tcp:80'], { stdio: ['ignore', 'pipe', 'inherit'] });
  test.teardown(() => child.kill());
  await once(child.stdout, 'data');
}
