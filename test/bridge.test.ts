/**
 * Bridges and interfaces on the real kernel, without the daemon: made in a network namespace of the test's own, which stands for
 * the host's. The file runs itself again in there.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readlinkSync } from 'node:fs';
import t, { type Test } from 'tap';
import { createBridges } from '../packages/daemon/src/networks/bridge.ts';
import { createContainerInterfaces } from '../packages/daemon/src/networks/container-interfaces.ts';
import type { NetworkRecord } from '../packages/daemon/src/networks/network.ts';
import { createNetworkSysctls } from '../packages/daemon/src/networks/network-sysctls.ts';
import { readLinkCounters } from '../packages/daemon/src/os/link-counters.ts';
import { openNetlink } from '../packages/daemon/src/os/netlink.ts';
import { inNetworkNamespace, openNetworkNamespace } from '../packages/daemon/src/os/network-namespace.ts';
import type { PlannedInterface } from '../packages/daemon/src/runtime/launch-input.ts';
import { decodeLink, encodeGetLink } from '../packages/daemon/src/runtime/netlink/links.ts';
import { eventually } from './support/eventually.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';

const INSIDE = 'TSD_TEST_IN_NAMESPACE';

if (process.env[INSIDE] === undefined && process.getuid?.() === 0) runInside();

/** Ends the process with the status of the one inside. */
function runInside(): never {
  const name = `${TEMPORARY_PREFIX}bridge-${process.pid}`;
  execFileSync('ip', ['netns', 'add', name]);
  try {
    // Not `ip netns exec`: /sys goes on showing this host's interfaces, as it may to a daemon in a namespace of its own.
    const enter = [`--net=/run/netns/${name}`, process.execPath, import.meta.filename];
    const { status } = spawnSync('nsenter', enter, {
      stdio: 'inherit',
      env: { ...process.env, [INSIDE]: name },
    });
    process.exitCode = status ?? 1;
  } finally {
    execFileSync('ip', ['netns', 'del', name]);
  }
  process.exit();
}

const messages: string[] = [];
const remade: string[] = [];
const log = {
  info: (fields: object, message: string) => void messages.push(`info ${JSON.stringify(fields)} ${message}`),
  warn: (fields: object, message: string) => void messages.push(`warn ${JSON.stringify(fields)} ${message}`),
  error: (fields: object, message: string) => void messages.push(`error ${JSON.stringify(fields)} ${message}`),
};
const sysctls = createNetworkSysctls();
const skip = process.getuid?.() !== 0 && 'making interfaces needs root';

function network(overrides: Partial<NetworkRecord> = {}): NetworkRecord {
  return {
    id: 'ab'.repeat(32),
    name: 'web',
    driver: 'bridge',
    createdAt: '2026-11-24T00:00:00.000000000Z',
    internal: false,
    attachable: false,
    ipv4: true,
    ipv6: false,
    bridgeName: 'tsdp0',
    mtu: null,
    labels: {},
    options: {},
    egress: null,
    subnets: [
      { family: 4, subnet: '10.99.0.0/16', gateway: '10.99.0.1', ipRange: null, auxiliaryAddresses: {} },
      { family: 6, subnet: 'fd99::/64', gateway: 'fd99::1', ipRange: null, auxiliaryAddresses: {} },
    ],
    ...overrides,
  };
}

interface Container {
  readonly pid: number;
  readonly process: ChildProcess;
  run(...command: string[]): string;
}

