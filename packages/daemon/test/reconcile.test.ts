import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { containerFiles } from '../src/containers/container-paths.ts';
import { createContainer } from '../src/containers/create-container.ts';
import { removeContainer } from '../src/containers/remove-container.ts';
import { startContainer } from '../src/containers/start-container.ts';
import { stopContainer } from '../src/containers/stop-container.ts';
import { waitContainer } from '../src/containers/wait-container.ts';
import { processStartTicks } from '../src/os/process-stat.ts';
import { createWorld, until, type World } from './container-fakes.ts';

const BUSYBOX = { Image: 'busybox' };

function newWorld(test: { teardown(work: () => void): void }): World {
  const world = createWorld();
  test.teardown(() => world.close());
  return world;
}

t.test('a container that runs goes on under the next daemon, with the same pid', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  const { pid } = world.lastProcess();

  const second = await world.daemon();
  t.match(second.store.lookup('box'), { status: 'running', pid });
  const wait = waitContainer(second, 'box', '');
  t.equal(await stopContainer(second, 'box', {}), true);
  t.match(await wait.result, { exitCode: 143 });
  t.equal(world.processes.length, 1);
});

t.test('an exit that happened meanwhile is recorded with its true code and time', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'box' });
  createContainer(first, { ...BUSYBOX, HostConfig: { AutoRemove: true } }, { name: 'auto-removed' });
  await startContainer(first, 'box');
  const process = world.lastProcess();
  await startContainer(first, 'auto-removed');
  const { id } = world.lastProcess();
  world.kill();
  process.die(9, true);
  world.lastProcess().exit(0);
  const second = await world.daemon();
  t.match(second.store.lookup('box'), {
    status: 'exited',
    exitCode: 137,
    exitSignal: 9,
    oomKilled: true,
    pid: null,
    error: '',
  });
  await until(() => second.store.byId(id) === undefined, '--rm is done');
  t.ok(world.removedCgroups.includes(id));
});

t.test('an exit without any report: after a power failure, say', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  rmSync(containerFiles(first.roots, world.lastProcess().id).runtimeDirectory, { recursive: true });
  const second = await world.daemon();
  t.match(second.store.lookup('box'), { status: 'exited', exitCode: 255, error: /its exit was not recorded/ });
});

t.test('killed between the launch and its record: found running', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const { Id } = createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  // As if the record had not been written.
  first.store.update(Id, { status: 'created', pid: null, pidStartTicks: null, startedAt: null });
  const second = await world.daemon();
  t.match(second.store.lookup('box'), { status: 'running', pid: world.lastProcess().pid });
  t.match(
    world.log.filter(({ level }) => level === 'warn'),
    [{ message: /was not recorded so/ }],
  );
});

t.test('killed between the launch and its record, and the process has ended: the exit is known', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const { Id } = createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  first.store.update(Id, { status: 'created', pid: null, pidStartTicks: null, startedAt: null });
  world.kill();
  world.lastProcess().exit(4);
  const second = await world.daemon();
  t.match(second.store.lookup('box'), { status: 'exited', exitCode: 4 });
  t.ok(second.store.lookup('box').startedAt);
});

t.test('an old exit file says nothing new', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  await stopContainer(first, 'box', {});
  const before = first.store.lookup('box');
  const second = await world.daemon();
  t.same(second.store.lookup('box'), before);
});

t.test('killed in the middle of a removal, at every step: finished', async (t) => {
  const world = newWorld(t);
  const steps: readonly ((files: ReturnType<typeof containerFiles>) => void)[] = [
    () => undefined,
    (files) => renameSync(files.directory, `${files.trash}.1.1`),
    (files) => {
      renameSync(files.directory, `${files.trash}.1.1`);
      rmSync(files.runtimeDirectory, { recursive: true, force: true });
    },
  ];
  for (const step of steps) {
    const first = await world.daemon();
    const { Id } = createContainer(first, BUSYBOX, { name: 'box' });
    first.store.update(Id, { status: 'removing' });
    step(containerFiles(first.roots, Id));
    const second = await world.daemon();
    t.equal(second.store.count(), 0);
    await second.trash.idle();
    t.same(readdirSync(join(second.roots.dataRoot, 'trash')), []);
    t.same(readdirSync(join(second.roots.dataRoot, 'containers')), []);
  }
});

t.test('a directory without a row goes: a create that was cut short, or the end of a removal', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const { Id } = createContainer(first, BUSYBOX, { name: 'kept' });
  const orphan = join(first.roots.dataRoot, 'containers', 'f'.repeat(64));
  mkdirSync(join(orphan, 'upper'), { recursive: true });
  writeFileSync(join(orphan, 'upper', 'file'), '');
  const runtimeOrphan = join(first.roots.execRoot, 'containers', 'f'.repeat(20));
  mkdirSync(runtimeOrphan, { recursive: true });
  const second = await world.daemon();
  await second.trash.idle();
  t.same(readdirSync(join(second.roots.dataRoot, 'containers')), [Id]);
  await until(() => !existsSync(runtimeOrphan), 'the runtime directory goes');
});

