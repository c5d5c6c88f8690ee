import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { NO_FILTERS, parseFilters } from '@tsd/shared/filters';
import t from 'tap';
import { attachClient, findAttachable, parseDetachKeys } from '../src/containers/attach-container.ts';
import type { ContainerDeps } from '../src/containers/container-deps.ts';
import { containerFiles } from '../src/containers/container-paths.ts';
import { createContainer } from '../src/containers/create-container.ts';
import { inspectContainer } from '../src/containers/inspect-container.ts';
import { killContainer } from '../src/containers/kill-container.ts';
import { listContainers } from '../src/containers/list-containers.ts';
import type { WaitingClient } from '../src/containers/pending-attaches.ts';
import { pruneContainers } from '../src/containers/prune-containers.ts';
import { removeContainer } from '../src/containers/remove-container.ts';
import { renameContainer } from '../src/containers/rename-container.ts';
import { restartContainer } from '../src/containers/restart-container.ts';
import { restartDelayMs } from '../src/containers/restart-policy.ts';
import { startContainer } from '../src/containers/start-container.ts';
import { stopContainer } from '../src/containers/stop-container.ts';
import { parsePs, withContainerIds } from '../src/containers/top-container.ts';
import { waitContainer } from '../src/containers/wait-container.ts';
import { createWorld, until, type World } from './container-fakes.ts';

async function withDaemon(test: { teardown(work: () => void): void }): Promise<[World, ContainerDeps]> {
  const world = createWorld();
  test.teardown(() => world.close());
  return [world, await world.daemon()];
}

const BUSYBOX = { Image: 'busybox' };
const statusOf = (deps: ContainerDeps, reference: string) => deps.store.lookup(reference).status;

t.test('create: directories, record, names and ids', async (t) => {
  const [, deps] = await withDaemon(t);
  const { Id, Warnings } = createContainer(deps, { ...BUSYBOX, HostConfig: { NetworkMode: 'none' } }, { name: 'one' });
  t.match(Id, /^[0-9a-f]{64}$/);
  t.same(Warnings, []);
  const record = deps.store.lookup('one');
  t.equal(record.status, 'created');
  t.equal(record.config.Hostname, Id.slice(0, 12));
  const files = containerFiles(deps.roots, Id);
  t.ok(existsSync(files.logDirectory));
  t.equal(Number(record.idRange) % 65_536, 0);
  t.equal(statSync(files.directory).mode & 0o777, 0o700);
  for (const reference of [Id, Id.slice(0, 12), '/one']) t.equal(deps.store.lookup(reference).id, Id);
  t.throws(() => deps.store.lookup('nothing'), { code: 'not_found', message: 'No such container: nothing' });
  const second = createContainer(deps, BUSYBOX);
  t.match(deps.store.lookup(second.Id).name, /^[a-z]+_[a-z]+$/);
  t.not(deps.store.lookup(second.Id).idRange, record.idRange);
});

