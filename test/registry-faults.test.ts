/**
 * Pulls from a registry that does everything wrong: the user gets a clear error, nothing half made is left, and the next
 * try succeeds.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { TSDCTL } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { INDEX_TYPE, MANIFEST_TYPE, type Misbehaviour, startHostileRegistry } from './support/hostile-registry.ts';
import { busyboxLayer, layerTar } from './support/images.ts';
import {
  changes,
  cutsAfter,
  failsFirst,
  goesOn,
  pointsToItself,
  redirectsForever,
  refusesItsTokens,
  sendsHugeManifest,
  sendsWebPage,
  stallsAfter,
} from './support/misbehaviours.ts';

const registry = await startHostileRegistry();
t.teardown(() => registry.remove());
const daemon = await startDaemon();
t.teardown(() => daemon.remove());
const { tsdctl } = daemon;
const hasDocker = spawnSync('docker', ['--version']).status === 0;

const image = registry.publish('app', [busyboxLayer(), layerTar([{ path: 'etc/motd', text: 'whole\n' }])]);
const NAME = `${registry.host}/app:latest`;
const [big = image.config, small = image.config] = image.layers;
const MANIFEST = '/manifests/';

/** Files of images below the data root. */
function contentFiles(): string[] {
  return ['layers/sha256', 'blobs/sha256', 'tmp'].flatMap((name) => {
    const directory = join(daemon.dataRoot, name);
    return existsSync(directory) ? readdirSync(directory).map((file) => `${name}/${file}`) : [];
  });
}

async function nothingIsLeft(t: Test): Promise<void> {
  t.same(contentFiles(), [], 'no files are left');
  t.equal(await tsdctl.output('images', '-aq'), '', 'no image is left');
}

async function succeeds(t: Test): Promise<void> {
  const { code, stderr } = await tsdctl('pull', NAME);
  t.equal(code, 0, `the pull succeeds: ${stderr}`);
  t.equal(await tsdctl.output('run', '--rm', '--network', 'none', NAME, 'cat', '/etc/motd'), 'whole');
  await tsdctl.output('rmi', NAME);
  await nothingIsLeft(t);
}

/** The pull fails with this text; then all is well again. */
async function fails(t: Test, misbehaviour: Misbehaviour, expected: RegExp): Promise<void> {
  registry.misbehave(misbehaviour);
  const { code, stdout, stderr } = await tsdctl('pull', NAME);
  registry.misbehave(undefined);
  t.equal(code, 1, stdout);
  t.match(stderr, expected);
  t.notMatch(stderr, /internal error/, 'an error that was meant');
  t.match(stderr, /^[^\n]{1,600}\n$/, 'one line');
  await nothingIsLeft(t);
  await succeeds(t);
}

/** How often a blob was asked for since that many requests. */
function askedFor(digest: string, before: number): number {
  return registry.requests.slice(before).filter((line) => line === `GET /v2/app/blobs/${digest}`).length;
}

/** Answers what is asked of a path in this way, everything else honestly. */
function at(part: string, answer: (response: ServerResponse) => void): Misbehaviour {
  return (request, response, honest) => (request.url?.includes(part) ? answer(response) : honest());
}

/** Puts a document in the manifest's place. */
function sendsDocument(document: object | string, mediaType = MANIFEST_TYPE): Misbehaviour {
  const body = typeof document === 'string' ? document : JSON.stringify(document);
  return at(MANIFEST, (response) => response.setHeader('content-type', mediaType).end(body));
}

const flipped = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(copy.length >> 1) ^ 1, copy.length >> 1);
  return copy;
};

t.test('content that is not what was promised', async (t) => {
  const cases: Readonly<Record<string, readonly [Misbehaviour, RegExp]>> = {
    'a layer with a wrong bit': [changes(registry, small.digest, flipped), /digest|checksum|gzip|invalid/i],
    'another layer of that size': [
      changes(registry, small.digest, (bytes) => Buffer.alloc(bytes.length, 'x')),
      /failed to register layer sha256:|digest/,
    ],
    'too few bytes': [changes(registry, small.digest, (bytes) => bytes.subarray(1)), /bytes where \d+ are expected/],
    'too many bytes': [
      changes(registry, small.digest, (bytes) => Buffer.concat([bytes, bytes])),
      /bytes where \d+ are expected/,
    ],
    'a body that goes on, of no announced length': [goesOn(registry, small.digest, 1e8), /longer than its \d+ bytes/],
    'a configuration with a wrong bit': [changes(registry, image.config.digest, flipped), /does not have the digest/],
    'a manifest with a wrong bit': [changes(registry, MANIFEST, flipped), /does not have the digest/],
    'a layer that is not there': [
      at(small.digest, (response) => response.writeHead(404).end()),
      /404|not found|unknown/i,
    ],
    'a web page as a layer': [sendsWebPage(small.digest), /bytes|digest|web page/],
  };
  for (const [name, [misbehaviour, expected]] of Object.entries(cases)) {
    await t.test(name, (t) => fails(t, misbehaviour, expected));
  }
});

