/** System check: real files under a data root are damaged, found and mended, while containers run and images come. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { CheckMessage, CheckProblem, CheckSummary } from '../packages/shared/src/api-system-check.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxArchive, busyboxLayer, dockerArchive, layerTar } from './support/images.ts';
import { registryMissing, startRegistry } from './support/registry.ts';

t.setTimeout(180_000);

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
const { api, tsdctl } = daemon;

interface Checked {
  readonly problems: CheckProblem[];
  readonly summary: CheckSummary['summary'];
  readonly progress: number;
}

async function check(query = ''): Promise<Checked> {
  const { status, text } = await api.request('POST', `/tsd/system/check${query}`);
  if (status !== 200 || text.includes('errorDetail')) throw new Error(`check: ${status} ${text}`);
  const messages = text
    .trimEnd()
    .split('\r\n')
    .map((line) => JSON.parse(line) as CheckMessage);
  const { summary } = messages.at(-1) as CheckSummary;
  const problems = messages.filter((message): message is CheckProblem => 'problem' in message);
  return { problems, summary, progress: messages.filter((message) => 'checked' in message).length };
}

const repair = (): Promise<Checked> => check('?repair=1');

async function checkSound(t: Test): Promise<void> {
  const { problems, summary } = await check();
  t.strictSame(problems, [], 'all is sound');
  t.match(summary, { problems: 0, brokenImages: [] });
}

/** Files of the layers, or blobs, under the data root. */
const filesOf = (directory: string, name = ''): string[] => {
  const root = join(daemon.dataRoot, directory, 'sha256');
  return existsSync(root) ? readdirSync(root).map((digest) => join(root, digest, name)) : [];
};
const onlyFile = (directory: string, name = ''): string => {
  const [path = '', ...more] = filesOf(directory, name);
  if (path === '' || more.length > 0) throw new Error(`not one file but ${more.length + 1} in ${directory}`);
  return path;
};

/** Puts other bytes in the file's place: whoever has it open, such as a mount, keeps what was there. */
function replace(path: string, bytes: Buffer): void {
  rmSync(path);
  writeFileSync(path, bytes);
}