t.test('create: what is refused leaves nothing behind', async (t) => {
  const [, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, BUSYBOX, { name: 'taken' });
  const refused = (body: object, name: string | undefined, expected: object) => {
    const before = readdirSync(join(deps.roots.dataRoot, 'containers'));
    let error: unknown;
    try {
      createContainer(deps, { ...BUSYBOX, ...body }, { name });
    } catch (thrown) {
      error = thrown;
    }
    t.match(error, expected, JSON.stringify(body));
    t.same(readdirSync(join(deps.roots.dataRoot, 'containers')), before);
  };
  refused({}, 'taken', {
    code: 'conflict',
    message: `Conflict. The container name "/taken" is already in use by container "${Id}". You have to remove (or rename) that container to be able to reuse that name.`,
  });
  refused({}, '-x', { code: 'bad_parameter', message: /Invalid container name \(-x\)/ });
  refused({ Image: 'missing' }, undefined, { code: 'not_found', message: 'No such image: missing' });
  refused({ Cmd: ['a\0b'] }, undefined, { code: 'bad_parameter', message: /Cmd contains a NUL/ });
  refused({ WorkingDir: 'x' }, undefined, { message: /working directory 'x' is invalid/ });
  refused({ StopSignal: 'SIGNOPE' }, undefined, { message: /invalid signal: SIGNOPE/i });
  refused({ Entrypoint: [''], Cmd: [] }, undefined, { message: 'no command specified' });
  for (const [hostConfig, expected] of [
    [{ Memory: 1024 }, { message: 'Minimum memory limit allowed is 6MB' }],
    [{ MemorySwap: 1e9 }, { message: /always set the Memory limit/ }],
    [{ NanoCpus: 1e12 }, { message: /range of CPUs is from 0.01/ }],
    [{ NetworkMode: 'mynet' }, { code: 'bad_parameter', message: /network mynet not found/ }],
    [{ NetworkMode: 'container:x' }, { code: 'bad_parameter', message: /No such container: x/ }],
    [{ PidMode: 'nope' }, { code: 'bad_parameter', message: /HostConfig.PidMode "nope"/ }],
    [{ Binds: ['data:/data'] }, { code: 'not_implemented', message: /volumes are not implemented yet/ }],
    [{ Binds: ['/a:/data', '/b:/data/'] }, { message: /Duplicate mount point/ }],
    [
      { Mounts: [{ Type: 'bind', Source: '/no/such/path', Target: '/x' }] },
      { message: /bind source path does not exist/ },
    ],
    [{ Ulimits: [{ Name: 'nope', Soft: 1, Hard: 1 }] }, { message: 'invalid ulimit type: nope' }],
    [{ LogConfig: { Type: 'syslog' } }, { message: /no log driver named 'syslog'/ }],
    [{ LogConfig: { Type: 'json-file', Config: { 'max-file': 'x' } } }, { message: /max-file/ }],
    [{ RestartPolicy: { Name: 'sometimes' } }, { message: /unknown policy 'sometimes'/ }],
    [{ AutoRemove: true, RestartPolicy: { Name: 'always' } }, { message: /can't create 'AutoRemove'/ }],
    [{ ExtraHosts: ['nonsense'] }, { message: /bad format for add-host/ }],
  ] as const) {
    refused({ HostConfig: hostConfig }, undefined, expected);
  }
});

t.test("create: the image's configuration under the user's", async (t) => {
  const [world, deps] = await withDaemon(t);
  world.imageConfig = {
    Entrypoint: ['/entry'],
    Cmd: ['default'],
    Env: ['PATH=/bin', 'A=image', 'B=image'],
    User: 'app',
    WorkingDir: '/srv',
    Labels: { l: 'image', both: 'image' },
    StopSignal: 'SIGINT',
  };
  const configOf = (body: object) => deps.store.lookup(createContainer(deps, { ...BUSYBOX, ...body }).Id).config;
  t.match(configOf({}), {
    Entrypoint: ['/entry'],
    Cmd: ['default'],
    User: 'app',
    WorkingDir: '/srv',
    StopSignal: 'SIGINT',
  });
  t.match(configOf({ Cmd: ['x'] }), { Entrypoint: ['/entry'], Cmd: ['x'] });
  t.match(configOf({ Entrypoint: ['/other'] }), { Entrypoint: ['/other'], Cmd: null });
  t.match(configOf({ Entrypoint: [''], Cmd: 'sh' }), { Entrypoint: null, Cmd: ['sh'] });
  t.same(configOf({ Env: ['A=user', 'C=user'] }).Env, ['PATH=/bin', 'A=user', 'B=image', 'C=user']);
  t.same(configOf({ Labels: { both: 'user' } }).Labels, { l: 'image', both: 'user' });
});

t.test('create: the platform that was asked for, and health checks', async (t) => {
  const [world, deps] = await withDaemon(t);
  t.throws(() => createContainer(deps, BUSYBOX, { platform: 'linux/s390x' }), {
    code: 'not_found',
    message:
      /image with reference busybox was found but its platform .* does not match the specified platform \(linux\/s390x\)/,
  });
  t.same(
    createContainer(deps, { ...BUSYBOX, HostConfig: { NetworkMode: 'none' } }, { platform: 'linux' }).Warnings,
    [],
  );
  world.imageConfig = { ...world.imageConfig, Healthcheck: { Test: ['CMD', 'true'] } };
  t.match(createContainer(deps, { ...BUSYBOX, HostConfig: { NetworkMode: 'none' } }).Warnings, [/Health checks/]);
});

t.test('a life: create, start, wait, stop, start, remove', async (t) => {
  const [world, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, BUSYBOX, { name: 'box' });
  t.equal(await startContainer(deps, 'box'), true);
  t.equal(await startContainer(deps, 'box'), false, 'it runs already');
  const process = world.lastProcess();
  t.match(deps.store.lookup('box'), { status: 'running', pid: process.pid });
  t.equal(readFileSync(containerFiles(deps.roots, Id).hostname, 'utf8'), `${Id.slice(0, 12)}\n`);
  const wait = waitContainer(deps, 'box', '');
  process.exit(3);
  t.same(await wait.result, { exitCode: 3, error: '' });
  t.match(deps.store.lookup('box'), { status: 'exited', pid: null, exitCode: 3 });
  t.equal(await deps.running.cleanedUp(Id), true);
  t.ok(world.removedCgroups.includes(Id));
  t.equal(await stopContainer(deps, 'box', {}), false, 'it does not run');
  t.same(await waitContainer(deps, 'box', 'not-running').result, { exitCode: 3, error: '' });

  await startContainer(deps, 'box');
  const removed = waitContainer(deps, 'box', 'removed');
  t.equal(await stopContainer(deps, 'box', {}), true);
  t.same(world.lastProcess().signals, [15]);
  t.match(deps.store.lookup('box'), { status: 'exited', exitCode: 143, exitSignal: 15 });
  await removeContainer(deps, 'box', { force: false });
  t.same(await removed.result, { exitCode: 143, error: '' });
  t.throws(() => deps.store.lookup('box'), { code: 'not_found' });
  await deps.trash.idle();
  t.same(readdirSync(join(deps.roots.dataRoot, 'containers')), []);
  t.same(readdirSync(join(deps.roots.dataRoot, 'trash')), []);
  t.same(world.releasedImages.length, 1);
});

t.test('stop: its signal, the time of grace, SIGKILL; -1 waits for ever', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, { ...BUSYBOX, StopSignal: 'SIGUSR1' }, { name: 'box' });
  await startContainer(deps, 'box');
  t.equal(await stopContainer(deps, 'box', { timeoutSeconds: 0 }), true);
  t.same(world.lastProcess().signals, [10, 9]);
  t.match(deps.store.lookup('box'), { exitCode: 137, stopRequested: true });

  await startContainer(deps, 'box');
  const stopping = stopContainer(deps, 'box', { timeoutSeconds: -1, signal: 'SIGQUIT' });
  await turn();
  await killContainer(deps, 'box', undefined);
  t.equal(await stopping, true, 'a kill cuts a stop short');
  t.same(world.lastProcess().signals, [3, 9]);
});

