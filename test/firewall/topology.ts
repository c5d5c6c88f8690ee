/**
 * A host of the test's own: a network namespace with two bridges, four containers on them (namespaces too) and a neighbour
 * outside. Nothing of it is seen from outside, and all of it goes with the process that makes it.
 *
 *     outside ── 192.0.2.1 host ── alpha 10.99.1.1 ── a1, a2
 *                               └─ beta  10.99.2.1 ── b1
 *                               └─ gamma 10.99.3.1 ── g1 (internal)
 */
import { type ChildProcess, execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkRecord } from '../../packages/daemon/src/networks/network.ts';
import type { Order, Protocol, Question, Reply } from './peer.ts';

const MARK = 'TSD_FIREWALL_TEST_NAMESPACE';

/**
 * Runs this very file again in namespaces of its own (network and mounts), and ends with its exit code. Returns in there.
 */
export function enterOwnNamespaces(file: string): void {
  if (process.env[MARK] !== undefined) return;
  const { status } = spawnSync('unshare', ['--net', '--mount', process.execPath, ...process.execArgv, file], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  process.exit(status ?? 1);
}

export interface Place {
  serve(protocol: Protocol, port: number): Promise<void>;
  ask(protocol: Protocol, host: string, port: number, from?: number): Promise<string>;
  /** Runs a command in the place and returns what it prints. */
  run(...command: [string, ...string[]]): string;
  end(): Promise<void>;
}

export interface Topology {
  readonly outside: Place;
  readonly a1: Place;
  readonly a2: Place;
  readonly b1: Place;
  readonly g1: Place;
  end(): Promise<void>;
}

const NETWORKS = { alpha: 1, beta: 2, gamma: 3 } as const;
export type NetworkName = keyof typeof NETWORKS;

export function networkRecord(name: NetworkName, over: Partial<NetworkRecord> = {}): NetworkRecord {
  const index = NETWORKS[name];
  const subnet = { ipRange: null, auxiliaryAddresses: {} };
  return {
    id: String(index).repeat(64),
    name,
    driver: 'bridge',
    createdAt: '2026-01-01T00:00:00.000000000Z',
    internal: name === 'gamma',
    attachable: false,
    ipv4: true,
    ipv6: true,
    bridgeName: `tsd-${name}`,
    mtu: null,
    labels: {},
    options: {},
    egress: null,
    subnets: [
      { family: 4, subnet: `10.99.${index}.0/24`, gateway: `10.99.${index}.1`, ...subnet },
      { family: 6, subnet: `fd99:${index}::/64`, gateway: `fd99:${index}::1`, ...subnet },
    ],
    ...over,
  };
}

export async function makeTopology(): Promise<Topology> {
  execFileSync('mkdir', ['-p', '/run/netns']);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run/netns']);
  ip('link set lo up');
  for (const setting of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${setting}`, '1');
  for (const [name, index] of Object.entries(NETWORKS)) {
    ip(
      `link add tsd-${name} type bridge`,
      `addr add 10.99.${index}.1/24 dev tsd-${name}`,
      `addr add fd99:${index}::1/64 dev tsd-${name} nodad`,
      `link set tsd-${name} up`,
    );
    writeFileSync(`/proc/sys/net/ipv4/conf/tsd-${name}/route_localnet`, '1');
  }
  ip(
    'netns add outside',
    'link add tsdv-out type veth peer name eth0 netns outside',
    'addr add 192.0.2.1/24 dev tsdv-out',
    'addr add 192.0.2.9/24 dev tsdv-out',
    'addr add 2001:db8::1/64 dev tsdv-out nodad',
    'link set tsdv-out up',
  );
  inside(
    'outside',
    'addr add 192.0.2.2/24 dev eth0',
    'addr add 192.0.2.3/24 dev eth0',
    'addr add 2001:db8::2/64 dev eth0 nodad',
    'link set lo up',
    'link set eth0 up',
    // A neighbour that tries to come past the published ports.
    'route add 10.99.0.0/16 via 192.0.2.1',
    'route add fd99::/16 via 2001:db8::1',
  );
  addContainer('a1', 'alpha', 2);
  addContainer('a2', 'alpha', 3);
  addContainer('b1', 'beta', 2);
  addContainer('g1', 'gamma', 2);
  const places = { outside: place('outside'), a1: place('a1'), a2: place('a2'), b1: place('b1'), g1: place('g1') };
  return {
    ...places,
    async end() {
      await Promise.all(Object.values(places).map((one) => one.end()));
    },
  };
}

function addContainer(name: string, network: NetworkName, host: number): void {
  const index = NETWORKS[network];
  ip(
    `netns add ${name}`,
    `link add tsdv-${name} type veth peer name eth0 netns ${name}`,
    `link set tsdv-${name} master tsd-${network}`,
    // As for a container with published ports (PlannedInterface.hairpin).
    `link set dev tsdv-${name} type bridge_slave hairpin on`,
    `link set tsdv-${name} up`,
  );
  inside(
    name,
    `addr add 10.99.${index}.${host}/24 dev eth0`,
    `addr add fd99:${index}::${host}/64 dev eth0 nodad`,
    'link set lo up',
    'link set eth0 up',
    `route add default via 10.99.${index}.1`,
    `route add default via fd99:${index}::1`,
  );
}

function ip(...commands: readonly string[]): void {
  execFileSync('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n`, stdio: ['pipe', 'ignore', 'inherit'] });
}

function inside(namespace: string, ...commands: readonly string[]): void {
  execFileSync('ip', ['-netns', namespace, '-batch', '-'], {
    input: `${commands.join('\n')}\n`,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
}

function place(name: string): Place {
  const child: ChildProcess = fork(join(import.meta.dirname, 'peer.ts'), {
    execPath: 'ip',
    execArgv: ['netns', 'exec', name, process.execPath, ...process.execArgv],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (result: string) => void>();
  let next = 1;
  child.on('message', ({ id, result }: Reply) => {
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  const order = (what: Omit<Extract<Order, { ask: Question }>, 'id'> | Omit<Extract<Order, { serve: object }>, 'id'>) =>
    new Promise<string>((resolve) => {
      const id = next++;
      waiting.set(id, resolve);
      child.send({ id, ...what });
    });
  return {
    async serve(protocol, port) {
      const result = await order({ serve: { protocol, port, name } });
      if (result !== 'serving') throw new Error(`${name} cannot serve ${port}/${protocol}: ${result}`);
    },
    ask: (protocol, host, port, from) =>
      order({ ask: { protocol, host, port, ...(from === undefined ? {} : { from }) } }),
    run: (...command) => execFileSync('ip', ['netns', 'exec', name, ...command], { encoding: 'utf8' }),
    async end() {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}
