/** The data root's file system is full: a clear error, nothing half made, and all is well once there is space again. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxLayer, dockerArchive, layerTar } from './support/images.ts';
import { makeSmallDisk } from './support/small-disk.ts';

t.setTimeout(120_000);

const MIB = 1024 * 1024;
const NO_SPACE = /no space left in the data root/;

const disk = makeSmallDisk(96 * MIB);
const daemon = await startDaemon({ dataRoot: disk.path });
t.teardown(async () => {
  disk.release();
  await daemon.remove();
  disk.remove();
});
const { api, tsdctl } = daemon;
await daemon.load();

/** 20 MiB that cannot be compressed. */
const largeLayer = layerTar([{ path: 'large', text: randomBytes(10 * MIB).toString('hex') }]);
const entries = (path: string): string[] => {
  const directory = join(disk.path, path);
  return existsSync(directory) ? readdirSync(directory).sort() : [];
};
/** What must be the same after a failure. */
const state = async (): Promise<unknown> => ({
  tmp: entries('tmp'),
  layers: entries('layers/sha256'),
  containers: entries('containers'),
  images: (await api.request('GET', '/images/json?all=1')).json<{ Id: string; RepoTags: string[] }[]>(),
});
/** Runs something that must fail for want of space with so much left, and then succeed. */
const failsThenWorks = async (
  t: Test,
  leaveBytes: readonly number[],
  attempt: () => Promise<{ failed: boolean; said: string }>,
): Promise<void> => {
  const before = await state();
  for (const left of leaveBytes) {
    disk.fill(left);
    const { failed, said } = await attempt();
    t.ok(failed, `fails with ${left} bytes left`);
    t.match(said, NO_SPACE);
    t.notMatch(said, /internal error/);
    t.same(await state(), before, 'nothing is left of it');
    disk.release();
  }
  const { failed, said } = await attempt();
  t.notOk(failed, said);
};
const upload = async (path: string, body: Buffer): Promise<{ failed: boolean; said: string }> => {
  const { status, text } = await api.send('POST', path, body, 'application/x-tar');
  return { failed: status !== 200 || text.includes('errorDetail'), said: text };
};

t.test('load', async (t) => {
  const archive = dockerArchive({ tags: ['large:1'], layers: [busyboxLayer(), largeLayer] });
  await failsThenWorks(t, [15 * MIB, MIB, 0], () => upload('/images/load', archive));
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', 'large:1', 'wc', '-c', '/large'), '20971520 /large');
  await tsdctl.output('rmi', 'large:1');
});

t.test('import', async (t) => {
  await failsThenWorks(t, [15 * MIB, MIB, 0], () => upload('/images/create?fromSrc=-&repo=imported', largeLayer));
  await tsdctl.output('rmi', 'imported');
});

t.test('create and start', async (t) => {
  await failsThenWorks(t, [0], async () => {
    const { code, stderr } = await tsdctl('run', '--network', 'none', '--name', 'small', 'busybox', 'true');
    return { failed: code !== 0, said: stderr };
  });
  await tsdctl.output('rm', 'small');
});

t.test('containers stop and go', async (t) => {
  const id = await tsdctl.output('run', '-d', '--network', 'none', 'busybox', 'sleep', '1000');
  disk.fill(0);
  t.equal((await tsdctl('kill', id)).code, 0);
  await eventually(async () => (await daemon.inspect(id)).State.Status === 'exited', { what: 'the exit is recorded' });
  t.equal((await daemon.inspect(id)).State.ExitCode, 137);
  t.equal((await tsdctl('rm', id)).code, 0);
  disk.release();
});

t.test('space is made by removing', async (t) => {
  for (const crash of [false, true]) {
    await upload('/images/load', dockerArchive({ tags: ['large:1'], layers: [largeLayer] }));
    disk.fill(0);
    if (crash) {
      await daemon.crash();
      await daemon.start();
    }
    t.equal((await tsdctl('rmi', 'large:1')).code, 0, crash ? 'after a crash' : 'at once');
    t.ok(disk.freeBytes() >= 20 * MIB, `${disk.freeBytes()} bytes are free`);
    t.equal(entries('layers/sha256').length, 1);
    t.same(entries('tmp'), []);
    disk.release();
  }
});

t.test('a daemon starts on a full disk', async (t) => {
  disk.fill(0);
  await daemon.shutDown();
  disk.fill(0);
  await daemon.start();
  t.equal((await tsdctl.output('images', '-q')).split('\n').length, 1);
  disk.release();
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', 'busybox', 'echo', 'works'), 'works');
});