t.test('kill', async (t) => {
  const [world, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, BUSYBOX, { name: 'box' });
  await t.rejects(killContainer(deps, 'box', undefined), {
    code: 'conflict',
    message: `cannot kill container: box: container ${Id} is not running`,
  });
  await startContainer(deps, 'box');
  await t.rejects(killContainer(deps, 'box', 'NOPE'), { code: 'bad_parameter' });
  await killContainer(deps, 'box', 'HUP');
  t.equal(statusOf(deps, 'box'), 'running');
  await killContainer(deps, 'box', undefined);
  t.same(world.lastProcess().signals, [1, 9]);
  t.equal(statusOf(deps, 'box'), 'exited');
});

t.test('remove: not what runs, unless forced; --rm by itself', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, BUSYBOX, { name: 'box' });
  await startContainer(deps, 'box');
  await t.rejects(removeContainer(deps, 'box', { force: false }), {
    code: 'conflict',
    message: 'cannot remove container "/box": container is running: stop the container before removing or force remove',
  });
  await removeContainer(deps, 'box', { force: true });
  t.same(world.lastProcess().signals, [9]);
  await t.rejects(removeContainer(deps, 'box', { force: true }), { code: 'not_found' });

  const { Id } = createContainer(deps, { ...BUSYBOX, HostConfig: { AutoRemove: true } }, { name: 'rm' });
  const removed = waitContainer(deps, 'rm', 'removed');
  await startContainer(deps, 'rm');
  world.lastProcess().exit(7);
  t.same(await removed.result, { exitCode: 7, error: '' });
  t.equal(deps.store.byId(Id), undefined);
});

