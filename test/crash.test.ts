/** kill -9 of the daemon: containers go on, and the next daemon shows the truth and finishes or undoes what was half made. */
import { randomBytes } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { run } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { isAlive, readStatus } from './support/host-process.ts';
import { startHostileRegistry } from './support/hostile-registry.ts';
import { busyboxArchive, layerTar } from './support/images.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl, api } = daemon;

interface Listed {
  readonly Id: string;
  readonly State: string;
  readonly Names: readonly string[];
}

const list = async (): Promise<Listed[]> => (await api.request('GET', '/containers/json?all=1')).json<Listed[]>();
const entries = (path: string): string[] => {
  const directory = join(daemon.dataRoot, path);
  return existsSync(directory) ? readdirSync(directory) : [];
};
const runDetached = (...args: string[]): Promise<string> => tsdctl.output('run', '-d', '--network', 'none', ...args);

t.test('a running container goes on, with the same process', async (t) => {
  const id = await runDetached('busybox', 'sh', '-c', 'trap "exit 9" TERM; while :; do sleep 0.1; done');
  const before = await daemon.inspect(id);
  await daemon.crash();
  t.ok(isAlive(before.State.Pid), 'alive without a daemon');
  await daemon.start();
  const after = await daemon.inspect(id);
  t.same(after.State, before.State);
  t.equal((await tsdctl('stop', id)).code, 0);
  const { State } = await daemon.inspect(id);
  t.same([State.Status, State.ExitCode], ['exited', 9], 'and the next daemon can stop it');
  await tsdctl('rm', id);
});

t.test('exits while there is no daemon are known to the next one', async (t) => {
  const quick = await runDetached('busybox', 'sh', '-c', 'sleep 0.5; exit 7');
  const killed = await runDetached('busybox', 'sleep', '1000');
  const removed = await runDetached('--rm', 'busybox', 'sleep', '0.5');
  const pids = await Promise.all([quick, killed, removed].map(async (id) => (await daemon.inspect(id)).State.Pid));
  await daemon.crash();
  process.kill(pids[1] ?? 0, 'SIGKILL');
  await eventually(() => !pids.some(isAlive), { what: 'all have ended' });
  const endedBy = Date.now();
  await delay(50);
  await daemon.start();
  const first = (await daemon.inspect(quick)).State;
  t.same([first.Status, first.ExitCode, first.Pid], ['exited', 7, 0]);
  t.ok(Date.parse(first.FinishedAt) <= endedBy, `finished at ${first.FinishedAt}`);
  const second = (await daemon.inspect(killed)).State;
  t.same([second.Status, second.ExitCode, second.OOMKilled], ['exited', 137, false]);
  await eventually(async () => !(await list()).some(({ Id }) => Id === removed), { what: '--rm is kept' });
  await tsdctl('rm', quick, killed);
});

t.test('wait and logs -f go on after a reconnect', async (t) => {
  const id = await runDetached('busybox', 'sh', '-c', 'echo one; sleep 1; echo two; exit 3');
  await daemon.crash();
  await daemon.start();
  const [waited, followed] = await Promise.all([tsdctl.output('wait', id), tsdctl.output('logs', '-f', id)]);
  t.equal(waited, '3');
  t.equal(followed, 'one\ntwo');
  await tsdctl('rm', id);
});

t.test('killed at any moment of create and start', { timeout: 180_000 }, async (t) => {
  for (let moment = 0; moment < 14; moment += 1) {
    const name = `moment-${moment}`;
    const body = { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: 'none' } };
    const attempt = (async () => {
      await api.request('POST', `/containers/create?name=${name}`, body);
      await api.request('POST', `/containers/${name}/start`);
    })().catch(() => undefined); // The daemon dies under it.
    await delay(moment * 1.5);
    await daemon.crash();
    await attempt;
    await daemon.start();
    const found = (await list()).find(({ Names }) => Names.includes(`/${name}`));
    if (found === undefined) continue; // Undone; what it left is looked at below.
    t.ok(['created', 'running', 'exited'].includes(found.State), `${name}: ${found.State}`);
    const { State } = await daemon.inspect(found.Id);
    t.equal(State.Running, State.Pid !== 0 && isAlive(State.Pid), `${name}: what inspect says of ${State.Pid} is so`);
    if (found.State !== 'running') {
      const started = await tsdctl('start', name);
      t.equal(started.code, 0, `${name} can be started: ${started.stderr}`);
    }
    const { Pid } = (await daemon.inspect(found.Id)).State;
    const supervisor = Number(readStatus(Pid).get('PPid'));
    t.equal((await tsdctl('rm', '-f', name)).code, 0, `${name} can be removed`);
    await eventually(() => !isAlive(Pid) && !isAlive(supervisor), { what: `${name} has ended` });
  }
  t.same(await list(), []);
  await eventually(() => entries('containers').length === 0, { what: 'no directory stays' });
  await eventually(() => entries('trash').length === 0, { what: 'the trash is emptied' });
});