t.test('a removal that failed can be repeated, by the user and by the next daemon', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'box' });
  const broken = { ...first, cgroups: { ...first.cgroups, remove: () => Promise.reject(new Error('EBUSY')) } };
  await t.rejects(removeContainer(broken, 'box', { force: false }), /EBUSY/);
  t.match(first.store.lookup('box'), { status: 'dead', error: 'EBUSY' });
  const second = await world.daemon();
  await removeContainer(second, 'box', { force: false });
  t.equal(second.store.count(), 0);
});

t.test('id ranges in use are not given away again', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'one' });
  const second = await world.daemon();
  createContainer(second, BUSYBOX, { name: 'two' });
  t.not(second.store.lookup('two').idRange, second.store.lookup('one').idRange);
});

t.test('restart policies: always and unless-stopped start with the daemon, what a user stopped does not', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const create = (name: string, policy: string) =>
    createContainer(first, { ...BUSYBOX, HostConfig: { RestartPolicy: { Name: policy } } }, { name: name });
  for (const [name, policy] of [
    ['always', 'always'],
    ['stopped', 'unless-stopped'],
    ['no', 'no'],
    ['waiting', 'always'],
  ] as const) {
    create(name, policy);
    await startContainer(first, name);
    if (name === 'waiting') continue;
    await stopContainer(first, name, {});
  }
  const exit = waitContainer(first, 'waiting', 'next-exit');
  world.lastProcess().exit(0);
  await exit.result;
  t.equal(first.store.lookup('waiting').status, 'restarting');
  const second = await world.daemon();
  const running = () => second.store.list().filter(({ status }) => status === 'running');
  await until(() => running().length === 2, 'two containers are started');
  t.same(
    running()
      .map(({ name }) => name)
      .sort(),
    ['always', 'waiting'],
  );
});

t.test('on-failure starts with the daemon what failed, while retries are left', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const create = (name: string, MaximumRetryCount = 0) =>
    createContainer(
      first,
      { ...BUSYBOX, HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount } } },
      { name },
    );
  for (const [name, retries, changes] of [
    ['failed', 0, { exitCode: 128 }],
    ['once-more', 3, { exitCode: 1, restartCount: 2 }],
    ['used-up', 3, { exitCode: 1, restartCount: 3 }],
    ['succeeded', 0, { exitCode: 0 }],
    ['stopped', 0, { exitCode: 137, stopRequested: true }],
  ] as const) {
    const { Id } = create(name, retries);
    first.store.update(Id, { status: 'exited', ...changes });
  }
  const second = await world.daemon();
  const running = () => second.store.list().filter(({ status }) => status === 'running');
  await until(() => running().length === 2, 'two containers are started');
  t.same(
    running()
      .map(({ name }) => name)
      .sort(),
    ['failed', 'once-more'],
  );
});

t.test('a supervisor that does not answer holds nobody up, and is heard when it does', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  const { promise, resolve } = Promise.withResolvers<void>();
  world.supervisorsAnswer = promise;
  const second = await world.daemon();
  t.match(second.store.lookup('box'), { status: 'running', pid: world.lastProcess().pid });
  t.match(world.log.at(-1), { level: 'error', message: /does not answer/ });
  resolve();
  await until(() => second.running.get(world.lastProcess().id) !== undefined, 'the supervisor is heard');
  t.equal(await stopContainer(second, 'box', {}), true);
});

t.test('a process whose supervisor cannot be reached is killed, and a reused pid is left alone', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const names = ['box', 'reused'] as const;
  const children = names.map(() => spawn('sleep', ['100']));
  for (const [index, name] of names.entries()) {
    const { Id } = createContainer(first, BUSYBOX, { name });
    await startContainer(first, name);
    const pid = children[index]?.pid ?? 0;
    const ticks = Number(processStartTicks(pid)) + index;
    first.store.update(Id, { pid, pidStartTicks: ticks });
    rmSync(containerFiles(first.roots, Id).runtimeDirectory, { recursive: true });
  }
  const second = await world.daemon();
  t.match(second.store.list(), [{ status: 'exited' }, { status: 'exited' }]);
  await until(() => children[0]?.signalCode === 'SIGKILL', 'the survivor is killed');
  t.equal(children[1]?.signalCode, null);
  children[1]?.kill();
});

t.test('a container whose supervisor never answers can be removed by force', async (t) => {
  const world = newWorld(t);
  const first = await world.daemon();
  const { Id } = createContainer(first, BUSYBOX, { name: 'box' });
  await startContainer(first, 'box');
  world.supervisorsAnswer = Promise.withResolvers<void>().promise;
  const second = await world.daemon();
  const removed = waitContainer(second, 'box', 'removed');
  await t.rejects(removeContainer(second, 'box', { force: false }), { code: 'conflict' });
  await removeContainer(second, 'box', { force: true });
  t.match(await removed.result, { exitCode: 137 });
  t.ok(world.removedCgroups.includes(Id));
  t.equal(second.store.count(), 0);
});