/** A process in a network namespace of its own; ends with the test. */
async function container(t: Test): Promise<Container> {
  const child = spawn('unshare', ['--net', '--', 'sleep', '1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  t.teardown(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const pid = child.pid as number;
  const own = readlinkSync('/proc/self/ns/net');
  await eventually(() => readlinkSync(`/proc/${pid}/ns/net`) !== own, { what: 'a namespace of its own' });
  return { pid, process: child, run: (...command) => ip('nsenter', '--net', '-t', String(pid), '--', ...command) };
}

function ip(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function planned(bridgeIndex: number, last: number): PlannedInterface {
  return {
    hostName: `tsdv${last.toString(16).padStart(11, '0')}`,
    bridgeIndex,
    name: 'eth0',
    mac: `02:42:0a:63:00:${last.toString(16).padStart(2, '0')}`,
    mtu: 1400,
    addresses: [`10.99.0.${last}/16`, `fd99::${last}/64`],
    gateways: [],
  };
}

t.test('bridges', { skip }, async (t) => {
  const netlink = openNetlink();
  t.teardown(() => netlink.close());
  const bridges = createBridges({ netlink, sysctls, log, remade: ({ name }) => void remade.push(name) });
  sysctls.write('ipv4/ip_forward', '0');
  bridges.ensure(network());
  const shown = ip('ip', '-d', 'address', 'show', 'tsdp0');
  t.match(shown, /inet 10\.99\.0\.1\/16 brd 10\.99\.255\.255 scope global/);
  t.match(shown, /inet6 fd99::1\/64 scope global/);
  t.match(shown, /mtu 1500/);
  t.match(shown, /[<,]UP[,>]/);
  t.equal(sysctls.read('ipv4/conf/tsdp0/route_localnet'), '1');
  t.equal(sysctls.read('ipv6/conf/tsdp0/accept_ra'), '0');
  t.equal(sysctls.read('ipv4/ip_forward'), '1');
  t.equal(sysctls.read('ipv6/conf/all/forwarding'), '1');
  t.match(messages.join('\n'), /warn \{"setting":"net.ipv4.ip_forward"\} the host forwards packets now/);
  const said = messages.length;

  const index = bridges.index(network());
  bridges.ensure(network());
  t.equal(bridges.index(network()), index, 'a bridge that is there stays');
  t.equal(messages.length, said, 'and nothing is said again');
  ip('ip', 'link', 'set', 'tsdp0', 'mtu', '1450');
  bridges.index(network());
  t.match(ip('ip', 'link', 'show', 'tsdp0'), 'mtu 1450', 'a start looks for the bridge only');

  const mac = /link\/ether (\S+)/.exec(shown)?.[1];
  t.notOk(bridges.isLost(network()));
  ip('ip', 'link', 'delete', 'tsdp0');
  t.ok(bridges.isLost(network()));
  ip('ip', 'link', 'add', 'tsdp0', 'type', 'bridge');
  t.ok(bridges.isLost(network()), 'what has its name now is not it');
  t.throws(() => bridges.index(network()), { code: 'conflict' });
  ip('ip', 'link', 'delete', 'tsdp0');
  t.strictSame(remade, []);
  t.not(bridges.index(network()), index, 'made again');
  t.strictSame(remade.splice(0), ['web'], 'and told');
  t.notOk(bridges.isLost(network()));
  t.match(ip('ip', 'address', 'show', 'tsdp0'), `link/ether ${mac}`, 'with the same Ethernet address');

  ip('ip', 'address', 'add', '10.98.0.1/24', 'dev', 'tsdp0');
  ip('ip', 'link', 'set', 'tsdp0', 'down');
  bridges.ensure(network({ mtu: 1300, subnets: network().subnets.slice(0, 1) }));
  const changed = ip('ip', 'address', 'show', 'tsdp0');
  t.match(changed, /mtu 1300/);
  t.match(changed, /[<,]UP[,>]/);
  t.match(changed, /10\.99\.0\.1\/16/);
  t.notMatch(changed, /10\.98|fd99|inet6 fe80/, 'no other addresses, and none of IPv6 without a subnet of it');

  ip('ip', 'link', 'add', 'tsdp1', 'type', 'veth', 'peer', 'name', 'tsdp3');
  t.throws(() => bridges.ensure(network({ bridgeName: 'tsdp1' })), {
    code: 'conflict',
    message: /the host has an interface tsdp1 that is not this network's/,
  });
  await bridges.remove(network({ bridgeName: 'tsdp1' }));
  t.match(ip('ip', 'link', 'show', 'tsdp1'), 'tsdp1', "somebody else's is left alone");
  ip('ip', 'link', 'delete', 'tsdp1');

  ip('ip', 'link', 'add', 'tsdp1', 'type', 'bridge');
  ip('ip', 'address', 'add', '10.96.0.1/24', 'dev', 'tsdp1');
  t.throws(() => bridges.ensure(network({ bridgeName: 'tsdp1' })), { code: 'conflict' });
  await bridges.remove(network({ bridgeName: 'tsdp1' }));
  t.match(ip('ip', 'address', 'show', 'tsdp1'), '10.96.0.1/24', 'and so is a bridge, like docker0');
  ip('ip', 'link', 'delete', 'tsdp1');

  const bad = network({
    bridgeName: 'tsdp2',
    subnets: [{ family: 4, subnet: '10.97.0.0/16', gateway: '10.97.0.1', ipRange: null, auxiliaryAddresses: {} }],
    mtu: 67,
  });
  t.throws(() => bridges.ensure(bad), {
    code: 'unavailable',
    message: 'network web: the bridge tsdp2 could not be made: mtu less than device minimum (EINVAL)',
  });
  t.throws(() => ip('ip', 'link', 'show', 'tsdp2'), /does not exist/, 'nothing is left');

  await bridges.remove(network());
  t.throws(() => ip('ip', 'link', 'show', 'tsdp0'), /does not exist/);
  await bridges.remove(network());
});

t.test('interfaces of running containers', { skip }, async (t) => {
  const netlink = openNetlink();
  t.teardown(() => netlink.close());
  const bridges = createBridges({ netlink, sysctls, log, remade: ({ name }) => void remade.push(name) });
  const interfaces = createContainerInterfaces({ netlink, sysctls });
  t.teardown(() => bridges.remove(network()));
  const index = bridges.index(network());
  const [one, two] = [await container(t), await container(t)];
  const before = readlinkSync('/proc/self/ns/net');

  interfaces.add(one.pid, planned(index, 2));
  interfaces.add(two.pid, planned(index, 3));
  t.equal(readlinkSync('/proc/self/ns/net'), before, 'the thread is where it was');
  const inside = one.run('ip', '-d', 'address', 'show', 'eth0');
  for (const expected of [
    'inet 10.99.0.2/16',
    'inet6 fd99::2/64',
    'mtu 1400',
    'link/ether 02:42:0a:63:00:02',
    'state UP',
  ]) {
    t.match(inside, expected);
  }
  t.equal(one.run('cat', '/proc/sys/net/ipv6/conf/eth0/accept_ra'), '0\n');
  const hostEnd = ip('ip', 'address', 'show', planned(index, 2).hostName);
  t.match(hostEnd, /master tsdp0 state UP/);
  t.notMatch(hostEnd, /inet/, 'a port has no addresses');
  t.match(ip('ip', 'neighbour', 'show', 'dev', 'tsdp0'), /10\.99\.0\.2 lladdr 02:42:0a:63:00:02/);
  t.match(one.run('busybox', 'ping', '-c1', '-W2', '10.99.0.3'), ' 0% packet loss');
  t.match(one.run('busybox', 'ping', '-c1', '-W2', 'fd99::3'), ' 0% packet loss');
  t.match(ip('busybox', 'ping', '-c1', '-W2', '10.99.0.2'), ' 0% packet loss');

  const counted = readLinkCounters(one.pid)?.get('eth0');
  const [answer] = netlink.request(encodeGetLink({ name: planned(index, 2).hostName }));
  const atHost = decodeLink(answer?.body ?? Buffer.alloc(0)).counters;
  t.ok((counted?.receivedPackets ?? 0) >= 3 && (counted?.receivedBytes ?? 0) >= 3 * 84, 'the echoes are counted');
  t.ok(atHost.sentPackets >= (counted?.receivedPackets ?? 0), 'what one end sends the other receives');

  interfaces.setGateways(one.pid, [
    { interface: 'eth0', address: '10.99.0.1' },
    { interface: 'eth0', address: 'fd99::1' },
  ]);
  t.match(one.run('ip', 'route'), /^default via 10\.99\.0\.1 dev eth0/m);
  t.match(one.run('ip', '-6', 'route'), /^default via fd99::1 dev eth0/m);
  interfaces.add(one.pid, { ...planned(index, 4), name: 'eth1' });
  interfaces.setGateways(one.pid, [{ interface: 'eth1', address: '10.99.0.3' }]);
  t.equal(one.run('ip', 'route', 'show', 'default').trim(), 'default via 10.99.0.3 dev eth1');
  t.equal(one.run('ip', '-6', 'route', 'show', 'default').trim(), '');

  t.throws(() => interfaces.add(two.pid, { ...planned(index, 5) }), {
    code: 'internal',
    message: /^the interface eth0 could not be added: .*EEXIST/,
  });
  t.throws(
    () => interfaces.add(two.pid, { ...planned(index, 5), name: 'eth9', addresses: ['10.99.0.5/16'], mtu: 67 }),
    {
      message: /mtu less than device minimum|EINVAL/,
    },
  );
  t.notOk(interfaces.find(planned(index, 5).hostName), 'nothing is left of it');
  t.throws(() => interfaces.setGateways(two.pid, [{ interface: 'eth7', address: '10.99.0.1' }]), /no interface eth7/);
  t.throws(() => interfaces.setGateways(two.pid, [{ interface: 'eth0', address: '10.1.0.1' }]), {
    message: /Nexthop has invalid gateway/,
  });

  t.same(interfaces.find(planned(index, 2).hostName), { bridgeIndex: index });
  ip('ip', 'link', 'delete', 'tsdp0');
  t.same(interfaces.find(planned(index, 2).hostName), { bridgeIndex: null });
  const second = bridges.index(network());
  interfaces.plug({ ...planned(second, 2), hairpin: true });
  t.same(interfaces.find(planned(second, 2).hostName), { bridgeIndex: second });
  t.match(ip('bridge', '-d', 'link', 'show', 'dev', planned(second, 2).hostName), 'hairpin on');
  await interfaces.remove(planned(index, 2).hostName);
  await interfaces.remove(planned(index, 2).hostName);
  t.notOk(interfaces.find(planned(index, 2).hostName));
  t.notMatch(one.run('ip', 'link'), 'eth0');

  const apart = { ...planned(second, 6), name: 'eth2', isolated: true };
  interfaces.add(one.pid, apart);
  interfaces.add(two.pid, { ...planned(second, 7), name: 'eth2', isolated: true });
  t.match(ip('bridge', '-d', 'link', 'show', 'dev', apart.hostName), 'isolated on');

  one.process.kill('SIGKILL');
  await once(one.process, 'exit');
  await eventually(() => !interfaces.find(planned(index, 4).hostName), { what: 'the kernel removes the pair' });
  t.throws(() => interfaces.add(one.pid, planned(index, 2)), { code: 'conflict', message: /not running/ });
});

t.test('the way into a namespace and back', { skip }, async (t) => {
  const other = await container(t);
  const own = readlinkSync('/proc/self/ns/net');
  const descriptor = openNetworkNamespace(other.pid);
  t.teardown(() => closeSync(descriptor));
  t.equal(
    inNetworkNamespace(descriptor, () => readlinkSync('/proc/thread-self/ns/net')),
    readlinkSync(`/proc/${other.pid}/ns/net`),
  );
  t.throws(
    () =>
      inNetworkNamespace(descriptor, () => {
        throw new Error('inside');
      }),
    'inside',
  );
  t.equal(readlinkSync('/proc/thread-self/ns/net'), own);
});
