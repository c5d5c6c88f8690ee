/** Images from and to real registries (Debian's docker-registry), by the docker client and by tsdctl, with skopeo as the judge. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { CommandLine } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { busyboxLayer, dockerArchive, layerTar } from './support/images.ts';
import { HOST_PLATFORM, type Layout, type LayoutImage, writeOciLayout } from './support/oci-layout.ts';
import { type Registry, registryMissing, startRegistry } from './support/registry.ts';

const missing = registryMissing();
if (missing !== false) {
  t.plan(0, missing);
  process.exit();
}

const NAME = 'registry.test';
const USER = { name: 'someone', password: 'pass word-ü' };
const plain = await startRegistry();
t.teardown(() => plain.remove());
const secure = await startRegistry({ tlsNames: [NAME], user: USER });
t.teardown(() => secure.remove());
const mirror = await startRegistry();
t.teardown(() => mirror.remove());
/** As users name it. Its certificate is checked: an authority is given for it. */
const secureHost = `${NAME}:${secure.port}`;

// What a mirror lacks must not be looked for on the internet by a test.
process.env['https_proxy'] = 'http://127.0.0.1:1';
process.env['no_proxy'] = NAME;
const daemon = await startDaemon({
  args: ['--registry-mirror', mirror.url],
  /** Where the name is known, and its authority, without a change to the host. */
  before: [
    ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c'],
    `set -e
    mount -t tmpfs tsd-test /etc/docker
    mkdir -p "/etc/docker/certs.d/${secureHost}"
    cp "${secure.authorityFile}" "/etc/docker/certs.d/${secureHost}/ca.crt"
    sed '1i 127.0.0.1 ${NAME}' /etc/hosts >/etc/docker/hosts
    mount --bind /etc/docker/hosts /etc/hosts
    exec "$@"`,
    'sh',
  ],
});
t.teardown(() => daemon.remove());
const { api } = daemon;
const hasDocker = spawnSync('docker', ['--version']).status === 0;
if (!hasDocker) t.comment('no docker client on PATH: tsdctl alone');
const clients: Readonly<Record<string, CommandLine>> = {
  ...(hasDocker ? { docker: daemon.docker } : {}),
  tsdctl: daemon.tsdctl,
};
const OTHER_PLATFORM = HOST_PLATFORM === 'amd64' ? 'arm64/v8' : 'amd64';
const NONE = ['--network', 'none'];

const base = busyboxLayer();
const motd = layerTar([{ path: 'etc/motd', text: 'hello from a registry\n' }]);

/** Makes images and copies them, byte for byte, into a registry: several as an index, one by itself. */
async function publish(registry: Registry, name: string, ...images: readonly LayoutImage[]): Promise<Layout> {
  const directory = mkdtempSync(join(daemon.directory, 'layout-'));
  const layout = writeOciLayout(directory, images);
  const credentials = registry === secure ? ['--dest-creds', `${USER.name}:${USER.password}`] : [];
  const all = images.length > 1 ? ['--all'] : [];
  const target = `docker://${registry.host}/${name}`;
  await registry.skopeo('copy', ...all, '--preserve-digests', ...credentials, `oci:${directory}`, target);
  return layout;
}

/** An image for this host with gzip layers. */
function gzipImage(...layers: readonly Buffer[]): LayoutImage {
  return { platform: HOST_PLATFORM, layers: layers.map((tar) => ({ tar, compression: 'gzip' })) };
}

/** Files of images below the data root. */
function contentFiles(): string[] {
  return ['layers/sha256', 'blobs/sha256', 'tmp'].flatMap((name) => {
    const directory = join(daemon.dataRoot, name);
    return existsSync(directory) ? readdirSync(directory).map((file) => `${name}/${file}`) : [];
  });
}

async function removeAllImages(t: Test): Promise<void> {
  const listed = await api.request('GET', '/images/json?all=1');
  for (const { Id } of listed.json<{ Id: string }[]>()) await api.request('DELETE', `/images/${Id}?force=1`);
  t.same(contentFiles(), [], 'no files of images are left');
}

