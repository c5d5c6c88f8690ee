/** Images through the real daemon: the real docker client, dockerd and skopeo read and write the same archives. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { run } from './support/client.ts';
import { type Daemon, startDaemon } from './support/daemon.ts';
import { dockerdMissing, startDockerd } from './support/dockerd.ts';
import { eventually } from './support/eventually.ts';
import { busyboxArchive, busyboxArchiveBytes, busyboxLayer, dockerArchive, layerTar } from './support/images.ts';

const skopeoMissing = existsSync('/usr/bin/skopeo') ? false : 'skopeo is not installed';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
const { docker, api } = daemon;

const layers = [busyboxLayer(), layerTar([{ path: 'etc/motd', text: 'hello\n' }])] as const;
const app = dockerArchive({ tags: ['localhost:5000/team/app:1'], layers, config: { Labels: { tier: 'web' } } });

interface Inspected {
  readonly Id: string;
  readonly Comment: string;
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Config: Readonly<Record<string, unknown>>;
}

function file(name: string, bytes: Buffer): string {
  const path = join(daemon.directory, name);
  writeFileSync(path, bytes);
  return path;
}

/** Layers in the store, and what is half done. */
function layerFiles(of: Daemon = daemon): string[] {
  return ['layers/sha256', 'tmp'].flatMap((name) => {
    const directory = join(of.dataRoot, name);
    return existsSync(directory) ? readdirSync(directory) : [];
  });
}

async function removeAllImages(t: Test): Promise<void> {
  const listed = await api.request('GET', '/images/json?all=1');
  for (const { Id } of listed.json<{ Id: string }[]>()) await api.request('DELETE', `/images/${Id}?force=1`);
  t.same(layerFiles(), [], 'no files of images are left');
}

t.test('docker load, images, inspect, history, tag, rmi', async (t) => {
  t.equal(await docker.output('load', '-i', file('app.tar', app)), 'Loaded image: localhost:5000/team/app:1');
  t.equal(await docker.output('load', '-i', busyboxArchive()), 'Loaded image: busybox:latest');
  const ids = (await docker.output('images', '-q', '--no-trunc')).split('\n');
  t.equal(ids.length, 2);
  t.equal(layerFiles().length, 2, 'the images share a layer');
  const inspected = JSON.parse(await docker.output('image', 'inspect', 'localhost:5000/team/app:1')) as [Inspected];
  t.ok(ids.includes(inspected[0].Id));
  t.equal(inspected[0].RootFS.Layers.length, 2);
  t.same(inspected[0].Config['Labels'], { tier: 'web' });
  t.equal(await docker.output('images', '-q', '--no-trunc', '--filter', 'label=tier=web'), inspected[0].Id);
  t.match(
    await docker.output('history', '--format', '{{.CreatedBy}}', 'localhost:5000/team/app:1'),
    /^layer .*\nlayer /,
  );

  const short = inspected[0].Id.slice(7, 19);
  t.equal((await docker('tag', short, 'other/name:2')).code, 0);
  t.match(await docker.output('images'), /other\/name +2 /);
  const conflict = await docker('rmi', short);
  t.equal(conflict.code, 1);
  t.match(conflict.stderr, 'image is referenced in multiple repositories');
  t.equal(await docker.output('rmi', 'localhost:5000/team/app:1'), 'Untagged: localhost:5000/team/app:1');
  t.match(
    await docker.output('rmi', 'other/name:2'),
    /^Untagged: other\/name:2\nDeleted: sha256:[0-9a-f]{64}\nDeleted: sha256:/,
  );
  t.equal(layerFiles().length, 1, 'the layer that busybox needs is left');
  const missing = await docker('rmi', 'other/name:2');
  t.match(missing.stderr, 'No such image: other/name:2');
  t.equal(missing.code, 1);
  await removeAllImages(t);
});

