/** The data root's file system is full: a clear error, nothing half made, and all is well once there is space again. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxLayer, dockerArchive, layerTar } from './support/images.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';
import { registryMissing, startRegistry } from './support/registry.ts';
import { makeSmallDisk, smallDiskMissing } from './support/small-disk.ts';

t.setTimeout(120_000);

const MIB = 1024 * 1024;
const NO_SPACE = /no space left in the data root/;

const missing = smallDiskMissing();
if (missing !== false) {
  t.plan(0, missing);
  process.exit();
}
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
  blobs: entries('blobs/sha256'),
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

t.test('pull', { skip: registryMissing() }, async (t) => {
  const registry = await startRegistry();
  t.teardown(() => registry.remove());
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const archive = join(directory, 'large.tar');
  writeFileSync(archive, dockerArchive({ tags: ['large:1'], layers: [busyboxLayer(), largeLayer] }));
  const name = `${registry.host}/large:1`;
  await registry.skopeo('copy', `docker-archive:${archive}`, `docker://${name}`);
  await failsThenWorks(t, [20 * MIB, MIB, 0], () =>
    upload(`/images/create?fromImage=${encodeURIComponent(name)}`, Buffer.alloc(0)),
  );
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', name, 'wc', '-c', '/large'), '20971520 /large');
  await tsdctl.output('rmi', name);
});

t.test('commit', async (t) => {
  const fill = ['sh', '-c', 'dd if=/dev/zero of=/large bs=1M count=20 2>/dev/null'];
  await tsdctl.output('run', '--network', 'none', '--name', 'changed', 'busybox', ...fill);
  await failsThenWorks(t, [15 * MIB, 0], async () => {
    const { status, text } = await api.request('POST', '/commit?container=changed&repo=committed');
    return { failed: status !== 201, said: text };
  });
  t.equal(
    await tsdctl.output('run', '--rm', '--network', 'none', 'committed', 'wc', '-c', '/large'),
    '20971520 /large',
  );
  await tsdctl.output('rm', 'changed');
  await tsdctl.output('rmi', 'committed');
});

t.test('system check', async (t) => {
  const check = async (): Promise<string> => (await api.request('POST', '/tsd/system/check?repair=1')).text;
  // A mounted image gives its space back only when it is unmounted, which a daemon does for the repair. This one has none.
  await daemon.shutDown();
  await daemon.start();
  const [layer = ''] = entries('layers/sha256');
  const image = join(disk.path, 'layers/sha256', layer, 'layer.erofs');
  const size = statSync(image).size;
  rmSync(image);
  disk.fill(size / 2);
  t.match(await check(), /"repaired":false,"remedy":"set aside as damaged \(.*no space left/);
  const refused = await tsdctl('run', '--rm', '--network', 'none', 'busybox', 'true');
  t.match(refused.stderr, /is broken/);
  disk.release();
  t.match(await check(), /"repaired":true,"remedy":"made again from the tar"/);
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', 'busybox', 'echo', 'works'), 'works');
  t.match(await check(), /"problems":0/);
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