async function inspect(image: string): Promise<{ Id: string; RepoDigests: string[]; Architecture: string }> {
  const response = await api.request('GET', `/images/${image}/json`);
  if (response.status !== 200) throw new Error(`inspect ${image}: ${response.status} ${response.text}`);
  return response.json();
}

/** What the registry was asked while `work` ran. */
async function requestsDuring(registry: Registry, work: () => Promise<unknown>): Promise<readonly string[]> {
  const before = registry.requests().length;
  await work();
  return registry.requests().slice(before);
}

const digestAt = async (registry: Registry, name: string): Promise<string> =>
  (JSON.parse(await registry.skopeo('inspect', `docker://${registry.host}/${name}`)) as { Digest: string }).Digest;
const manifestAt = (registry: Registry, name: string): Promise<string> =>
  registry.skopeo('inspect', '--raw', `docker://${registry.host}/${name}`);

const team = await publish(secure, 'team/app:1', gzipImage(base, motd));
const teamDigest = team.manifests[0] ?? '';

for (const [name, client] of Object.entries(clients)) {
  t.test(`${name}: login, pull, run, tag, push, pull by digest, rmi, logout`, async (t) => {
    // No plugins, contexts or credentials of whoever runs this.
    const directory = join(daemon.directory, `${name}-config`);
    mkdirSync(directory);
    process.env['DOCKER_CONFIG'] = directory;
    const stored = (): string => {
      const file = join(directory, 'config.json');
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    };
    const image = `${secureHost}/team/app:1`;
    const login = (password: string): ReturnType<CommandLine> =>
      client.with({ input: password }, 'login', '--username', USER.name, '--password-stdin', secureHost);

    const stranger = await client('pull', image);
    t.equal(stranger.code, 1);
    t.match(stranger.stderr, /^(tsdctl: )?Error response from daemon: .*(no basic auth credentials|unauthorized)/);
    const refused = await login('wrong');
    t.equal(refused.code, 1);
    t.match(refused.stderr, /unauthorized/);
    t.notMatch(stored(), NAME, 'a wrong password is not stored');
    const accepted = await login(USER.password);
    t.equal(accepted.code, 0, accepted.stderr);
    t.match(accepted.stdout, 'Login Succeeded');
    t.match(stored(), secureHost);

    const pulled = await client('pull', image);
    t.equal(pulled.code, 0, pulled.stderr);
    t.match(pulled.stdout, /^1: Pulling from team\/app$/m);
    t.match(pulled.stdout, `Digest: ${teamDigest}\nStatus: Downloaded newer image for ${image}\n${image}\n`);
    t.match(await client('pull', image), { code: 0, stdout: `Status: Image is up to date for ${image}\n` });
    t.same((await inspect(image)).RepoDigests, [`${secureHost}/team/app@${teamDigest}`]);
    t.equal((await inspect(image)).Id, team.configs[0]);
    t.equal(await client.output('run', '--rm', ...NONE, image, 'cat', '/etc/motd'), 'hello from a registry');

    // The same registry: no layer is uploaded. (It keeps the mounted layers, so each client has a name of its own.)
    const sibling = `${secureHost}/team/${name}:2`;
    await client.output('tag', image, sibling);
    const mounted = await requestsDuring(secure, async () => {
      const pushed = await client('push', sibling);
      t.equal(pushed.code, 0, pushed.stderr);
      t.match(pushed.stdout, /Mounted from team\/app/);
      t.match(pushed.stdout, new RegExp(`^2: digest: ${teamDigest} size: \\d+$`, 'm'));
    });
    t.equal(mounted.filter((line) => /^POST .*[?&]mount=.* 201$/.test(line)).length, 2, 'both layers are mounted');
    t.equal(mounted.filter((line) => line.startsWith('PATCH ')).length, 1, 'only the configuration is uploaded');

    // Another registry: the manifest stays what it was, byte for byte.
    const elsewhere = `${plain.host}/copy/${name}:3`;
    await client.output('tag', image, elsewhere);
    const copied = await client('push', elsewhere);
    t.equal(copied.code, 0, copied.stderr);
    t.equal(await digestAt(plain, `copy/${name}:3`), teamDigest);
    const original = await secure.skopeo(
      ...['inspect', '--raw', '--creds', `${USER.name}:${USER.password}`, `docker://${secure.host}/team/app:1`],
    );
    t.equal(await manifestAt(plain, `copy/${name}:3`), original);
    const again = await requestsDuring(plain, async () => {
      t.match(await client('push', elsewhere), { code: 0, stdout: /Layer already exists/ });
    });
    t.same(
      again.filter((line) => /^(POST|PATCH|PUT) .*\/blobs\//.test(line)),
      [],
      'the second push uploads nothing',
    );
    t.same(
      (await inspect(image)).RepoDigests.sort(),
      [image, sibling, elsewhere].map((one) => `${one.replace(/:\d$/, '')}@${teamDigest}`).sort(),
    );

    for (const one of [image, sibling, elsewhere]) t.equal((await client('rmi', one)).code, 0);
    t.same(contentFiles(), [], 'rmi removed layers and compressed layers');

    const pinned = `${secureHost}/team/app@${teamDigest}`;
    const byDigest = await client('pull', pinned);
    t.equal(byDigest.code, 0, byDigest.stderr);
    t.match(byDigest.stdout, `Status: Downloaded newer image for ${pinned}\n`);
    t.equal(await client.output('run', '--rm', ...NONE, pinned, 'cat', '/etc/motd'), 'hello from a registry');
    t.match(await client.output('images', '--digests', '--format', '{{.Tag}} {{.Digest}}'), `<none> ${teamDigest}`);
    t.match(await client.output('rmi', pinned), new RegExp(`^Untagged: ${pinned}\nDeleted: ${team.configs[0]}`));

    t.match(await client('logout', secureHost), { code: 0, stdout: `Removing login credentials for ${secureHost}\n` });
    t.notMatch(stored(), secureHost);
    t.equal((await client('pull', image)).code, 1, 'logged out');
    await removeAllImages(t);
  });
}

t.test('the daemon neither logs nor stores credentials', async (t) => {
  const secrets = [USER.password, Buffer.from(`${USER.name}:${USER.password}`).toString('base64')];
  const database = readdirSync(daemon.dataRoot).filter((file) => file.startsWith('tsd.db'));
  const kept = [daemon.log(), ...database.map((file) => readFileSync(join(daemon.dataRoot, file), 'latin1'))];
  for (const secret of secrets) t.notOk(kept.some((text) => text.includes(secret)));
});

t.test('library/alpine in a mirror is what `run alpine` runs', async (t) => {
  const release = layerTar([{ path: 'etc/alpine-release', text: '3.99.0\n' }]);
  const foreign: LayoutImage = { platform: OTHER_PLATFORM, layers: [{ tar: base, compression: 'gzip' }] };
  const alpine = await publish(mirror, 'library/alpine:latest', foreign, gzipImage(base, release));
  for (const [name, client] of Object.entries(clients)) {
    const ran = await client('run', '--rm', ...NONE, 'alpine', 'cat', '/etc/alpine-release');
    t.same([ran.code, ran.stdout], [0, '3.99.0\n'], `${name}: ${ran.stderr}`);
    t.match(ran.stderr, "Unable to find image 'alpine:latest' locally");
    t.match(ran.stderr, 'latest: Pulling from library/alpine');
    t.match(ran.stderr, `Digest: ${alpine.index}`);
    t.match(ran.stderr, 'Status: Downloaded newer image for alpine:latest');
    t.equal(await client.output('images', '--format', '{{.Repository}}:{{.Tag}}'), 'alpine:latest');
    t.same((await inspect('alpine')).RepoDigests, [`alpine@${alpine.index}`]);
    await removeAllImages(t);
  }
  const lacking = await daemon.tsdctl('run', '--rm', ...NONE, 'not-in-the-mirror');
  t.equal(lacking.code, 125);
  t.match(lacking.stderr, /registry-1\.docker\.io/, 'the error is of where it was looked for last');
});

t.test('an index: the platform is chosen; layers are gzip, zstd and plain', async (t) => {
  const multi = await publish(
    plain,
    'multi:1',
    { platform: OTHER_PLATFORM, layers: [{ tar: base, compression: 'gzip' }] },
    {
      platform: HOST_PLATFORM,
      layers: [
        { tar: base, compression: 'zstd' },
        { tar: motd, compression: 'none' },
        { tar: layerTar([{ path: 'etc/three', text: '3\n' }]), compression: 'gzip' },
      ],
    },
  );
  const image = `${plain.host}/multi:1`;
  for (const [name, client] of Object.entries(clients)) {
    const pulled = await client('pull', image);
    t.equal(pulled.code, 0, `${name}: ${pulled.stderr}`);
    t.match(pulled.stdout, `Digest: ${multi.index}`);
    t.equal((await inspect(image)).Id, multi.configs[1]);
    t.same((await inspect(image)).RepoDigests, [`${plain.host}/multi@${multi.index}`]);
    t.equal(
      await client.output('run', '--rm', ...NONE, image, 'cat', '/etc/three', '/etc/motd'),
      '3\nhello from a registry',
    );

    // Its own manifest goes elsewhere as it is, and so do its layers in their three forms.
    const copy = `${mirror.host}/multi-${name}:1`;
    await client.output('tag', image, copy);
    const pushed = await client('push', copy);
    t.equal(pushed.code, 0, pushed.stderr);
    t.equal(await digestAt(mirror, `multi-${name}:1`), multi.manifests[1]);

    const foreign = await client('pull', '--platform', `linux/${OTHER_PLATFORM}`, image);
    t.equal(foreign.code, 0, foreign.stderr);
    t.equal((await inspect(image)).Id, multi.configs[0], 'the tag is now the other platform’s');

    t.equal((await client('pull', image)).code, 0);
    t.match(
      await client('create', '--pull', 'never', '--platform', `linux/${OTHER_PLATFORM}`, image),
      { code: 1, stderr: /was found but its platform .* does not match/ },
      'another platform is not the one asked for',
    );
    const created = await client('create', '--platform', `linux/${OTHER_PLATFORM}`, image);
    t.equal(created.code, 0, `${name}: ${created.stderr}`);
    t.match(created.stderr, `Unable to find image '${image}' locally`);
    t.match(created.stderr, 'Status: Downloaded newer image');
    t.equal((await inspect(image)).Id, multi.configs[0], 'the wanted platform was pulled');
    t.equal((await client('rm', created.stdout.trim())).code, 0);

    const none = await client('pull', '--platform', 'linux/s390x', image);
    t.equal(none.code, 1);
    t.match(none.stderr, /no matching manifest for linux\/s390x in the manifest list entries/);
    await removeAllImages(t);
  }
});

t.test('all tags; layers that are here are not fetched', async (t) => {
  let sharedDigest = '';
  for (const tag of ['1', '2', '3']) {
    const own = layerTar([{ path: 'etc/tag', text: `${tag}\n` }]);
    const layout = await publish(plain, `tags:${tag}`, gzipImage(base, own));
    sharedDigest = layout.layers[0]?.[0] ?? '';
  }
  for (const [name, client] of Object.entries(clients)) {
    t.equal((await client('pull', `${plain.host}/tags:2`)).code, 0);
    const requests = await requestsDuring(plain, async () => {
      const pulled = await client('pull', '--all-tags', `${plain.host}/tags`);
      t.equal(pulled.code, 0, `${name}: ${pulled.stderr}`);
      t.match(pulled.stdout, /: Already exists$/m);
      for (const tag of ['1', '2', '3']) t.match(pulled.stdout, `${tag}: Pulling from tags\n`);
    });
    t.same(
      requests.filter((line) => line.includes(`blobs/${sharedDigest}`)),
      [],
      'the shared layer is not fetched again',
    );
    const listed = await client.output('images', '--format', '{{.Tag}}', `${plain.host}/tags`);
    t.same(listed.split('\n').sort(), ['1', '2', '3']);
    await removeAllImages(t);
  }
});

t.test('push --all-tags', async (t) => {
  for (const [name, client] of Object.entries(clients)) {
    const repository = `${plain.host}/all/${name}`;
    const expected: Record<string, string> = {};
    for (const tag of ['1', '2']) {
      const own = layerTar([{ path: 'etc/tag', text: `${tag} of ${name}\n` }]);
      const layout = await publish(mirror, `source-${name}:${tag}`, gzipImage(base, own));
      expected[tag] = layout.manifests[0] ?? '';
      const source = `${mirror.host}/source-${name}:${tag}`;
      t.equal((await client('pull', source)).code, 0);
      await client.output('tag', source, `${repository}:${tag}`);
    }
    const refused = await client('push', '--all-tags', `${repository}:1`);
    t.not(refused.code, 0);
    t.match(refused.stderr, "tag can't be used with --all-tags/-a");
    const pushed = await client('push', '-a', repository);
    t.equal(pushed.code, 0, `${name}: ${pushed.stderr}`);
    for (const [tag, digest] of Object.entries(expected)) {
      t.match(pushed.stdout, new RegExp(`^${tag}: digest: ${digest} size: \\d+$`, 'm'));
      t.equal(await digestAt(plain, `all/${name}:${tag}`), digest);
    }
    await removeAllImages(t);
  }
});

t.test('pulls of the same image at the same time share the work', async (t) => {
  const own = layerTar([{ path: 'etc/shared', text: 'shared\n' }]);
  const layout = await publish(plain, 'shared:1', gzipImage(base, own));
  const requests = await requestsDuring(plain, async () => {
    const pulls = Object.values(clients).flatMap((client) =>
      [1, 2].map(() => client('pull', `${plain.host}/shared:1`)),
    );
    for (const { code, stderr } of await Promise.all(pulls)) t.equal(code, 0, stderr);
  });
  for (const digest of layout.layers[0] ?? []) {
    t.equal(requests.filter((line) => line.startsWith(`GET /v2/shared/blobs/${digest} `)).length, 1);
  }
  await removeAllImages(t);
});

t.test('a pull of layers that came by load brings what a push of the same manifest needs', async (t) => {
  const own = layerTar([{ path: 'etc/own', text: 'loaded first\n' }]);
  await publish(plain, 'exact:1', gzipImage(base, own));
  const archive = join(daemon.directory, 'loaded-first.tar');
  writeFileSync(archive, dockerArchive({ tags: ['loaded:first'], layers: [base, own] }));
  await daemon.load(archive);
  const layers = contentFiles().filter((file) => file.startsWith('layers/'));
  await daemon.tsdctl.output('pull', `${plain.host}/exact:1`);
  t.same(
    contentFiles().filter((file) => file.startsWith('layers/')),
    layers,
  );
  await daemon.tsdctl.output('tag', `${plain.host}/exact:1`, `${mirror.host}/exact:1`);
  const requests = await requestsDuring(plain, () => daemon.tsdctl.output('push', `${mirror.host}/exact:1`));
  t.same(requests, [], 'nothing is needed from where it was pulled');
  t.equal(await manifestAt(mirror, 'exact:1'), await manifestAt(plain, 'exact:1'));

  await daemon.tsdctl.output('image', 'prune', '--force', '--blobs');
  const repulled = await requestsDuring(plain, () => daemon.tsdctl.output('pull', `${plain.host}/exact:1`));
  t.same(
    repulled.filter((line) => line.includes('/blobs/')),
    [],
    'what a prune gave up stays away',
  );
  await removeAllImages(t);
});

t.test('an image that was loaded is compressed for its first push; skopeo reads it', async (t) => {
  await daemon.load();
  const { Id } = await inspect('busybox');
  const image = `${plain.host}/loaded/busybox:1`;
  await daemon.tsdctl.output('tag', 'busybox', image);
  const pushed = await daemon.tsdctl('push', image);
  t.equal(pushed.code, 0, pushed.stderr);
  t.match(pushed.stdout, /: Pushed$/m);
  const digest = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(pushed.stdout)?.[1];
  t.equal(await digestAt(plain, 'loaded/busybox:1'), digest);
  t.same((await inspect(image)).RepoDigests, [`${plain.host}/loaded/busybox@${digest}`]);
  const archive = join(daemon.directory, 'from-registry.tar');
  await plain.skopeo('copy', `docker://${image}`, `docker-archive:${archive}:busybox:latest`);
  await removeAllImages(t);
  await daemon.load(archive);
  t.equal((await inspect('busybox')).Id, Id, 'the same image came back');
  await removeAllImages(t);
});
