/** 200 containers, 8 at a time: afterwards the host and the daemon are as before. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { isAlive, readStatus } from './support/host-process.ts';
import { findLeaks, readHostState } from './support/leaks.ts';

const CONTAINERS = 200;
const AT_A_TIME = 8;

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { api } = daemon;

async function call(method: string, path: string, body?: unknown): Promise<string> {
  const { status, text } = await api.request(method, path, body);
  if (status >= 300 && status !== 304) throw new Error(`${method} ${path}: ${status} ${text}`);
  return text;
}

async function create(): Promise<string> {
  const body = { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: 'none', Memory: 33_554_432 } };
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

const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;

t.test(`${CONTAINERS} containers, ${AT_A_TIME} at a time`, { timeout: 240_000 }, async (t) => {
  // Layers stay mounted for a while and connections are kept: a first round before the counting.
  const warm = await Promise.all(Array.from({ length: AT_A_TIME }, create));
  await Promise.all(warm.map(start));
  await Promise.all(warm.map(stopAndRemove));
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

t.test('200 containers that run at once', { timeout: 240_000 }, async (t) => {
  const ids: string[] = [];
  const pids: number[] = [];
  const times: number[] = [];
  const remaining = Array.from({ length: CONTAINERS }, (_, index) => index);
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (remaining.pop() !== undefined) {
        const id = await create();
        ids.push(id);
        const startedAt = performance.now();
        pids.push(...(await start(id)));
        times.push(performance.now() - startedAt);
      }
    }),
  );
  const listed = JSON.parse(await call('GET', '/containers/json')) as { State: string }[];
  t.equal(listed.length, CONTAINERS);
  t.ok(listed.every(({ State }) => State === 'running'));
  t.ok(pids.every(isAlive));
  await Promise.all(ids.map(stopAndRemove));
  await eventually(() => !pids.some(isAlive), { what: 'all processes and supervisors have ended' });
  t.equal(await call('GET', '/containers/json?all=1'), '[]');
});