t.test('a forced removal cuts a long stop short', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, { ...BUSYBOX, StopSignal: 'USR2' }, { name: 'box' });
  await startContainer(deps, 'box');
  const stopping = stopContainer(deps, 'box', { timeoutSeconds: 600 });
  await turn();
  await removeContainer(deps, 'box', { force: true });
  t.equal(await stopping, true);
  t.same(world.lastProcess().signals, [12, 9]);
  t.equal(deps.store.count(), 0);
});

t.test('a start that fails: the error and its exit code stay with the container', async (t) => {
  const [world, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, { ...BUSYBOX, Cmd: ['nope'] }, { name: 'box' });
  world.failNextLaunch = { step: 0, errno: 2, detail: 'nope' };
  await t.rejects(startContainer(deps, 'box'), {
    code: 'bad_parameter',
    message: /OCI runtime create failed: .*exec: "nope": executable file not found in \$PATH: unknown/,
  });
  t.match(deps.store.lookup('box'), {
    status: 'created',
    exitCode: 127,
    pid: null,
    error: /executable file not found/,
  });
  t.ok(world.removedCgroups.includes(Id));
  t.equal(deps.running.get(Id), undefined);
  await startContainer(deps, 'box');
  t.match(deps.store.lookup('box'), { status: 'running', exitCode: 0, error: '' });

  createContainer(deps, { ...BUSYBOX, HostConfig: { AutoRemove: true } }, { name: 'rm' });
  const removed = waitContainer(deps, 'rm', 'removed');
  world.failNextLaunch = { step: 0, errno: 13, detail: '/bin/sh' };
  await t.rejects(startContainer(deps, 'rm'), { message: /permission denied/ });
  t.match(await removed.result, { exitCode: 126 });
  t.equal(deps.store.byName('rm'), undefined);
});

t.test('a supervisor that is killed takes the container with it', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, BUSYBOX, { name: 'box' });
  await startContainer(deps, 'box');
  const wait = waitContainer(deps, 'box', 'next-exit');
  world.lastProcess().lose();
  t.match(await wait.result, { exitCode: 137, error: /supervisor was killed/ });
  t.equal(statusOf(deps, 'box'), 'exited');
});

t.test('OOM kills are shown', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, BUSYBOX, { name: 'box' });
  await startContainer(deps, 'box');
  const wait = waitContainer(deps, 'box', 'next-exit');
  world.lastProcess().die(9, true);
  await wait.result;
  const { State } = await inspectContainer(deps, 'box', { size: false });
  t.match(State, { Status: 'exited', ExitCode: 137, OOMKilled: true, Running: false, Pid: 0 });
});

t.test('wait: conditions, and registered before it returns', async (t) => {
  const [world, deps] = await withDaemon(t);
  t.throws(() => waitContainer(deps, 'box', ''), { code: 'not_found' });
  createContainer(deps, BUSYBOX, { name: 'box' });
  t.throws(() => waitContainer(deps, 'box', 'someday'), {
    code: 'bad_parameter',
    message: 'invalid condition: "someday"',
  });
  t.same(await waitContainer(deps, 'box', '').result, { exitCode: 0, error: '' }, 'it does not run');
  const next = waitContainer(deps, 'box', 'next-exit');
  await startContainer(deps, 'box');
  world.lastProcess().exit(0);
  t.same(await next.result, { exitCode: 0, error: '' });
  const gone = new AbortController();
  const abandoned = waitContainer(deps, 'box', 'removed', gone.signal);
  gone.abort(new Error('gone'));
  await t.rejects(abandoned.result, /gone/);
});

t.test('rename', async (t) => {
  const [, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, BUSYBOX, { name: 'aa' });
  createContainer(deps, BUSYBOX, { name: 'bb' });
  t.throws(() => renameContainer(deps, 'aa', 'bb'), { code: 'conflict', message: /name "\/bb" is already in use/ });
  t.throws(() => renameContainer(deps, 'aa', 'aa'), { code: 'bad_parameter' });
  t.throws(() => renameContainer(deps, 'aa', ''), { code: 'bad_parameter' });
  renameContainer(deps, 'aa', '/cc');
  t.equal(deps.store.lookup('cc').id, Id);
  t.equal(deps.store.byName('aa'), undefined);
});

t.test('restart: a new process; --rm does not remove in between', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, { ...BUSYBOX, HostConfig: { AutoRemove: true } }, { name: 'box' });
  await startContainer(deps, 'box');
  await restartContainer(deps, 'box', { timeoutSeconds: 1 });
  await turn();
  t.equal(world.processes.length, 2);
  t.match(deps.store.lookup('box'), { status: 'running', pid: world.lastProcess().pid });
});

