/** Pushes to a real registry (Debian's docker-registry), by the docker client and the API, with skopeo as the judge. */
import { spawn, spawnSync } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxLayer, debianRootMissing, debianRootTar, dockerArchive, layerTar } from './support/images.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';
import { HOST_PLATFORM, writeOciLayout } from './support/oci-layout.ts';
import { type Registry, registryMissing, startRegistry } from './support/registry.ts';

const missing = registryMissing();
if (missing !== false) {
  t.plan(0, missing);
  process.exit();
}

const USER = { name: 'someone', password: 'secret' };
const registry = await startRegistry();
t.teardown(() => registry.remove());
const other = await startRegistry({ user: USER });
t.teardown(() => other.remove());
const daemon = await startDaemon();
t.teardown(() => daemon.remove());
process.env['DOCKER_CONFIG'] = join(daemon.directory, 'docker-config');
mkdirSync(process.env['DOCKER_CONFIG']);
const { api } = daemon;
const noDocker = spawnSync('docker', ['--version']).status === 0 ? false : 'no docker client on PATH';

const base = busyboxLayer();
const motd = layerTar([{ path: 'etc/motd', text: 'hello from a registry\n' }]);
const app = `${registry.host}/team/app`;
await loadImage(dockerArchive({ tags: [`${app}:1`], layers: [base, motd] }));

interface Message {
  readonly status?: string;
  readonly id?: string;
  readonly error?: string;
  readonly aux?: { readonly Tag: string; readonly Digest: string; readonly Size: number };
}

async function loadImage(archive: Buffer): Promise<void> {
  const { status, text } = await api.send('POST', '/images/load', archive, 'application/x-tar');
  if (status !== 200 || text.includes('errorDetail')) throw new Error(`load: ${status} ${text}`);
}

/** POST /images/{name}/push; its messages. */
async function push(name: string, tag?: string): Promise<Message[]> {
  const { status, text } = await api.request('POST', `/images/${name}/push${tag === undefined ? '' : `?tag=${tag}`}`);
  if (status !== 200) throw new Error(`push ${name}: ${status} ${text}`);
  return text
    .trim()
    .split('\r\n')
    .map((line) => JSON.parse(line) as Message);
}

function pushed(messages: readonly Message[]): string {
  const digest = messages.at(-1)?.aux?.Digest;
  if (digest === undefined) throw new Error(`not pushed: ${JSON.stringify(messages.at(-1))}`);
  return digest;
}

async function tag(name: string, repository: string, to: string): Promise<void> {
  const { status, text } = await api.request('POST', `/images/${name}/tag?repo=${repository}&tag=${to}`);
  if (status !== 201) throw new Error(`tag ${name}: ${status} ${text}`);
}

async function imageOf(name: string): Promise<{ Id: string; RepoDigests: string[] }> {
  return (await api.request('GET', `/images/${name}/json`)).json();
}