t.test('load from stdin, gzip and zstd, quiet and with progress', async (t) => {
  for (const bytes of [app, gzipSync(app), zstdCompressSync(app)]) {
    const { code, stdout, stderr } = await docker.with({ input: bytes }, 'load');
    t.equal(code, 0, stderr);
    t.match(stdout, 'Loaded image: localhost:5000/team/app:1');
    await removeAllImages(t);
  }
  const told = await api.send('POST', '/v1.45/images/load', app, 'application/x-tar');
  t.match(told.text, /^\{"status":"Loading layer","progressDetail":\{"current":\d+,"total":\d+\},"id":"/);
  const quiet = await api.send('POST', '/v1.45/images/load?quiet=1', app, 'application/x-tar');
  t.equal(quiet.text, '{"stream":"Loaded image: localhost:5000/team/app:1\\n"}\r\n');
  t.equal(quiet.headers['content-type'], 'application/json');
  await removeAllImages(t);
});

t.test('import with changes, and run it', async (t) => {
  const rootfs = file('rootfs.tar.gz', gzipSync(layers[0]));
  const changes = ['CMD ["cat", "/etc/passwd"]', 'ENV GREETING="hi there"', 'WORKDIR /srv', 'EXPOSE 80'];
  const args = ['import', '-m', 'made by a test', ...changes.flatMap((change) => ['-c', change]), rootfs, 'imported:1'];
  const id = await docker.output(...args);
  t.match(id, /^sha256:[0-9a-f]{64}$/);
  const [image] = JSON.parse(await docker.output('image', 'inspect', 'imported:1')) as [Inspected];
  t.equal(image.Id, id);
  t.equal(image.Comment, 'made by a test');
  t.match(image.Config, {
    Cmd: ['cat', '/etc/passwd'],
    Env: ['GREETING=hi there'],
    WorkingDir: '/srv',
    ExposedPorts: { '80/tcp': {} },
  });
  const shown = await docker('run', '--rm', '--network', 'none', 'imported:1', 'sh', '-c', 'echo $GREETING; pwd');
  t.equal(shown.stdout, 'hi there\n/srv\n', shown.stderr);
  const refused = await docker('import', '-c', 'RUN true', rootfs);
  t.match(refused.stderr, 'RUN is not a valid change command');
  t.equal(refused.code, 1);
  await removeAllImages(t);
});

t.test('several images in one archive, streamed with its length', async (t) => {
  await docker.output('load', '-i', file('app.tar', app));
  await docker.output('load', '-i', busyboxArchive());
  const both = join(daemon.directory, 'both.tar');
  t.equal((await docker('save', '-o', both, 'busybox', 'localhost:5000/team/app:1')).code, 0);
  const listed = execFileSync('tar', ['--list', '--file', both], { encoding: 'utf8' }).trimEnd().split('\n');
  t.equal(new Set(listed).size, listed.length, 'every blob once');
  for (const name of listed.filter((entry) => entry.startsWith('blobs/'))) {
    const bytes = execFileSync('tar', ['--extract', '--to-stdout', '--file', both, name], { maxBuffer: 1 << 28 });
    t.equal(createHash('sha256').update(bytes).digest('hex'), name.slice('blobs/sha256/'.length));
  }
  const response = await api.stream('GET', '/images/localhost:5000/team/app:1/get');
  t.equal(response.statusCode, 200);
  t.equal(response.headers['content-type'], 'application/x-tar');
  response.destroy();
  const ids = await docker.output('images', '-q', '--no-trunc');
  await removeAllImages(t);
  await docker.output('load', '-i', both);
  t.same((await docker.output('images', '-q', '--no-trunc')).split('\n').sort(), ids.split('\n').sort());
  await removeAllImages(t);
});

t.test('to dockerd and back', { skip: dockerdMissing(), timeout: 120_000 }, async (t) => {
  const dockerd = await startDockerd();
  t.teardown(() => dockerd.remove());
  await docker.output('load', '-i', file('app.tar', app));
  const id = await docker.output('images', '-q', '--no-trunc');
  const saved = join(daemon.directory, 'saved.tar');
  await docker.output('save', '-o', saved, 'localhost:5000/team/app:1');
  t.equal(await dockerd.docker.output('load', '-i', saved), 'Loaded image: localhost:5000/team/app:1');
  t.equal(await dockerd.docker.output('images', '-q', '--no-trunc'), id, 'the same id in dockerd');
  const back = join(daemon.directory, 'back.tar');
  await dockerd.docker.output('tag', id, 'more:1');
  await dockerd.docker.output('load', '-i', busyboxArchive());
  await dockerd.docker.output('save', '-o', back, 'localhost:5000/team/app:1', 'more:1', 'busybox');
  await removeAllImages(t);
  const loaded = (await docker.output('load', '-i', back)).split('\n').sort();
  t.same(loaded, ['Loaded image: busybox:latest', 'Loaded image: localhost:5000/team/app:1', 'Loaded image: more:1']);
  t.equal(await docker.output('images', '-q', '--no-trunc', 'more:1'), id);
  await removeAllImages(t);
});

t.test('skopeo reads and writes the same images', { skip: skopeoMissing }, async (t) => {
  await docker.output('load', '-i', file('app.tar', app));
  const id = await docker.output('images', '-q', '--no-trunc');
  const saved = join(daemon.directory, 'saved.tar');
  await docker.output('save', '-o', saved, 'localhost:5000/team/app:1');
  const [original] = JSON.parse(await docker.output('image', 'inspect', id)) as [Inspected];
  const skopeo = (...args: string[]) => run('skopeo', ['--insecure-policy', ...args]);
  for (const source of [`docker-archive:${saved}:localhost:5000/team/app:1`, `oci-archive:${saved}`]) {
    const inspected = await skopeo('inspect', '--config', '--raw', source);
    t.equal(inspected.code, 0, inspected.stderr);
    t.equal(`sha256:${createHash('sha256').update(inspected.stdout).digest('hex')}`, id, source);
    for (const target of ['oci-archive', 'docker-archive']) {
      const copy = join(daemon.directory, `${target}-${source.split(':')[0]}.tar`);
      const copied = await skopeo('copy', source, `${target}:${copy}:copied:1`);
      t.equal(copied.code, 0, copied.stderr);
      t.match(await docker.output('load', '-i', copy), 'Loaded image: copied:1');
      const [copiedImage] = JSON.parse(await docker.output('image', 'inspect', 'copied:1')) as [Inspected];
      t.same(copiedImage.RootFS, original.RootFS, `${source} → ${target}`);
      // From Docker's format to OCI's skopeo writes a new configuration.
      if (source.startsWith(target)) t.equal(copiedImage.Id, id);
    }
  }
  await removeAllImages(t);
});

t.test('a broken archive: refused with its status, nothing left', async (t) => {
  for (const [bytes, message] of [
    [app.subarray(0, app.length - 700_000), /truncated|lacks/],
    [Buffer.from('not an archive'), /truncated/],
    [layerTar([{ path: 'etc/passwd', text: 'x' }]), /use import/],
  ] as const) {
    const answer = await api.send('POST', '/images/load?quiet=1', bytes, 'application/x-tar');
    t.equal(answer.status, 400);
    t.match(answer.json<{ message: string }>().message, message);
    t.same(layerFiles(), []);
  }
  const begun = await api.send('POST', '/images/load', app.subarray(0, app.length - 700_000), 'application/x-tar');
  t.equal(begun.status, 200, 'progress had begun');
  t.match(JSON.parse(begun.text.trim().split('\n').at(-1) ?? ''), { errorDetail: { message: String }, error: String });
  const client = await docker.with({ input: app.subarray(0, 100_000) }, 'load');
  t.equal(client.code, 1);
  t.match(client.stderr, /truncated|lacks/);
  t.same(layerFiles(), [], 'no files of images are left');
});

t.test('statuses and texts of refusals', async (t) => {
  for (const [method, path, status, message] of [
    ['GET', '/images/nothing/json', 404, 'No such image: nothing:latest'],
    ['GET', '/images/a/b/c/json', 404, 'No such image: a/b/c:latest'],
    ['GET', '/images/a%2Fb%2Fc/history', 404, 'No such image: a/b/c:latest'],
    ['GET', '/images/get?names=nothing', 404, 'No such image: nothing:latest'],
    ['GET', '/images/get', 400, 'names: give at least one image to save'],
    ['GET', '/images/UPPER/json', 400, /must be lowercase/],
    ['GET', '/images/json?filters={"x":["y"]}', 400, "invalid filter 'x'"],
    ['POST', '/images/nothing/tag?repo=x', 404, 'No such image: nothing:latest'],
    ['POST', '/images/nothing/tag', 400, /repo/],
    ['POST', '/images/create', 400, /fromSrc/],
    ['POST', '/images/create?fromImage=Alpine&tag=latest', 400, /must be lowercase/],
    ['GET', '/images/search?term=x', 501, /search/],
    ['DELETE', '/images/nothing', 404, 'No such image: nothing:latest'],
  ] as const) {
    const answer = await api.request(method, encodeURI(path).replaceAll('%25', '%'));
    t.equal(answer.status, status, `${method} ${path}`);
    t.match(answer.json<{ message: string }>().message, message);
  }
});

t.test('an image that containers use', async (t) => {
  await daemon.load();
  const id = await docker.output('run', '-d', '--network', 'none', 'busybox', 'sleep', '1000');
  const refused = await docker('rmi', 'busybox');
  t.match(refused.stderr, `(must force) - container ${id.slice(0, 12)} is using its referenced image`);
  const imageId = await docker.output('images', '-q', '--no-trunc');
  t.match((await docker('rmi', '-f', imageId)).stderr, 'cannot be forced) - image is being used by running container');
  await docker.output('kill', id);
  await docker.output('wait', id);
  t.match((await docker('rmi', imageId)).stderr, 'must be forced) - image is being used by stopped container');
  t.match(await docker.output('rmi', '-f', 'busybox'), 'Deleted: sha256:');
  t.equal(await docker.output('images', '-q'), '');
  await docker.output('start', id);
  t.equal(await docker.output('inspect', '--format', '{{.State.Status}}', id), 'running', 'its layers are still there');
  await docker.output('rm', '-f', id);
  await eventually(() => layerFiles().length === 0, { what: 'the layers go with the last container' });
});

t.test('a client that goes away in the middle', async (t) => {
  const upload = httpRequest({
    socketPath: daemon.socketPath,
    path: '/images/load',
    method: 'POST',
    headers: { Host: 'tsd', 'Content-Type': 'application/x-tar', 'Content-Length': 10_000_000 },
  });
  upload.on('error', () => undefined);
  upload.write(app.subarray(0, 1_000_000));
  await eventually(() => layerFiles().length > 0, { what: 'the layer arrives' });
  upload.destroy();
  await eventually(() => layerFiles().length === 0, { what: 'what had arrived is removed' });
  t.notMatch(daemon.log(), '"level":50', 'nothing that an administrator must look at');
});

t.test('prune', async (t) => {
  await daemon.load();
  await docker.output('load', '-i', file('app.tar', app));
  await docker.output('tag', 'localhost:5000/team/app:1', 'busybox:latest');
  t.match(await docker.output('images', '--filter', 'dangling=true', '--format', '{{.Repository}}'), '<none>');
  t.match(
    await docker.output('image', 'prune', '-f'),
    /deleted: sha256:[0-9a-f]{64}\n[\s\S]*Total reclaimed space: 0B/,
  );
  t.match(
    await docker.output('image', 'prune', '-a', '-f'),
    /untagged: busybox:latest[\s\S]*Total reclaimed space: [\d.]+MB/,
  );
  t.same(layerFiles(), [], 'no files of images are left');
});

t.test('a daemon killed in the middle of a load leaves nothing, and loads again', async (t) => {
  const bytes = busyboxArchiveBytes();
  const upload = httpRequest({
    socketPath: daemon.socketPath,
    path: '/images/load',
    method: 'POST',
    headers: { Host: 'tsd', 'Content-Type': 'application/x-tar', 'Content-Length': bytes.length },
  });
  upload.on('error', () => undefined);
  upload.write(bytes.subarray(0, bytes.length - 100_000));
  await eventually(() => layerFiles().length > 0, { what: 'the layer arrives' });
  await daemon.crash();
  upload.destroy();
  await daemon.start();
  t.same(layerFiles(), []);
  t.equal(await docker.output('images', '-q'), '');
  await daemon.load();
  t.match(await docker.output('images'), 'busybox');
  const layer = readdirSync(join(daemon.dataRoot, 'layers/sha256'))[0] ?? '';
  await daemon.crash();
  await daemon.start();
  t.equal(await docker.output('run', '--rm', '--network', 'none', 'busybox', 'echo', 'whole'), 'whole');
  t.equal(statSync(join(daemon.dataRoot, 'layers/sha256', layer, 'layer.tar')).mode & 0o777, 0o600);
  t.equal(
    createHash('sha256')
      .update(readFileSync(join(daemon.dataRoot, 'layers/sha256', layer, 'layer.tar')))
      .digest('hex'),
    layer,
  );
  await removeAllImages(t);
});