t.test('restart policies', async (t) => {
  const run = { exitCode: 1, stopRequested: false, ranForMs: 5, restartCount: 0, previousDelayMs: 0 };
  const policy = (Name: 'no' | 'always' | 'unless-stopped' | 'on-failure', MaximumRetryCount = 0) => ({
    Name,
    MaximumRetryCount,
  });
  t.equal(restartDelayMs({ ...run, policy: policy('no') }), null);
  t.equal(restartDelayMs({ ...run, policy: policy('always') }), 100);
  t.equal(restartDelayMs({ ...run, policy: policy('always'), previousDelayMs: 100 }), 200);
  t.equal(restartDelayMs({ ...run, policy: policy('always'), previousDelayMs: 50_000 }), 60_000);
  t.equal(restartDelayMs({ ...run, policy: policy('always'), previousDelayMs: 50_000, ranForMs: 10_000 }), 100);
  t.equal(restartDelayMs({ ...run, policy: policy('always'), stopRequested: true }), null);
  t.equal(restartDelayMs({ ...run, policy: policy('on-failure'), exitCode: 0 }), null);
  t.equal(restartDelayMs({ ...run, policy: policy('on-failure', 2), restartCount: 1 }), 100);
  t.equal(restartDelayMs({ ...run, policy: policy('on-failure', 2), restartCount: 2 }), null);

  const [world, deps] = await withDaemon(t);
  createContainer(
    deps,
    { ...BUSYBOX, HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 1 } } },
    { name: 'box' },
  );
  await startContainer(deps, 'box');
  const first = waitContainer(deps, 'box', 'next-exit');
  world.lastProcess().exit(1);
  await first.result;
  t.equal(statusOf(deps, 'box'), 'restarting');
  await until(() => statusOf(deps, 'box') === 'running', 'the restart');
  t.equal(world.processes.length, 2);
  t.match(deps.store.lookup('box'), { status: 'running', restartCount: 1 });
  const second = waitContainer(deps, 'box', '');
  world.lastProcess().exit(1);
  await second.result;
  t.equal(statusOf(deps, 'box'), 'exited');
});

t.test('stopping a container that waits for its restart', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, { ...BUSYBOX, HostConfig: { RestartPolicy: { Name: 'always' } } }, { name: 'box' });
  await startContainer(deps, 'box');
  const exit = waitContainer(deps, 'box', 'next-exit');
  world.lastProcess().exit(0);
  await exit.result;
  t.equal(await stopContainer(deps, 'box', {}), true);
  t.equal(statusOf(deps, 'box'), 'exited');
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.equal(world.processes.length, 1);
});

t.test('attach: before the start, while it runs, and never', async (t) => {
  const [world, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, BUSYBOX, { name: 'box' });
  const events: string[] = [];
  const client = (name: string, gone = new AbortController()): WaitingClient => ({
    gone: gone.signal,
    detach: () => ({
      request: {
        descriptor: 99,
        stdin: false,
        stdout: true,
        stderr: true,
        initialInput: Buffer.from(name),
        detachKeys: new Uint8Array(),
      },
      release: () => events.push(`${name} released`),
    }),
    close: () => events.push(`${name} closed`),
  });
  const names = () => world.lastProcess().attached.map(({ initialInput }) => Buffer.from(initialInput).toString());
  t.equal(findAttachable(deps, 'box').id, Id);
  await attachClient(deps, Id, client('early'));
  const left = new AbortController();
  await attachClient(deps, Id, client('left', left));
  left.abort();
  await startContainer(deps, 'box');
  t.same(names(), ['early']);
  await attachClient(deps, Id, client('late'));
  t.same(names(), ['early', 'late']);
  t.same(events, ['early released', 'late released']);
  await stopContainer(deps, 'box', {});

  await attachClient(deps, Id, client('failed'));
  world.failNextLaunch = { step: 0, errno: 2, detail: 'sh' };
  await t.rejects(startContainer(deps, 'box'));
  t.ok(events.some((event) => event.startsWith('failed')));
  await attachClient(deps, Id, client('removed'));
  await removeContainer(deps, 'box', { force: false });
  t.ok(events.includes('removed closed'));
});