/** The digest and manifest that skopeo sees, after a copy that checks every digest. */
async function inspect(
  from: Registry,
  name: string,
): Promise<{ Digest: string; manifest: { config: { digest: string } } }> {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  const source = `docker://${name}`;
  const credentials = from === other ? ['--src-creds', `${USER.name}:${USER.password}`] : [];
  const inspectAs = from === other ? ['--creds', `${USER.name}:${USER.password}`] : [];
  try {
    await from.skopeo('copy', ...credentials, source, `dir:${directory}`);
    const { Digest } = JSON.parse(await from.skopeo('inspect', ...inspectAs, source));
    return { Digest, manifest: JSON.parse(await from.skopeo('inspect', '--raw', ...inspectAs, source)) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function unfinished(): string[] {
  const directory = join(daemon.dataRoot, 'tmp');
  return existsSync(directory) ? readdirSync(directory) : [];
}

function keptBlobs(): string[] {
  const directory = join(daemon.dataRoot, 'blobs/sha256');
  return existsSync(directory) ? readdirSync(directory) : [];
}

t.test('docker push of a loaded image', { skip: noDocker }, async (t) => {
  const shown = await daemon.docker.output('push', `${app}:1`);
  const lines = shown.split('\n');
  t.equal(lines[0], `The push refers to repository [${app}]`);
  t.match(shown, /^[0-9a-f]{12}: Pushed$/m);
  const digest = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(shown)?.[1];
  const { Id, RepoDigests } = await imageOf(`${app}:1`);
  t.same(RepoDigests, [`${app}@${digest}`]);
  const { Digest, manifest } = await inspect(registry, `${app}:1`);
  t.equal(Digest, digest);
  t.equal(manifest.config.digest, Id);
  t.equal(keptBlobs().length, 2, 'what was compressed is kept');
  t.match(await daemon.docker.output('push', `${app}:1`), /^[0-9a-f]{12}: Layer already exists$/m);
});

t.test('another repository of the registry mounts the layers', async (t) => {
  const digest = pushed(await push(app, '1'));
  await tag(`${app}:1`, `${registry.host}/copy`, 'x');
  const messages = await push(`${registry.host}/copy`, 'x');
  t.equal(messages.filter(({ status }) => status === 'Mounted from team/app').length, 2);
  t.equal(pushed(messages), digest);
  t.equal((await inspect(registry, `${registry.host}/copy:x`)).Digest, digest);
});

t.test('all tags', async (t) => {
  const all = `${registry.host}/all`;
  for (const name of ['a', 'b']) await tag(`${app}:1`, all, name);
  const messages = await push(all);
  t.same(
    messages.flatMap(({ aux }) => (aux === undefined ? [] : [aux.Tag])),
    ['a', 'b'],
  );
  t.same(JSON.parse(await registry.skopeo('list-tags', `docker://${all}`)).Tags.sort(), ['a', 'b']);
});

t.test('a registry that wants credentials', async (t) => {
  const name = `${other.host}/team/app`;
  await tag(`${app}:1`, name, '1');
  const refused = await push(name, '1');
  t.match(refused.at(-1), { error: /no basic auth credentials/ });
  const auth = Buffer.from(JSON.stringify({ username: USER.name, password: USER.password })).toString('base64url');
  const response = await fetchWithAuth(`/images/${name}/push?tag=1`, auth);
  t.match(response, /"aux"/);
  t.equal((await inspect(other, `${name}:1`)).Digest, pushed(await push(app, '1')), 'the same manifest elsewhere');
  t.notMatch(daemon.log(), new RegExp(`${USER.password}|${auth}`), 'the log has no credentials');
});

async function fetchWithAuth(path: string, auth: string): Promise<string> {
  const { request } = await import('node:http');
  return new Promise((done, fail) => {
    const headers = { Host: 'tsd', 'X-Registry-Auth': auth, 'Content-Length': 0 };
    const sent = request({ socketPath: daemon.socketPath, path, method: 'POST', headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      done(text);
    });
    sent.on('error', fail);
    sent.end();
  });
}

t.test('a pulled image keeps its manifest and its layers, byte for byte', async (t) => {
  for (const compression of ['gzip', 'zstd'] as const) {
    const directory = mkdtempSync(join(daemon.directory, 'layout-'));
    writeOciLayout(directory, [{ platform: HOST_PLATFORM, layers: [base, motd].map((tar) => ({ tar, compression })) }]);
    const name = `${registry.host}/from/${compression}`;
    await registry.skopeo('copy', '--preserve-digests', `oci:${directory}`, `docker://${name}:1`);
    const original = await inspect(registry, `${name}:1`);
    const { text } = await api.request('POST', `/images/create?fromImage=${name}&tag=1`);
    t.notMatch(text, /errorDetail/);
    const elsewhere = await startRegistry();
    try {
      await tag(`${name}:1`, `${elsewhere.host}/to`, '1');
      t.equal(pushed(await push(`${elsewhere.host}/to`, '1')), original.Digest, compression);
      t.same((await inspect(elsewhere, `${elsewhere.host}/to:1`)).manifest, original.manifest);
      const id = (await imageOf(`${elsewhere.host}/to:1`)).Id;
      await api.request('DELETE', `/images/${name}:1?force=1`);
      t.equal((await imageOf(`${elsewhere.host}/to@${original.Digest}`)).Id, id, 'known by the digest it has there');
    } finally {
      await elsewhere.remove();
    }
  }
});

t.test('what is not there', async (t) => {
  t.match(await push(`${registry.host}/none`, '1'), [
    { status: `The push refers to repository [${registry.host}/none]` },
    { error: `An image does not exist locally with the tag: ${registry.host}/none` },
  ]);
  t.match((await push(app, 'none')).at(-1), { error: `tag does not exist: ${app}:none` });
  t.match(await api.request('POST', '/images/UPPER/push?tag=1'), { status: 400 });
});

t.test('system df and image prune know the kept blobs', async (t) => {
  const before = (await api.request('GET', '/system/df')).json<{ LayersSize: number; BlobsSize: number }>();
  const onDisk = keptBlobs();
  t.ok(onDisk.length > 0);
  t.ok(before.BlobsSize > 0 && before.BlobsSize < before.LayersSize);
  if (noDocker === false) {
    t.match(await daemon.docker.output('system', 'df'), /^Images +\d+ +0 +[\d.]+MB/m);
    t.equal((await daemon.docker('system', 'df', '-v')).code, 0);
    await daemon.docker.output('image', 'prune', '--force', '--filter', 'blobs=true');
  } else {
    await api.request('POST', `/images/prune?filters=${encodeURIComponent('{"blobs":["true"]}')}`);
  }
  t.same(keptBlobs(), []);
  const after = (await api.request('GET', '/system/df')).json<{ LayersSize: number; BlobsSize: number }>();
  t.match(after, { LayersSize: before.LayersSize - before.BlobsSize, BlobsSize: 0 });
  t.equal((await inspect(registry, `${app}:1`)).Digest, pushed(await push(app, '1')), 'compressed again, the same');
});

t.test('a large image', { skip: debianRootMissing(), timeout: 120_000 }, async (t) => {
  const name = `${registry.host}/debian`;
  const imported = await api.send(
    'POST',
    `/images/create?fromSrc=-&repo=${name}&tag=1`,
    createReadStream(debianRootTar()),
    'application/x-tar',
  );
  t.equal(imported.status, 200);

  /** Starts a push and kills the client, or the daemon, as soon as it compresses. */
  const begin = async (): Promise<{ end(): void }> => {
    const client = spawn('curl', [
      ...['--silent', '--no-buffer', '--unix-socket', daemon.socketPath],
      ...['--request', 'POST', `http://tsd/images/${name}/push?tag=1`],
    ]);
    let said = '';
    client.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const gone = new Promise((done) => client.once('close', done));
    t.teardown(() => gone);
    await eventually(() => /Compressing/.test(said), { what: 'the layer is being compressed' });
    return { end: () => client.kill('SIGKILL') };
  };

  await t.test('a client that goes away stops it, and nothing is left', async (t) => {
    const blobs = keptBlobs();
    (await begin()).end();
    await eventually(() => unfinished().length === 0, { what: 'the unfinished blob goes' });
    t.same(keptBlobs(), blobs);
    t.notOk(registry.requests().some((request) => /PUT \/v2\/debian\/manifests/.test(request)));
  });

  await t.test('a daemon that is killed leaves what the next one removes', async (t) => {
    const client = await begin();
    await daemon.crash();
    client.end();
    t.not(unfinished().length, 0);
    await daemon.start();
    t.same(unfinished(), []);
  });

  await t.test('the next try succeeds, and the daemon answers all the while', async (t) => {
    const peakBefore = memoryKb('VmRSS');
    let slowestMs = 0;
    let isDone = false;
    const pings = (async () => {
      while (!isDone) {
        const startedMs = performance.now();
        await api.request('GET', '/_ping');
        slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      }
    })();
    const digest = await push(name, '1')
      .then(pushed)
      .finally(() => {
        isDone = true;
      });
    await pings;
    t.comment(
      `slowest ping ${slowestMs.toFixed(1)} ms, memory ${peakBefore} kB before, at most ${memoryKb('VmHWM')} kB`,
    );
    t.ok(slowestMs < 500, `slowest ping ${slowestMs} ms`);
    t.ok(memoryKb('VmHWM') < 200_000, `${memoryKb('VmHWM')} kB`);
    t.equal((await inspect(registry, `${name}:1`)).Digest, digest);
  });
});

function memoryKb(field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]);
}