t.test('documents that are none, or too much', async (t) => {
  const manifest = JSON.parse(image.manifest.bytes.toString()) as { config: object; layers: object[] };
  const foreign = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const [layer] = manifest.layers;
  const cases: Readonly<Record<string, readonly [Misbehaviour, RegExp]>> = {
    'a web page': [sendsWebPage(MANIFEST), /is it a registry\?/],
    'a web page that is called a manifest': [sendsDocument('<html>'), /not valid JSON/],
    'a manifest of 100 MB': [sendsHugeManifest(), /larger than \d+ bytes/],
    'an index that points to itself': [pointsToItself(), /does not have the digest|holds itself|nested too deep/],
    'schema 1': [sendsDocument({ schemaVersion: 1, fsLayers: [] }), /schema 1 are not supported/],
    'a manifest that is an index too': [sendsDocument({ ...manifest, manifests: [] }), /ambiguous/],
    'a manifest that is called an index': [sendsDocument(manifest, INDEX_TYPE), /the manifest says|ambiguous/],
    'a foreign layer': [
      sendsDocument({ ...manifest, layers: [{ ...layer, mediaType: foreign }] }),
      /foreign layers are not/,
    ],
    'fewer layers than the configuration has': [sendsDocument({ ...manifest, layers: [layer] }), /layers/],
    'a layer in place of another': [
      sendsDocument({ ...manifest, layers: [layer, layer] }),
      /invalid manifest, .* is named twice/,
    ],
    'a layer of a size that it has not': [
      sendsDocument({ ...manifest, layers: manifest.layers.map((one) => ({ ...one, size: 1 })) }),
      /bytes where 1 are expected|longer than its 1 bytes/,
    ],
  };
  for (const [name, [misbehaviour, expected]] of Object.entries(cases)) {
    await t.test(name, (t) => fails(t, misbehaviour, expected));
  }
});