t.test('detach keys', (t) => {
  t.same([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17]);
  t.same([...parseDetachKeys('a,ctrl-@,ctrl-[,ctrl-_')], [97, 0, 27, 31]);
  t.same([...parseDetachKeys('')], []);
  t.throws(() => parseDetachKeys('ctrl-pp'), { code: 'bad_parameter' });
  t.throws(() => parseDetachKeys('1'), { code: 'bad_parameter' });
  t.end();
});

t.test('containers that share namespaces share a range of ids until the last of them is gone', async (t) => {
  const [world, deps] = await withDaemon(t);
  const id = (name: string, HostConfig: object = {}) => createContainer(deps, { ...BUSYBOX, HostConfig }, { name }).Id;
  const rangeOf = (name: string) => deps.store.lookup(name).idRange;
  const target = id('target', { IpcMode: 'shareable' });
  id('peer', { PidMode: 'container:target' });
  t.match(deps.store.lookup('peer').hostConfig, { PidMode: `container:${target}` });
  id('peer-of-peer', { IpcMode: 'container:target', PidMode: 'container:peer' });
  t.equal(rangeOf('peer'), rangeOf('target'));
  t.equal(rangeOf('peer-of-peer'), rangeOf('target'));
  id('with-host-ids', { PidMode: 'container:target', UsernsMode: 'host' });
  t.equal(rangeOf('with-host-ids'), null);
  // Docker's texts, and no `not_found`, for which docker's client would pull.
  t.throws(() => id('lost', { PidMode: 'container:nosuch' }), {
    code: 'bad_parameter',
    message: 'No such container: nosuch',
  });
  t.throws(() => id('lost', { PidMode: 'container:with-host-ids' }), {
    code: 'bad_parameter',
    message: /use --userns=host too/,
  });
  const other = id('other', { IpcMode: 'shareable' });
  t.throws(() => id('lost', { PidMode: 'container:target', IpcMode: 'container:other' }), {
    code: 'bad_parameter',
    message: /different user namespaces/,
  });
  await t.rejects(startContainer(deps, 'peer'), { code: 'conflict', message: `container ${target} is not running` });
  await removeContainer(deps, other, { force: false });

  const first = rangeOf('target') ?? 0;
  /** Whether a new container could get the range: all that are free are taken, and given back. */
  const isFree = (): boolean => {
    const taken: number[] = [];
    t.throws(() => {
      for (;;) taken.push(deps.idRanges.allocate());
    }, /ranges are in use/);
    for (const one of taken) deps.idRanges.release(one);
    return taken.includes(first);
  };
  await removeContainer(deps, 'target', { force: false });
  await t.rejects(startContainer(deps, 'peer'), { code: 'not_found' });
  t.notOk(isFree());
  await removeContainer(deps, 'peer', { force: false });
  t.notOk(isFree());
  const next = await world.daemon();
  t.equal(next.store.lookup('peer-of-peer').idRange, first, 'the next daemon knows');
  await removeContainer(next, 'peer-of-peer', { force: false });
  t.equal(world.processes.length, 0, 'nothing was started');
});