/** Changes a byte in the middle. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  replace(path, bytes);
}

const runs = async (t: Test, image: string): Promise<void> => {
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', image, 'echo', 'works'), 'works');
};

t.test('an image from an archive', async (t) => {
  await daemon.load();
  await checkSound(t);
  const image = onlyFile('layers', 'layer.erofs');
  const right = readFileSync(image);
  const id = await tsdctl.output('run', '-d', '--network', 'none', 'busybox', 'sleep', '1000');
  t.teardown(() => tsdctl('rm', '-f', id));

  replace(image, randomBytes(right.length));
  t.match((await check()).problems, [{ kind: 'layer', problem: /^layer.erofs is not what the tar gives/ }]);
  const { problems } = await repair();
  t.match(problems, [
    {
      repaired: true,
      remedy: `made again from the tar; these containers use the damaged files until they are restarted: ${id.slice(0, 12)}`,
    },
  ]);
  t.ok(readFileSync(image).equals(right));
  await runs(t, 'busybox');
  await checkSound(t);

  const sound = await tsdctl('system', 'check');
  t.match(sound, { code: 0, stdout: /^Checked 1 image, 1 layer, 0 kept blobs .*: no problems/ });

  flip(onlyFile('layers', 'layer.tar'));
  const found = await tsdctl('system', 'check');
  t.match(found, { code: 1, stdout: /^layer sha256:.*: layer.tar has the digest sha256:/ });
  const marked = await repair();
  t.match(marked.problems, [{ kind: 'layer', repaired: false }]);
  t.equal(marked.summary.brokenImages.length, 1);
  const refused = await tsdctl('run', '--rm', '--network', 'none', 'busybox', 'true');
  t.equal(refused.code, 125);
  t.match(refused.stderr, /is broken: layer sha256:.*tsdctl system check --repair/);
  t.match(await tsdctl.output('inspect', '-f', '{{.State.Status}}', id), 'running', 'who runs goes on');
  await daemon.crash();
  await daemon.start();
  t.match(await tsdctl.output('images'), /^busybox/m, 'a marked image is kept over a restart');

  await daemon.load();
  await runs(t, 'busybox');
  await checkSound(t);
  t.strictSame(
    filesOf('layers').filter((path) => path.includes('damaged')),
    [],
  );
});

t.test('a container whose image is broken does not start', async (t) => {
  const id = await tsdctl.output('create', '--network', 'none', 'busybox', 'true');
  t.teardown(() => tsdctl('rm', '-f', id));
  rmSync(onlyFile('layers', 'layer.tar'));
  await repair();
  const refused = await tsdctl('start', id);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /is broken/);
  await daemon.load();
  t.equal((await tsdctl('start', id)).code, 0);
});

t.test('an image from a registry', { skip: registryMissing() }, async (t) => {
  await tsdctl.output('rmi', '-f', 'busybox');
  const registry = await startRegistry();
  t.teardown(() => registry.remove());
  const name = `${registry.host}/app:1`;
  await registry.skopeo('copy', `docker-archive:${busyboxArchive()}`, `docker://${name}`);
  await tsdctl.output('pull', name);
  const tar = onlyFile('layers', 'layer.tar');
  const blob = onlyFile('blobs');
  await checkSound(t);

  flip(tar);
  t.match((await repair()).problems, [
    { kind: 'layer', repaired: true, remedy: 'brought in again from its kept blob' },
  ]);
  flip(blob);
  t.match((await repair()).problems, [
    { kind: 'blob', repaired: true, remedy: `fetched again from ${registry.host}/app` },
  ]);
  for (const path of [tar, blob]) rmSync(path);
  t.strictSame((await repair()).problems.map(({ kind, repaired }) => [kind, repaired]).sort(), [
    ['blob', true],
    ['layer', true],
  ]);
  await runs(t, name);
  await checkSound(t);

  flip(tar);
  rmSync(blob);
  await registry.remove();
  const { summary } = await repair();
  t.match(summary, { problems: 2, repaired: 1, brokenImages: [/^sha256:/] });
  t.equal((await tsdctl('run', '--rm', name, 'true')).code, 125);
  await tsdctl.output('rmi', name);
  t.strictSame(filesOf('layers'), [], 'what was set aside goes with the image');
});

t.test('beside everything else', async (t) => {
  const content = randomBytes(40 * 1024 * 1024).toString('hex');
  const archive = dockerArchive({
    tags: ['large'],
    layers: [busyboxLayer(), layerTar([{ path: 'large', text: content }])],
  });
  const load = async (): Promise<void> => {
    const { status, text } = await api.send('POST', '/images/load', archive, 'application/x-tar');
    if (status !== 200 || text.includes('errorDetail')) throw new Error(text);
  };
  await load();

  await t.test('the daemon answers meanwhile', async (t) => {
    let isDone = false;
    const checked = check().finally(() => {
      isDone = true;
    });
    const times: number[] = [];
    while (!isDone) {
      const startedMs = performance.now();
      await api.request('GET', '/_ping');
      times.push(performance.now() - startedMs);
    }
    const { summary, problems } = await checked;
    t.strictSame(problems, []);
    t.ok(summary.sizeBytes > content.length);
    const median = times.sort((a, b) => a - b)[times.length >> 1] ?? Number.POSITIVE_INFINITY;
    t.ok(times.length > 10 && median < 20, `${times.length} answers, within ${median.toFixed(1)} ms half of the time`);
  });

  await t.test('one at a time', async (t) => {
    const response = await api.stream('POST', '/tsd/system/check');
    await new Promise((told) => response.once('data', told));
    const second = await api.request('POST', '/tsd/system/check');
    t.equal(second.status, 409);
    t.match(second.text, /running already/);
    response.resume();
    await new Promise((ended) => response.once('end', ended));
    await checkSound(t);
  });

  await t.test('a client that goes away ends it', async (t) => {
    const response = await api.stream('POST', '/tsd/system/check?repair=1');
    await new Promise((told) => response.once('data', told));
    response.destroy();
    await eventually(async () => (await api.request('POST', '/tsd/system/check?repair=no')).status === 200, {
      what: 'another check can run',
    });
    t.notMatch(daemon.log(), /"level":50/, 'nothing is an error');
    await checkSound(t);
  });

  await t.test('while images come and go and containers run', async (t) => {
    const work = async (): Promise<void> => {
      for (let round = 0; round < 2; round += 1) {
        await runs(t, 'large');
        await tsdctl.output('rmi', 'large');
        await load();
      }
    };
    let isDone = false;
    const worked = work().finally(() => {
      isDone = true;
    });
    const checks: Checked[] = [];
    while (!isDone) checks.push(await repair());
    await worked;
    t.strictSame(
      checks.flatMap(({ problems }) => problems),
      [],
      `${checks.length} checks`,
    );
    await runs(t, 'large');
  });

  await t.test('killed in the middle of a repair', async (t) => {
    for (const delayMs of [5, 60, 150]) {
      for (const path of filesOf('layers', 'layer.erofs')) flip(path);
      const response = await api.stream('POST', '/tsd/system/check?repair=1');
      const gone = new Promise((closed) => response.once('close', closed));
      response.on('error', () => undefined); // The daemon dies under it.
      response.resume();
      await new Promise((later) => setTimeout(later, delayMs));
      await daemon.crash();
      await gone;
      await daemon.start();
      const { summary } = await repair();
      t.equal(summary.problems, summary.repaired, `after ${delayMs} ms`);
      await checkSound(t);
      await runs(t, 'large');
    }
  });
});
