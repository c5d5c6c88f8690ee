/** Hundreds of containers, 8 at a time, without and with a network: afterwards the host and the daemon are as before. */
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import t from 'tap';
import { run } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { isAlive, readStatus } from './support/host-process.ts';
import { findLeaks, readHostState } from './support/leaks.ts';

const CONTAINERS = 200;
const NETWORKED = 500;
const AT_A_TIME = 8;

const pool = 100 + (process.pid % 100);
const daemon = await startDaemon({ args: ['--bip', `10.${pool}.0.1/16`] });
t.teardown(() => daemon.remove());
await daemon.load();
const { api } = daemon;

async function call(method: string, path: string, body?: unknown): Promise<string> {
  const { status, text } = await api.request(method, path, body);
  if (status >= 300 && status !== 304) throw new Error(`${method} ${path}: ${status} ${text}`);
  return text;
}

async function create(hostConfig: object = { NetworkMode: 'none' }): Promise<string> {
  const body = { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { Memory: 33_554_432, ...hostConfig } };
  return (JSON.parse(await call('POST', '/containers/create', body)) as { Id: string }).Id;
}

/** Starts a container and returns its process and its supervisor. */
async function start(id: string): Promise<number[]> {
  await call('POST', `/containers/${id}/start`);
  const { Pid } = (await daemon.inspect(id)).State;
  return [Pid, Number(readStatus(Pid).get('PPid'))];
}

async function stopAndRemove(id: string): Promise<void> {
  await call('POST', `/containers/${id}/stop?t=0`);
  await call('DELETE', `/containers/${id}`);
}

const cgroupNames = (): string[] => [...(readHostState().get('cgroup') ?? [])].map((path) => basename(path));
const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

t.test(`${CONTAINERS} containers, ${AT_A_TIME} at a time`, { timeout: 240_000 }, async (t) => {
  // Layers stay mounted for a while and connections are kept: a first round before the counting.
  const warm = await Promise.all(Array.from({ length: AT_A_TIME }, create));
  await Promise.all(warm.map(start));
  await Promise.all(warm.map(stopAndRemove));
  await eventually(() => !cgroupNames().some((name) => warm.includes(name)), { what: 'their cgroups are removed' });
  api.close();
  const before = readHostState();
  const descriptorsBefore = descriptors();

  const pids: number[] = [];
  const remaining = Array.from({ length: CONTAINERS }, (_, index) => index);
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (remaining.pop() !== undefined) {
        const id = await create();
        pids.push(...(await start(id)));
        await stopAndRemove(id);
      }
    }),
  );
  t.comment(`${(CONTAINERS / ((performance.now() - startedAt) / 1000)).toFixed(1)} containers a second`);

  t.equal(await call('GET', '/containers/json?all=1'), '[]');
  await eventually(() => !pids.some(isAlive), { what: 'all processes and supervisors have ended' });
  t.same(await findLeaks(before, new Set()), [], 'mounts, cgroups, namespaces, interfaces');
  await eventually(() => readdirSync(`${daemon.dataRoot}/containers`).length === 0, { what: 'the files are removed' });
  api.close();
  await eventually(() => descriptors() <= descriptorsBefore, {
    what: `the daemon has ${descriptorsBefore} descriptors again`,
  });
});

t.test(`${NETWORKED} containers on the bridge that run at once`, { timeout: 400_000 }, async (t) => {
  const ids: string[] = [];
  const pids: number[] = [];
  const remaining = Array.from({ length: NETWORKED }, (_, index) => index);
  const onBridge = { PortBindings: { '80/tcp': [{ HostPort: '' }] } };
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (remaining.pop() !== undefined) {
        const id = await create(onBridge);
        ids.push(id);
        pids.push(...(await start(id)));
      }
    }),
  );
  t.comment(`${(NETWORKED / ((performance.now() - startedAt) / 1000)).toFixed(1)} starts a second`);
  const network = JSON.parse(await call('GET', '/networks/bridge')) as BridgeNetwork;
  const bridge = network.Options['com.docker.network.bridge.name'] ?? '';
  const members = (): number => readdirSync(`/sys/class/net/${bridge}/brif`).length;
  const rules = async (): Promise<string> => (await run('nft', ['list', 'ruleset'])).stdout;
  const addresses = Object.values(network.Containers).map(({ IPv4Address }) => IPv4Address);
  t.equal(new Set(addresses).size, NETWORKED, 'each has an address of its own');
  t.equal(members(), NETWORKED, 'and an interface on the bridge');
  t.ok(pids.every(isAlive));
  const subnet = new RegExp(`: 10\\.${pool}\\.\\d+\\.\\d+ \\. 80`, 'g');
  t.equal((await rules()).match(subnet)?.length, NETWORKED, 'and a port of the host');

  while (ids.length > 0) await Promise.all(ids.splice(-AT_A_TIME).map(stopAndRemove));
  await eventually(() => !pids.some(isAlive), { what: 'all processes and supervisors have ended' });
  t.equal(await call('GET', '/containers/json?all=1'), '[]');
  await eventually(() => members() === 0, { what: 'no interface is left on the bridge' });
  t.equal((await rules()).match(subnet), null, 'no port is left');
  t.same((JSON.parse(await call('GET', '/networks/bridge')) as BridgeNetwork).Containers, {}, 'no address is left');
});

interface BridgeNetwork {
  readonly Containers: Readonly<Record<string, { readonly IPv4Address: string }>>;
  readonly Options: Readonly<Record<string, string>>;
}