t.test('list: defaults, all, limit and filters', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, { ...BUSYBOX, Labels: { role: 'web' }, Cmd: ['sh', '-c', 'a b'] }, { name: 'web' });
  await new Promise((resolve) => setTimeout(resolve, 2));
  createContainer(deps, { ...BUSYBOX, Labels: { role: 'db' } }, { name: 'db' });
  await new Promise((resolve) => setTimeout(resolve, 2));
  const last = createContainer(deps, BUSYBOX, { name: 'last' }).Id;
  await startContainer(deps, 'db');
  const exit = waitContainer(deps, 'db', 'next-exit');
  world.lastProcess().exit(5);
  await exit.result;
  await startContainer(deps, 'web');
  const names = async (options: object) =>
    (await listContainers(deps, { all: false, limit: 0, size: false, filters: NO_FILTERS, ...options })).map(
      ({ Names }) => Names[0],
    );
  const by = (filters: object) => names({ all: true, filters: parseFilters(JSON.stringify(filters)) });
  t.same(await names({}), ['/web']);
  t.same(await names({ all: true }), ['/last', '/db', '/web']);
  t.same(await names({ limit: 2 }), ['/last', '/db']);
  t.same(await by({ name: ['^/w'] }), ['/web']);
  t.same(await by({ name: ['[', 'as'] }), ['/last']);
  t.same(await by({ name: ['(w|l)[ae]'] }), ['/last', '/web']);
  // Which V8's own expressions take longer for than anyone lives, on a text like this.
  const long = createContainer(deps, BUSYBOX, { name: 'a'.repeat(64) }).Id;
  t.same(await by({ name: ['(a|a)*#', '^/(a|aa)+$'] }), [`/${'a'.repeat(64)}`]);
  await removeContainer(deps, long, { force: false });
  const tooLarge = { code: 'bad_parameter', message: "invalid filter 'name=(a{99}){99}': expression too large" };
  await t.rejects(by({ name: ['(a{99}){99}'] }), tooLarge);
  await t.rejects(by({ name: ['a{300}', 'b{300}', 'c{300}', 'd{300}'] }), { code: 'bad_parameter' });
  t.same(await by({ id: [last.slice(0, 8)] }), ['/last']);
  t.same(await by({ label: ['role=db'] }), ['/db']);
  t.same(await by({ label: ['role'] }), ['/db', '/web']);
  t.same(await by({ status: { exited: true } }), ['/db']);
  t.same(await by({ status: ['running', 'created'] }), ['/last', '/web']);
  t.same(await by({ exited: ['5'] }), ['/db']);
  t.same(await by({ ancestor: ['busybox'] }), ['/last', '/db', '/web']);
  t.same(await by({ ancestor: ['other'] }), []);
  t.same(await by({ before: ['db'] }), ['/web']);
  t.same(await by({ since: ['db'] }), ['/last']);
  t.same(await by({ network: ['bridge'] }), ['/last', '/db', '/web']);
  await t.rejects(by({ status: ['nope'] }), { code: 'bad_parameter' });
  await t.rejects(by({ color: ['red'] }), { code: 'bad_parameter', message: "invalid filter 'color'" });
  const [web] = await listContainers(deps, { all: false, limit: 0, size: true, filters: NO_FILTERS });
  t.match(web, {
    Command: "sh -c 'a b'",
    State: 'running',
    Status: /^Up Less than a second|^Up 1 second/,
    Image: 'busybox',
    Ports: [],
    Mounts: [],
    SizeRw: 0,
    SizeRootFs: 1000,
  });
});

t.test('inspect tells the AppArmor profile that is applied', async (t) => {
  const [, deps] = await withDaemon(t);
  const profileOf = async (HostConfig: object, host: object = deps) => {
    const { Id } = createContainer(deps, { ...BUSYBOX, HostConfig });
    return (await inspectContainer({ ...deps, ...host }, Id, { size: false })).AppArmorProfile;
  };
  t.equal(await profileOf({}), 'tsd-default');
  t.equal(await profileOf({ Privileged: true }), 'unconfined');
  t.equal(await profileOf({ SecurityOpt: ['apparmor=mine'] }), 'mine');
  const without = { planning: { ...deps.planning, host: { ...deps.planning.host, securityModules: [] } } };
  t.equal(await profileOf({}, without), '', 'a host without it');
});

t.test('inspect has every field that clients read', async (t) => {
  const [, deps] = await withDaemon(t);
  const { Id } = createContainer(
    deps,
    { ...BUSYBOX, HostConfig: { NetworkMode: 'none', Memory: 64 * 1024 * 1024, Binds: ['/tmp:/data:ro'] } },
    { name: 'box' },
  );
  const shown = await inspectContainer(deps, 'box', { size: false });
  t.match(shown, {
    Id,
    Name: '/box',
    Path: 'sh',
    Args: [],
    Platform: 'linux',
    State: { Status: 'created', StartedAt: '0001-01-01T00:00:00Z', FinishedAt: '0001-01-01T00:00:00Z', Pid: 0 },
    Mounts: [{ Type: 'bind', Source: '/tmp', Destination: '/data', Mode: 'ro', RW: false, Propagation: 'rprivate' }],
    HostConfig: {
      Memory: 67108864,
      MemorySwap: 134217728,
      ShmSize: 67108864,
      LogConfig: { Type: 'json-file', Config: {} },
      RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
      NetworkMode: 'none',
    },
    Config: { Image: 'busybox', Hostname: Id.slice(0, 12) },
    NetworkSettings: { Ports: {}, Networks: { none: { NetworkID: /^[0-9a-f]{64}$/, IPAddress: '' } } },
  });
  t.ok(shown.HostConfig.MaskedPaths?.includes('/proc/kcore'));
});