t.test('killed at any moment of rm -f', { timeout: 180_000 }, async (t) => {
  for (let moment = 0; moment < 8; moment += 1) {
    const id = await runDetached('--name', `rm-${moment}`, 'busybox', 'sleep', '1000');
    const { Pid } = (await daemon.inspect(id)).State;
    const attempt = api.request('DELETE', `/containers/${id}?force=1`).catch(() => undefined);
    await delay(moment * 1.5);
    await daemon.crash();
    await attempt;
    await daemon.start();
    const again = await api.request('DELETE', `/containers/${id}?force=1`);
    t.ok([204, 404].includes(again.status), `moment ${moment}: ${again.status} ${again.text}`);
    await eventually(() => !isAlive(Pid), { what: 'the process has ended' });
  }
  t.same(await list(), []);
  await eventually(() => entries('containers').length === 0, { what: 'no directory stays' });
});

t.test('killed in the middle of a load', { timeout: 60_000 }, async (t) => {
  await tsdctl('rmi', 'busybox');
  for (const waitMs of [0, 3, 8, 15]) {
    const attempt = api
      .send('POST', '/images/load', createReadStream(busyboxArchive()), 'application/x-tar')
      .catch(() => undefined);
    await delay(waitMs);
    await daemon.crash();
    await attempt;
    await daemon.start();
    t.same(entries('tmp'), [], `nothing stays in tmp after ${waitMs} ms`);
  }
  await daemon.load();
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', 'busybox', 'echo', 'works'), 'works');
});

t.test('killed at any moment of a pull and of the removal of what was pulled', { timeout: 180_000 }, async (t) => {
  const registry = await startHostileRegistry();
  t.teardown(() => registry.remove());
  const layers = Array.from({ length: 5 }, (_, index) =>
    layerTar([{ path: `random-${index}`, text: randomBytes(1 << 20).toString('base64') }]),
  );
  registry.publish('app', layers);
  const name = `${registry.host}/app:latest`;
  const pull = (): Promise<unknown> =>
    api.request('POST', `/images/create?fromImage=${encodeURIComponent(name)}`).catch(() => undefined);
  const remove = (): Promise<unknown> => api.request('DELETE', `/images/${name}`).catch(() => undefined);
  const others = entries('layers/sha256').length;
  for (const [moment, waitMs] of [0, 20, 40, 60, 80, 100, 120, 150, 200, 300].entries()) {
    const removes = moment % 2 === 1;
    if (removes) await pull();
    const attempt = removes ? remove() : pull();
    await delay(removes ? waitMs / 50 : waitMs);
    await daemon.crash();
    await attempt;
    await daemon.start();
    const isThere = (await api.request('GET', `/images/${name}/json`)).status === 200;
    const when = `${removes ? 'rmi' : 'pull'} at ${moment}: ${isThere ? 'there' : 'not there'}`;
    t.same(entries('tmp'), [], when);
    t.equal(entries('layers/sha256').length, others + (isThere ? layers.length : 0), when);
    t.equal(entries('blobs/sha256').length, isThere ? layers.length : 0, when);
  }
  await pull();
  t.equal((await api.request('DELETE', `/images/${name}`)).status, 200);
  t.same(entries('blobs/sha256'), []);
});

t.test('a second daemon on the same roots is refused', async (t) => {
  const { code, stderr } = await run(join(import.meta.dirname, '../bin/tsd'), [
    ...['--data-root', daemon.dataRoot, '--exec-root', join(daemon.directory, 'other')],
    ...['--host', `unix://${daemon.directory}/other.sock`, '--group', ''],
  ]);
  t.not(code, 0);
  t.match(stderr, /another tsd daemon/);
  t.notMatch(stderr, /\n\s+at /, 'no stack');
});
