/**
 * A host that forwards packets for containers alone, between two neighbours who would like to use it as their router: in a network
 * namespace that stands for it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { loadProbeImage, netProbe, PROBE_IMAGE } from './support/net-probe.ts';
import { addNetworkNamespace } from './support/network-namespace.ts';
import { makeOutside, type Outside } from './support/outside.ts';

t.setTimeout(180_000);
const namespace = addNetworkNamespace(`tsd-test-fwd-${process.pid.toString(16)}`);
t.teardown(() => namespace.remove());
const left = makeOutside(namespace.name);
t.teardown(() => left.remove());
const right = makeOutside(namespace.name);
t.teardown(() => right.remove());
left.route(right.ipv4, left.hostIpv4);
left.route(right.ipv6, left.hostIpv6);
right.route(left.ipv4, right.hostIpv4);
right.route(left.ipv6, right.hostIpv6);
const onHost = (program: string, ...args: string[]): string => {
  const [enter = '', ...rest] = [...namespace.enter, program, ...args];
  return execFileSync(enter, rest, { encoding: 'utf8' });
};
const FORWARDING = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'];
const setForwarding = (value: 0 | 1): void => {
  for (const name of FORWARDING) onHost('sysctl', '-qw', `${name}=${value}`);
};
const asks = async (asker: Outside, address: string, port = '80'): Promise<boolean> =>
  (await asker.run(netProbe(), 'ask', 'tcp', address, port)).code === 0;
/** Whether one neighbour reaches the other through the host, by IPv4 and by IPv6. */
const through = async (): Promise<readonly boolean[]> => [await asks(left, right.ipv4), await asks(left, right.ipv6)];
const forwards = (): Promise<unknown> =>
  eventually(async () => (await through()).every(Boolean), { what: 'the host forwards' });
const [enterRight, ...enterArgs] = right.prefix;
const server = spawn(enterRight, [...enterArgs, netProbe(), 'serve', 'tcp:80'], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
t.teardown(() => server.kill());
await once(server.stdout, 'data');

await t.test('a host that did not forward', async (t) => {
  setForwarding(0);
  const daemon = await startDaemon({ before: namespace.enter, args: ['--ipv6'] });
  t.teardown(() => daemon.remove());
  const { tsdctl } = daemon;
  await loadProbeImage(daemon);
  const serve = ['run', '-d', '--name', 'web', '-p', '8080:80', PROBE_IMAGE];
  await tsdctl.output(...serve);
  await eventually(async () => (await tsdctl.output('logs', 'web')).includes('serving'), { what: 'web serves' });
  t.match(onHost('sysctl', ...FORWARDING), /ip_forward = 1[\s\S]*forwarding = 1/);
  t.match(daemon.log(), /new connections between its other interfaces are dropped/);

  const check = async (when: string): Promise<void> => {
    t.strictSame(await through(), [false, false], `${when}: no router`);
    for (const address of [left.hostIpv4, left.hostIpv6])
      await eventually(() => asks(left, address, '8080'), { what: `${when}: a published port at ${address}` });
    for (const address of [right.ipv4, right.ipv6]) {
      const out = ['run', '--rm', PROBE_IMAGE, 'net-probe', 'ask', 'tcp', address, '80'];
      await eventually(async () => (await tsdctl(...out)).code === 0, {
        what: `${when}: a container reaches ${address}`,
      });
    }
  };
  await check('at first');
  await daemon.crash();
  await daemon.start();
  await check('after a restart');
  // Another engine that comes later: what its bridge forwards is its own affair.
  onHost('ip', 'link', 'add', 'other0', 'type', 'bridge');
  const port = onHost('ip', '-o', 'address', 'show', 'to', left.hostIpv4).split(/\s+/)[1] ?? '';
  onHost('ip', 'address', 'delete', `${left.hostIpv4}/30`, 'dev', port);
  onHost('ip', 'link', 'set', port, 'master', 'other0');
  onHost('ip', 'address', 'add', `${left.hostIpv4}/30`, 'dev', 'other0');
  onHost('ip', 'link', 'set', 'other0', 'up');
  await eventually(() => asks(left, right.ipv4), { what: 'another’s bridge forwards' });
  onHost('ip', 'link', 'set', port, 'nomaster');
  onHost('ip', 'address', 'delete', `${left.hostIpv4}/30`, 'dev', 'other0');
  onHost('ip', 'address', 'add', `${left.hostIpv4}/30`, 'dev', port);

  await tsdctl.output('rm', '-f', 'web');
  await daemon.shutDown();
  t.strictSame(await through(), [false, false], 'without the daemon and its bridges');
  t.match(onHost('nft', 'list', 'tables'), /^table inet tsd_\w+\n$/, 'a rule stays while others have bridges');
  onHost('ip', 'link', 'delete', 'other0');
  await daemon.start();
  t.strictSame(await through(), [false, false]);
  await daemon.shutDown();
  t.equal(onHost('nft', 'list', 'tables'), '', 'otherwise all is as it was');
  t.match(onHost('sysctl', ...FORWARDING), /ip_forward = 0[\s\S]*forwarding = 0/);
  await daemon.start();
});

await t.test('where the host is to be a router', async (t) => {
  setForwarding(0);
  const daemon = await startDaemon({ before: namespace.enter, args: ['--ipv6', '--ip-forward-no-drop'] });
  t.teardown(() => daemon.remove());
  await forwards();
});

await t.test('a host that forwarded already', async (t) => {
  setForwarding(1);
  await forwards();
  const daemon = await startDaemon({ before: namespace.enter, args: ['--ipv6'] });
  t.teardown(() => daemon.remove());
  await forwards();
  t.notMatch(daemon.log(), /are dropped/);
});