t.test('prune', async (t) => {
  const [, deps] = await withDaemon(t);
  createContainer(deps, { ...BUSYBOX, Labels: { keep: '' } }, { name: 'kept' });
  const { Id } = createContainer(deps, BUSYBOX, { name: 'pruned' });
  createContainer(deps, BUSYBOX, { name: 'runs' });
  await startContainer(deps, 'runs');
  t.same(await pruneContainers(deps, parseFilters('{"until":["1h"]}')), { ContainersDeleted: null, SpaceReclaimed: 0 });
  t.same(await pruneContainers(deps, parseFilters('{"label!":["keep"]}')), {
    ContainersDeleted: [Id],
    SpaceReclaimed: 0,
  });
  t.same(
    deps.store.list().map(({ name }) => name),
    ['runs', 'kept'],
  );
  const { imageId } = deps.store.lookup('kept');
  t.same(
    deps.store.ofImage(imageId).map(({ name }) => name),
    ['kept', 'runs'],
  );
  t.same(deps.store.ofImage('sha256:none'), []);
  await t.rejects(pruneContainers(deps, parseFilters('{"name":["x"]}')), { code: 'bad_parameter' });
});

t.test('verbs on one container wait for each other', async (t) => {
  const [world, deps] = await withDaemon(t);
  createContainer(deps, BUSYBOX, { name: 'box' });
  const [first, second, , third] = await Promise.all([
    startContainer(deps, 'box'),
    startContainer(deps, 'box'),
    stopContainer(deps, 'box', {}),
    startContainer(deps, 'box'),
  ]);
  t.same([first, second, third], [true, false, true]);
  t.equal(world.processes.length, 2);
});

t.test('ps output', (t) => {
  const output = [
    'UID          PID    PPID  C STIME TTY          TIME CMD',
    'root           1       0  0 10:00 ?        00:00:01 /sbin/init splash',
    '1073741+     100      50  0 10:01 ?        00:00:00 sh -c  sleep 1',
    '1073741+       -       -  0 10:01 -        00:00:00 -',
    'root         200       1  0 10:02 ?        00:00:00 other',
    '',
  ].join('\n');
  t.same(parsePs(output, new Set([100])), {
    Titles: ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'],
    Processes: [
      ['1073741+', '100', '50', '0', '10:01', '?', '00:00:00', 'sh -c sleep 1'],
      ['1073741+', '-', '-', '0', '10:01', '-', '00:00:00', '-'],
    ],
  });
  const status = 'Uid:\t1073741857\t1073741824\t0\t0\nGid:\t1073741830\t1073741831\t0\t0\n';
  const titles = ['UID', 'RUSER', 'PID', 'EUID', 'GROUP', 'RGID', 'CMD'];
  const row = ['1073741+', '1073741+', '100', '1073741824', '1073741+', '1073741830', '1073741824'];
  const shown = ['root', '33', '100', '0', '7', '6', '1073741824'];
  const asked: string[] = [];
  const read = (pid: string) => {
    asked.push(pid);
    return status;
  };
  t.same(withContainerIds(titles, [row, row.with(2, '-')], 0x4000_0000, read), [shown, shown.with(2, '-')]);
  t.same(asked, ['100'], 'a thread has its process’ owner');
  t.same(withContainerIds(titles, [row], null, read), [row], 'with the host’s ids ps is right');
  t.same(withContainerIds(titles, [row], 0x4001_0000, read), [row], 'not of this container');
  t.same(
    withContainerIds(titles, [row], 0x4000_0000, () => ''),
    [row],
    'it has ended',
  );
  t.throws(() => parsePs('CMD\nx\n', new Set()), { code: 'bad_parameter', message: /PID field/ });
  t.end();
});

t.test('removing twice at once removes once', async (t) => {
  const [, deps] = await withDaemon(t);
  const { Id } = createContainer(deps, BUSYBOX, { name: 'box' });
  await Promise.all([removeContainer(deps, 'box', { force: false }), removeContainer(deps, 'box', { force: true })]);
  t.equal(deps.store.count(), 0);
  t.notOk(existsSync(containerFiles(deps.roots, Id).directory));
});