t.test('connections and answers that come to nothing', async (t) => {
  await t.test('cut at every chunk: the pull goes on where it stood', async (t) => {
    const pieces = 12;
    const before = registry.requests.length;
    registry.misbehave(cutsAfter(registry, big.digest, Math.ceil(big.bytes.length / pieces)));
    await succeeds(t);
    registry.misbehave(undefined);
    t.equal(askedFor(big.digest, before), pieces);
  });
  await t.test('cut at the start, each time', (t) =>
    fails(t, cutsAfter(registry, big.digest, 0), /unexpected EOF|reset/),
  );
  await t.test('no answer to anything', (t) => fails(t, (request) => request.socket.destroy(), /EOF|reset/));
  await t.test('no HTTP', (t) => fails(t, ({ socket }) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'), /Get "http/));
  for (const status of [429, 503]) {
    await t.test(`${status} at first`, async (t) => {
      registry.misbehave(failsFirst(2, status, { 'retry-after': '1' }));
      await succeeds(t);
      registry.misbehave(undefined);
    });
  }
  await t.test('a layer that does not come at first: both clients say when it is tried again', async (t) => {
    for (const client of [tsdctl, ...(hasDocker ? [daemon.docker] : [])]) {
      const trouble = failsFirst(1, 503, { 'retry-after': '2' });
      registry.misbehave((request, response, honest) =>
        request.url?.includes(small.digest) ? trouble(request, response, honest) : honest(),
      );
      const { code, stdout, stderr } = await client('pull', NAME);
      registry.misbehave(undefined);
      t.equal(code, 0, stderr);
      const id = small.digest.slice('sha256:'.length).slice(0, 12);
      t.match(stdout, new RegExp(`^${id}: Retrying in 2 seconds\n(.*\n)*${id}: Retrying in 1 second$`, 'm'));
      await tsdctl.output('rmi', NAME);
    }
  });
  await t.test('500 for ever', (t) => fails(t, failsFirst(Number.POSITIVE_INFINITY, 500), /500/));
  await t.test('redirects for ever', (t) => fails(t, redirectsForever(small.digest), /stopped after \d+ redirects/));
  await t.test('401 for ever', async (t) => {
    const before = registry.requests.length;
    registry.misbehave(refusesItsTokens(registry));
    const { code, stderr } = await tsdctl('pull', NAME);
    t.equal(code, 1);
    t.match(stderr, /unauthorized|authentication required/i);
    t.ok(registry.requests.length - before < 20, 'it is not asked again and again');
    registry.misbehave(undefined);
    await nothingIsLeft(t);
    await succeeds(t);
  });
});

t.test('a layer bomb', async (t) => {
  // One file of 4 GiB of zeros, in 4 MB; gzip members one after the other unpack as one stream.
  const header = layerTar([{ path: 'zeros', text: '' }]).subarray(512, 1024);
  header.write('40000000000', 124);
  header.fill(' ', 148, 156);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0`, 148);
  const zeros = gzipSync(Buffer.alloc(64 << 20), { level: 1 });
  const bomb = Buffer.concat([gzipSync(header), ...Array.from({ length: 64 }, () => zeros)]);
  registry.publishBlobs('bomb', [bomb]);
  const { code, stderr } = await tsdctl('pull', `${registry.host}/bomb`);
  t.equal(code, 1);
  t.match(stderr, /expands|larger|times|limit/i);
  await nothingIsLeft(t);
});

/** Stops in the middle of the big layer; resolves when it does. */
function stall(): Promise<ServerResponse> {
  const stalls = stallsAfter(registry, big.digest, big.bytes.length >> 1);
  return new Promise((stalled) => {
    registry.misbehave((request, response, honest) => {
      stalls(request, response, honest);
      if (request.url?.includes(big.digest)) stalled(response);
    });
  });
}

function startPull(name = NAME): ReturnType<typeof spawn> {
  return spawn(TSDCTL, ['-H', `unix://${daemon.socketPath}`, 'pull', name], { stdio: 'ignore' });
}

t.test('a stall, and the client gives up: the pull stops and leaves nothing', async (t) => {
  const stalled = stall();
  const client = startPull();
  const response = await stalled;
  await eventually(() => contentFiles().length > 0, { what: 'the layer is begun' });
  const closed = once(response, 'close');
  client.kill('SIGINT');
  await closed;
  await eventually(() => contentFiles().length === 0, { what: 'nothing is left of it' });
  registry.misbehave(undefined);
  await succeeds(t);
});

t.test('layers that stall: other pulls, commits and loads go on, and removals give the disk back', async (t) => {
  const layers = ['a', 'b', 'c'].map((name) =>
    layerTar([{ path: name, text: randomBytes(6_000_000).toString('base64') }]),
  );
  const stalling = registry.publish('stalling', layers);
  const stalls = stalling.layers.map(({ digest }) => [digest, stallsAfter(registry, digest, 4_000_000)] as const);
  registry.misbehave((request, response, honest) => {
    const [, stall] = stalls.find(([digest]) => request.url?.includes(digest)) ?? [];
    return stall === undefined ? honest() : stall(request, response, honest);
  });
  const client = startPull(`${registry.host}/stalling:latest`);
  const begun = (): number =>
    contentFiles().filter((file) => existsSync(join(daemon.dataRoot, file, 'layer.compressed'))).length;
  await eventually(() => begun() === layers.length, { what: 'all layers are begun' });

  await tsdctl.output('pull', NAME);
  const write = 'dd if=/dev/urandom of=/own bs=1M count=4 2>/dev/null && echo written && exec sleep 1000';
  const id = await tsdctl.output('run', '-d', '--network', 'none', NAME, 'sh', '-c', write);
  await eventually(async () => (await tsdctl.output('logs', id)) === 'written', { what: 'the container has written' });
  await tsdctl.output('commit', id, 'committed:1');
  t.equal((await daemon.inspect(id)).State.Status, 'running');
  await daemon.load();
  t.equal(begun(), layers.length, 'the layers still stall');

  await tsdctl.output('rm', '-f', id);
  await tsdctl.output('rmi', NAME, 'committed:1', 'busybox');
  t.same(
    contentFiles().filter((file) => !file.startsWith('tmp/')),
    [],
    'what others had has gone meanwhile',
  );
  client.kill('SIGINT');
  await once(client, 'exit');
  registry.misbehave(undefined);
  await eventually(() => contentFiles().length === 0, { what: 'nothing is left' });
  await nothingIsLeft(t);
});

t.test('a stall, and the daemon is killed: the next one removes what is left', async (t) => {
  const stalled = stall();
  const client = startPull();
  const ended = once(client, 'exit');
  await stalled;
  await eventually(() => contentFiles().length > 0, { what: 'the layer is begun' });
  await daemon.crash();
  t.same((await ended)[0], 1, 'the client says that it failed');
  registry.misbehave(undefined);
  await daemon.start();
  await nothingIsLeft(t);
  await succeeds(t);
});

t.test('a stall that outlasts patience: the rest is asked for again', { timeout: 120_000 }, async (t) => {
  const stalled = stall();
  const before = registry.requests.length;
  const pulling = tsdctl.with({ timeoutMs: 100_000 }, 'pull', NAME);
  await stalled;
  registry.misbehave(undefined);
  const { code, stderr } = await pulling;
  t.equal(code, 0, stderr);
  t.equal(askedFor(big.digest, before), 2);
  await tsdctl.output('rmi', NAME);
  await nothingIsLeft(t);
});
