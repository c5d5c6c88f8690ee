/** The registry client against a registry that is honest, and one that is not. */
import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import t, { type Test } from 'tap';
import {
  digestOf,
  type HostileRegistry,
  type Misbehaviour,
  startHostileRegistry,
} from '../../../test/support/hostile-registry.ts';
import * as misbehaviours from '../../../test/support/misbehaviours.ts';
import { createRegistryClient, type RegistryClientSettings } from '../src/images/registry/registry-client.ts';
import type {
  BlobDescriptor,
  BlobSource,
  RegistryClient,
  RegistryCredentials,
  RemoteRepository,
} from '../src/images/registry/remote-repository.ts';

const MIB = 1024 * 1024;
const content = randomBytes(3 * MIB + 7);
const never = new AbortController().signal;

interface World {
  readonly registry: HostileRegistry;
  readonly client: RegistryClient;
  readonly repository: RemoteRepository;
  readonly blob: BlobDescriptor;
}

async function setUp(
  t: Test,
  settings: Partial<RegistryClientSettings> = {},
  credentials: RegistryCredentials | null = null,
): Promise<World> {
  const registry = await startHostileRegistry();
  t.teardown(() => registry.remove());
  const client = createRegistryClient({
    registryMirrors: [],
    insecureRegistries: [],
    env: {},
    userAgent: 'tsd/test',
    certificateFolders: [],
    timeouts: { connectMs: 2000, stallMs: 200 },
    backOff: { attempts: 3, firstDelayMs: 5, maxDelayMs: 1000 },
    ...settings,
  });
  t.teardown(() => client.close());
  const { digest, bytes, mediaType } = registry.addBlob(content);
  const repository = client.repository({ domain: registry.host, path: 'team/app' }, credentials, 'push');
  return { registry, client, repository, blob: { digest, sizeBytes: bytes.length, mediaType } };
}

async function download({ repository, blob }: Pick<World, 'repository' | 'blob'>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let told = 0;
  const options = { signal: never, onBytes: (bytes: number) => (told = bytes) };
  for await (const chunk of repository.openBlob(blob, options)) chunks.push(chunk);
  if (told !== blob.sizeBytes) throw new Error(`told of ${told} bytes`);
  return Buffer.concat(chunks);
}

function source(bytes: Buffer, opened: number[] = []): BlobSource {
  return {
    digest: digestOf(bytes),
    sizeBytes: bytes.length,
    mediaType: 'application/octet-stream',
    async *open(offset) {
      opened.push(offset);
      for (let start = offset; start < bytes.length; start += 50_000) yield bytes.subarray(start, start + 50_000);
    },
  };
}

t.test('what is sent comes back', async (t) => {
  const { registry, repository } = await setUp(t);
  const bytes = randomBytes(MIB);
  const { digest } = source(bytes);
  t.equal(await repository.hasBlob(digest, never), false);
  await repository.uploadBlob(source(bytes), { signal: never });
  t.equal(await repository.hasBlob(digest, never), true);
  await repository.uploadBlob(source(Buffer.alloc(0)), { signal: never });
  t.ok(registry.find(`/v2/team/app/blobs/${digestOf(Buffer.alloc(0))}`), 'an empty blob');
  t.equal(await repository.mountBlob(digest, 'other/app', never), true);
  const other = Buffer.from('other');
  t.equal(await repository.mountBlob(digestOf(other), 'other/app', never), false);
  const posts = (): number => registry.requests.filter((line) => line.startsWith('POST')).length;
  const before = posts();
  await repository.uploadBlob(source(other), { signal: never });
  t.equal(posts(), before, 'the upload that the registry began in place of the mount is used');

  registry.misbehave((_, response) => response.writeHead(401).end());
  t.equal(await repository.mountBlob(digest, 'secret/app', never), false, 'what may not be read there is uploaded');
  registry.misbehave(undefined);

  const { mediaType, bytes: manifest, digest: manifestDigest } = registry.publish('x', [bytes]).manifest;
  t.equal(await repository.putManifest('v1', { mediaType, bytes: manifest }, never), manifestDigest);
  t.strictSame(await repository.getManifest('v1', never), { digest: manifestDigest, mediaType, bytes: manifest });
  t.strictSame(await repository.headManifest('v1', never), { digest: manifestDigest, mediaType });
  t.equal(await repository.headManifest('v2', never), null);
  t.strictSame(await repository.listTags(never), ['v1']);
  t.strictSame(await repository.readBlob({ ...sized(other), mediaType: 'x' }, { signal: never, maxBytes: 5 }), other);
  await t.rejects(repository.readBlob({ ...sized(other), mediaType: 'x' }, { signal: never, maxBytes: 4 }), {
    code: 'bad_parameter',
  });
  t.equal(repository.name, `${registry.host}/team/app`);
});

const sized = (bytes: Buffer): { digest: string; sizeBytes: number } => ({
  digest: digestOf(bytes),
  sizeBytes: bytes.length,
});

t.test('a download goes on where the connection broke', async (t) => {
  const world = await setUp(t);
  const { registry } = world;
  for (const cut of [MIB, 65_536, 65_535]) {
    registry.misbehave(misbehaviours.cutsAfter(registry, '/blobs/', cut));
    t.ok((await download(world)).equals(content), `cut after every ${cut} bytes`);
  }

  let asked = 0;
  registry.misbehave((request, response, honest) => {
    if (asked++ > 0) {
      delete request.headers.range;
      return honest();
    }
    misbehaviours.cutsAfter(registry, '/blobs/', MIB)(request, response, honest);
  });
  t.ok((await download(world)).equals(content), 'a registry without ranges sends it all again');

  registry.misbehave(once(misbehaviours.stallsAfter(registry, '/blobs/', 100_000)));
  t.ok((await download(world)).equals(content), 'after a stall');
  for (const status of [429, 500, 502, 503]) {
    registry.misbehave(misbehaviours.failsFirst(2, status, { 'retry-after': '0' }));
    t.ok((await download(world)).equals(content), `after ${status}`);
  }
  registry.misbehave(once((request) => request.socket.resetAndDestroy()));
  t.ok((await download(world)).equals(content), 'after a reset');
});

/** Wrong once, then honest. */
function once(misbehaviour: Misbehaviour): Misbehaviour {
  let done = false;
  return (request, response, honest) => {
    if (done) return honest();
    done = true;
    misbehaviour(request, response, honest);
  };
}

t.test('what a registry does wrong is an error, and no more', async (t) => {
  const world = await setUp(t);
  const { registry, repository, blob } = world;
  const image = registry.publish('team/app', [Buffer.alloc(512)]);
  const manifest = (): Promise<unknown> => repository.getManifest('latest', never);
  const byDigest = (): Promise<unknown> => repository.getManifest(image.manifest.digest, never);
  const whole = (): Promise<unknown> => repository.readBlob(blob, { signal: never, maxBytes: 10 * MIB });
  const wrong = (bytes: Buffer): Buffer => Buffer.concat([bytes.subarray(1), Buffer.from([0])]);
  const answers =
    (status: number, body = '', headers = {}): Misbehaviour =>
    (_, response) =>
      response.writeHead(status, headers).end(body);
  const denied = (code: string): string => JSON.stringify({ errors: [{ code, message: 'so it is\u001b[31m' }] });
  const cases: [string, Misbehaviour, () => Promise<unknown>, { code: string; message?: string | RegExp }][] = [
    [
      'a blob of another digest',
      misbehaviours.changes(registry, '/blobs/', wrong),
      whole,
      { code: 'bad_parameter', message: /does not have the digest sha256:/ },
    ],
    [
      'a blob of another size',
      misbehaviours.changes(registry, '/blobs/', (bytes) => bytes.subarray(1)),
      whole,
      { code: 'bad_parameter', message: /has \d+ bytes where \d+ are expected/ },
    ],
    [
      'a blob that goes on',
      misbehaviours.goesOn(registry, '/blobs/', 64 * MIB),
      whole,
      { code: 'bad_parameter', message: /is longer than its \d+ bytes/ },
    ],
    [
      'a blob that ends early, always',
      (_request, response) =>
        response.writeHead(200, { 'content-length': blob.sizeBytes }).write('x', () => response.destroy()),
      whole,
      { code: 'unavailable', message: /unexpected EOF|reset/ },
    ],
    [
      'another range than asked for',
      (_request, response) => response.writeHead(206, { 'content-range': 'bytes 5-9/10' }).end('x'),
      whole,
      { code: 'bad_parameter', message: /another range/ },
    ],
    [
      'a stall',
      misbehaviours.stallsAfter(registry, '/blobs/', 10),
      whole,
      { code: 'unavailable', message: /stopped sending/ },
    ],
    ['silence', () => undefined, manifest, { code: 'unavailable', message: /does not answer/ }],
    [
      'a manifest of another digest than asked for',
      misbehaviours.changes(registry, '/manifests/', wrong),
      byDigest,
      { code: 'bad_parameter', message: /does not have the digest/ },
    ],
    [
      'a manifest of another digest than announced',
      misbehaviours.changes(registry, '/manifests/', wrong),
      manifest,
      { code: 'bad_parameter', message: /does not have the digest/ },
    ],
    [
      'an index that points to itself',
      misbehaviours.pointsToItself(),
      byDigest,
      { code: 'bad_parameter', message: /does not have the digest/ },
    ],
    [
      'a manifest of 100 MB',
      misbehaviours.sendsHugeManifest(),
      manifest,
      { code: 'bad_parameter', message: /larger than 4194304 bytes/ },
    ],
    [
      'a web page',
      misbehaviours.sendsWebPage('/manifests/'),
      manifest,
      { code: 'bad_parameter', message: /is it a registry\?/ },
    ],
    [
      'redirects without end',
      misbehaviours.redirectsForever('/manifests/'),
      manifest,
      { code: 'bad_parameter', message: /stopped after 10 redirects/ },
    ],
    [
      'a redirect to nowhere',
      answers(307, '', { location: 'file:///etc/passwd' }),
      manifest,
      { code: 'bad_parameter', message: /no valid location/ },
    ],
    [
      'a redirect to plain HTTP elsewhere is no downgrade from HTTP',
      answers(307, '', { location: 'http://127.0.0.1:1/x' }),
      manifest,
      { code: 'unavailable', message: /refused/ },
    ],
    ['401 without end', misbehaviours.refusesItsTokens(registry), manifest, { code: 'unauthorized' }],
    [
      '401 without a challenge',
      answers(401),
      manifest,
      { code: 'unauthorized', message: 'unauthorized: authentication required' },
    ],
    [
      'a challenge for passwords',
      answers(401, '', { 'www-authenticate': 'Basic realm="x"' }),
      manifest,
      { code: 'unauthorized', message: /no basic auth credentials/ },
    ],
    [
      'a token server that is none',
      answers(401, '', { 'www-authenticate': 'Bearer realm="file:///x"' }),
      manifest,
      { code: 'bad_parameter', message: /token server/ },
    ],
    [
      'a missing manifest',
      answers(404, denied('MANIFEST_UNKNOWN')),
      manifest,
      {
        code: 'not_found',
        message: `manifest for ${registry.host}/team/app:latest not found: manifest unknown: so it is [31m`,
      },
    ],
    [
      'a missing repository',
      answers(404, denied('NAME_UNKNOWN')),
      manifest,
      { code: 'not_found', message: /^repository .*team\/app not found: name unknown/ },
    ],
    [
      'a denial',
      answers(403, denied('DENIED')),
      manifest,
      {
        code: 'not_found',
        message:
          /^pull access denied for .*team\/app, repository does not exist or may require 'docker login': denied: /,
      },
    ],
    [
      'a 404 that says nothing',
      answers(404, '<html>'),
      manifest,
      { code: 'not_found', message: /unexpected status from the registry: 404/ },
    ],
    [
      'a limit, for an hour',
      answers(429, denied('TOOMANYREQUESTS'), { 'retry-after': '3600' }),
      manifest,
      { code: 'unavailable', message: 'toomanyrequests: so it is [31m' },
    ],
    [
      '500 without end',
      answers(500),
      manifest,
      { code: 'unavailable', message: /unexpected status from the registry: 500/ },
    ],
    ['no HTTP', (request) => request.socket.end('SSH-2.0-x\r\n'), manifest, { code: 'unavailable' }],
    [
      'headers without end',
      answers(200, '', { 'x-long': 'x'.repeat(100_000) }),
      manifest,
      { code: 'unavailable', message: /headers of the answer are too large/ },
    ],
    [
      'tags that are none',
      answers(200, '{"tags":["../x"]}'),
      () => repository.listTags(never),
      { code: 'bad_parameter', message: /list of tags of team\/app is not valid/ },
    ],
    [
      'tags that are HTML',
      answers(200, '<html>'),
      () => repository.listTags(never),
      { code: 'bad_parameter', message: /not valid JSON/ },
    ],
    [
      'pages of tags without end',
      (request, response) => response.writeHead(200, { link: `<${request.url}&x=1>; rel="next"` }).end('{"tags":[]}'),
      () => repository.listTags(never),
      { code: 'bad_parameter' },
    ],
  ];
  await manifest();
  for (const [name, misbehaviour, action, expected] of cases) {
    registry.misbehave(misbehaviour);
    await t.rejects(action(), expected, name);
    registry.misbehave(undefined);
    await t.resolves(manifest(), 'the next try succeeds');
  }
  t.ok((await download(world)).equals(content));
});

t.test('an aborted download ends at once, with the reason', async (t) => {
  const { registry, repository, blob } = await setUp(t, { timeouts: { connectMs: 1000, stallMs: 60_000 } });
  const closed = new Promise<void>((done) => {
    registry.misbehave((request, response, honest) => {
      response.once('close', done);
      misbehaviours.stallsAfter(registry, '/blobs/', 1000)(request, response, honest);
    });
  });
  const abort = new AbortController();
  const reason = new Error('the client is gone');
  const reading = (async () => {
    for await (const _ of repository.openBlob(blob, { signal: abort.signal })) abort.abort(reason);
  })();
  await t.rejects(reading, reason);
  await closed;
  registry.misbehave(misbehaviours.failsFirst(100, 503, { 'retry-after': '1' }));
  const waiting = repository.getManifest('latest', AbortSignal.timeout(50));
  await t.rejects(waiting, { name: 'TimeoutError' }, 'also between two tries');
  await t.rejects(repository.getManifest('latest', AbortSignal.abort(reason)), reason);
});

t.test('an upload goes on where the connection broke', async (t) => {
  const { registry, repository } = await setUp(t);
  const bytes = randomBytes(2 * MIB);
  let patches = 0;
  registry.misbehave((request, _response, honest) => {
    if (request.method === 'PATCH' && patches++ < 2) {
      let seen = 0;
      request.on('data', (chunk: Buffer) => {
        seen += chunk.length;
        if (seen > 500_000) request.socket.destroy();
      });
    }
    honest();
  });
  const opened: number[] = [];
  await repository.uploadBlob(source(bytes, opened), { signal: never });
  t.ok(registry.find(`/v2/team/app/blobs/${digestOf(bytes)}`)?.bytes.equals(bytes));
  t.equal(opened.length, 3);
  t.strictSame(opened[0], 0);
  t.ok((opened[1] ?? 0) > 400_000 && (opened[2] ?? 0) > (opened[1] ?? 0), `from ${opened}`);

  // A registry that forgets what came, as docker-registry does: the upload begins again.
  const others = randomBytes(MIB);
  patches = 0;
  registry.misbehave((request, response, honest) => {
    if (request.method === 'GET' && request.url?.includes('/uploads/')) return void response.writeHead(404).end();
    if (request.method === 'PATCH' && patches++ < 1) request.socket.destroy();
    else honest();
  });
  await repository.uploadBlob(source(others), { signal: never });
  t.ok(registry.find(`/v2/team/app/blobs/${digestOf(others)}`));

  registry.misbehave((request, response, honest) => (request.method === 'PATCH' ? response.destroy() : honest()));
  await t.rejects(
    repository.uploadBlob(source(randomBytes(1000)), { signal: never }),
    { code: 'unavailable' },
    'but not for ever',
  );
  registry.misbehave((request, response, honest) =>
    request.method === 'POST' ? response.writeHead(202).end() : honest(),
  );
  await t.rejects(repository.uploadBlob(source(randomBytes(1000)), { signal: never }), {
    code: 'bad_parameter',
    message: /no valid location/,
  });
});

t.test('an upload that stands still', async (t) => {
  const { registry, repository } = await setUp(t);
  const patches = (): number => registry.requests.filter((line) => line.startsWith('PATCH')).length;
  // More than the kernel holds for a reader that does not read.
  const bytes = Buffer.alloc(32 * MIB, 'x');
  registry.misbehave((request, _response, honest) => (request.method === 'PATCH' ? request.pause() : honest()));
  await t.rejects(repository.uploadBlob(source(bytes), { signal: never }), {
    code: 'unavailable',
    message: /^Patch ".*": the registry stopped taking what is sent$/,
  });
  t.equal(patches(), 3, 'is tried again, a few times');

  const abort = new AbortController();
  const reason = new Error('the client is gone');
  registry.misbehave((request, _response, honest) => {
    if (request.method !== 'PATCH') return honest();
    request.pause();
    abort.abort(reason);
  });
  await t.rejects(repository.uploadBlob(source(bytes), { signal: abort.signal }), reason);

  const before = patches();
  registry.misbehave((request, _response, honest) => (request.method === 'PATCH' ? request.resume() : honest()));
  const small = source(randomBytes(1000));
  await t.rejects(repository.uploadBlob(small, { signal: never }), {
    code: 'unavailable',
    message: /took it all and does not answer/,
  });
  t.equal(patches(), before + 1, 'but not after it was given all the time that it may need');

  registry.misbehave((request, response, honest) => {
    if (request.method !== 'PATCH') return honest();
    // Five times what is enough for any other answer.
    request.on('end', () => setTimeout(() => response.writeHead(202, { location: request.url }).end(), 1000));
    request.resume();
  });
  await t.rejects(repository.uploadBlob(small, { signal: never }), { message: /digest invalid/ }, 'it is waited for');
});

t.test('tokens', async (t) => {
  const { registry, client } = await setUp(t);
  registry.publish('team/app', [Buffer.alloc(512)]);
  const tokens: { url: string; method: string; authorization: string | undefined; body: string }[] = [];
  let valid = 'none';
  registry.misbehave((request, response, honest) => {
    if (request.url?.startsWith('/token')) {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        tokens.push({
          url: request.url ?? '',
          method: request.method ?? '',
          authorization: request.headers.authorization,
          body,
        });
        valid = `token-${tokens.length}`;
        response.end(JSON.stringify({ access_token: valid, refresh_token: 'refresh', expires_in: 300 }));
      });
    } else if (request.headers.authorization === `Bearer ${valid}`) honest();
    else
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="http://${registry.host}/token?x=1",service="reg"` })
        .end();
  });
  const reference = { domain: registry.host, path: 'team/app' };
  const named = client.repository(reference, { username: 'ann', password: 'se:cret' }, 'pull');
  await Promise.all([named.getManifest('latest', never), named.getManifest('latest', never)]);
  await named.listTags(never);
  t.ok(tokens.length <= 2, 'parallel requests share a token');
  const [first] = tokens;
  const query = new URL(first?.url ?? '', 'http://x').searchParams;
  t.strictSame(Object.fromEntries(query), {
    x: '1',
    service: 'reg',
    scope: 'repository:team/app:pull',
    account: 'ann',
  });
  t.equal(first?.authorization, `Basic ${Buffer.from('ann:se:cret').toString('base64')}`);

  valid = 'expired';
  await named.getManifest('latest', never);
  t.equal(valid, `token-${tokens.length}`, 'a token that is refused is fetched again');

  const pushed = client.repository(reference, { username: 'ann', password: 'se:cret' }, 'push');
  await pushed.uploadBlob(source(Buffer.from('x')), { signal: never });
  t.match(tokens.at(-1)?.url, /scope=repository%3Ateam%2Fapp%3Apull%2Cpush/);
  await pushed.mountBlob(digestOf(content), 'from/there', never);
  t.match(tokens.at(-1)?.url, /scope=repository%3Afrom%2Fthere%3Apull/);

  await client.repository(reference, { identityToken: 'long-lived' }, 'pull').getManifest('latest', never);
  t.match(tokens.at(-1), {
    method: 'POST',
    authorization: undefined,
    body: /grant_type=refresh_token&service=reg&.*refresh_token=long-lived/,
  });

  valid = 'given';
  const count = tokens.length;
  await client.repository(reference, { registryToken: 'given' }, 'pull').getManifest('latest', never);
  t.equal(tokens.length, count, 'a registry token is sent as it is');
  valid = 'other';
  await t.rejects(client.repository(reference, { registryToken: 'given' }, 'pull').getManifest('latest', never), {
    code: 'unauthorized',
  });

  t.equal(
    await client.checkCredentials(registry.host, { username: 'ann', password: 'x' }, never),
    'refresh',
    'login gets a refresh token',
  );
  t.match(tokens.at(-1)?.url, /offline_token=true/);
});

t.test('a push asks for the right to push from its first request on', async (t) => {
  const { registry, client } = await setUp(t);
  const scopes: string[] = [];
  let exists = false;
  registry.misbehave((request, response, honest) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname === '/token') {
      // As Quay does: the repository comes into being with the first token to push to it; before, nobody may know of it.
      const scope = url.searchParams.get('scope') ?? '';
      scopes.push(scope);
      exists ||= scope.endsWith(':pull,push');
      return void response.end(JSON.stringify({ token: Buffer.from(scope).toString('base64url'), expires_in: 300 }));
    }
    const [, token = ''] = /^Bearer (.*)$/.exec(request.headers.authorization ?? '') ?? [];
    const granted = Buffer.from(token, 'base64url').toString();
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (exists && (granted.endsWith('push') || (isRead && granted.endsWith('pull')))) return honest();
    const challenge = `Bearer realm="http://${registry.host}/token",service="x"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  const image = registry.publish('elsewhere', [Buffer.alloc(512)]);
  const repository = client.repository({ domain: registry.host, path: 'team/app' }, null, 'push');
  const bytes = Buffer.from('new');
  t.equal(await repository.hasBlob(digestOf(bytes), never), false);
  await repository.uploadBlob(source(bytes), { signal: never });
  await repository.putManifest('v1', image.manifest, never);
  t.strictSame(scopes, ['repository:team/app:pull,push'], 'one token is enough');
  scopes.length = 0;
  await client.repository({ domain: registry.host, path: 'team/app' }, null, 'pull').getManifest('v1', never);
  t.strictSame(scopes, ['repository:team/app:pull'], 'a pull asks for no more than it needs');
});

t.test('passwords', async (t) => {
  const { registry, client } = await setUp(t);
  registry.publish('team/app', [Buffer.alloc(512)]);
  const good = `Basic ${Buffer.from('ann:pass').toString('base64')}`;
  registry.misbehave((request, response, honest) => {
    if (request.headers.authorization === good) honest();
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
  });
  const reference = { domain: registry.host, path: 'team/app' };
  await client.repository(reference, { username: 'ann', password: 'pass' }, 'pull').getManifest('latest', never);
  const wrong = client.repository(reference, { username: 'ann', password: 'wr0ng' }, 'pull');
  await t.rejects(wrong.getManifest('latest', never), { code: 'unauthorized', message: /^(?!.*wr0ng)/ });
  await t.rejects(client.repository(reference, null, 'pull').getManifest('latest', never), {
    code: 'unauthorized',
    message: 'no basic auth credentials',
  });
  t.equal(
    await client.checkCredentials(`http://${registry.host}/v2/`, { username: 'ann', password: 'pass' }, never),
    '',
  );
  await t.rejects(client.checkCredentials(registry.host, { username: 'ann', password: 'x' }, never), {
    code: 'unauthorized',
  });
});

t.test('credentials do not follow redirects or locations to other hosts', async (t) => {
  const storage = await startHostileRegistry();
  t.teardown(() => storage.remove());
  const received: IncomingHttpHeaders[] = [];
  const world = await setUp(t, {}, { username: 'ann', password: 'pass' });
  const { registry } = world;
  storage.addBlob(content);
  storage.misbehave((request, response, honest) => {
    received.push(request.headers);
    misbehaviours.cutsAfter(storage, '/blobs/', MIB)(request, response, honest);
  });
  registry.misbehave((request, response, honest) => {
    if (request.headers.authorization === undefined)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else if (request.method === 'GET')
      response.writeHead(307, { location: `http://user:pass@${storage.host}${request.url}?X-Signature=s3cret` }).end();
    else if (request.method === 'POST')
      response.writeHead(202, { location: `http://${storage.host}/v2/x/blobs/uploads/1` }).end();
    else honest();
  });
  t.ok((await download(world)).equals(content), 'and downloads resume through them');
  t.equal(received.length, 4);
  await t.rejects(world.repository.uploadBlob(source(Buffer.from('x')), { signal: never }), { code: 'not_found' });
  t.ok(received.length > 4);
  t.ok(received.every(({ authorization }) => authorization === undefined));
  storage.misbehave((_, response) => response.writeHead(403).end());
  await t.rejects(
    download(world),
    { code: 'forbidden', message: /^(?!.*s3cret)/ },
    'nor do signatures come back in errors',
  );
});

t.test('nor do they follow redirects of the token server', async (t) => {
  const elsewhere = await startHostileRegistry();
  t.teardown(() => elsewhere.remove());
  const { registry, client } = await setUp(t);
  const received: IncomingHttpHeaders[] = [];
  elsewhere.misbehave((request, response) => {
    received.push(request.headers);
    response.end(JSON.stringify({ token: 'good' }));
  });
  registry.publish('team/app', [Buffer.alloc(512)]);
  registry.misbehave((request, response, honest) => {
    if (request.url?.startsWith('/token'))
      response.writeHead(307, { location: `http://${elsewhere.host}/token` }).end();
    else if (request.headers.authorization === 'Bearer good') honest();
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${registry.host}/token"` }).end();
  });
  const reference = { domain: registry.host, path: 'team/app' };
  await client.repository(reference, { username: 'ann', password: 'pass' }, 'pull').getManifest('latest', never);
  t.equal(received.length, 1);
  t.notOk(received[0]?.authorization);
  const withToken = client.repository(reference, { identityToken: 'long-lived' }, 'pull');
  await t.rejects(withToken.getManifest('latest', never), { code: 'bad_parameter' }, 'a POST is not redirected');
  t.equal(received.length, 1);
});

t.test('mirrors of the hub', async (t) => {
  const mirror = await startHostileRegistry();
  const broken = await startHostileRegistry();
  t.teardown(() => Promise.all([mirror.remove(), broken.remove()]));
  const { client, blob } = await setUp(t, { registryMirrors: [`http://${broken.host}/`, `http://${mirror.host}/hub`] });
  const image = mirror.publish('library/alpine', [Buffer.alloc(512)]);
  mirror.addBlob(content);
  broken.addBlob(content);
  const authorizations: (string | undefined)[] = [];
  mirror.misbehave((request, _response, honest) => {
    authorizations.push(request.headers.authorization);
    if (request.url?.startsWith('/hub/')) request.url = request.url.slice('/hub'.length);
    honest();
  });
  broken.misbehave(misbehaviours.cutsAfter(broken, '/blobs/', 0));
  const repository = client.repository(
    { domain: 'docker.io', path: 'library/alpine' },
    { username: 'ann', password: 'pass' },
    'pull',
  );
  t.equal(
    (await repository.getManifest('latest', never)).digest,
    image.manifest.digest,
    'what one lacks the next one has',
  );
  t.ok((await download({ repository, blob })).equals(content));
  let served = 0;
  broken.misbehave((request, response, honest) =>
    misbehaviours.cutsAfter(broken, '/blobs/', served++ === 0 ? MIB : 0)(request, response, honest),
  );
  t.ok((await download({ repository, blob })).equals(content), 'from where the first one left off');
  t.ok(
    authorizations.every((authorization) => authorization === undefined),
    'nobody tells a mirror the password',
  );
});

t.test('a mirror that fails or lies costs a pull once', async (t) => {
  const bad = await startHostileRegistry();
  const good = await startHostileRegistry();
  t.teardown(() => Promise.all([bad.remove(), good.remove()]));
  const { client, blob } = await setUp(t, { registryMirrors: [`http://${bad.host}/`, `http://${good.host}/`] });
  for (const mirror of [bad, good]) mirror.addBlob(content);
  const pull = (): RemoteRepository => client.repository({ domain: 'docker.io', path: 'library/alpine' }, null, 'pull');
  const asked = (): number => bad.requests.length;

  bad.misbehave(misbehaviours.stallsAfter(bad, '/blobs/', 10));
  let repository = pull();
  t.ok((await download({ repository, blob })).equals(content));
  t.equal(asked(), 2, 'two tries');
  t.ok((await download({ repository, blob })).equals(content));
  t.equal(asked(), 2, 'the next layer comes from elsewhere at once');

  bad.misbehave(misbehaviours.changes(bad, '/blobs/', (bytes) => Buffer.alloc(bytes.length, 'x')));
  repository = pull();
  t.notOk((await download({ repository, blob })).equals(content));
  t.equal(repository.distrustMirrors(blob.digest), true);
  t.ok((await download({ repository, blob })).equals(content), 'fetched again elsewhere');
  t.equal(asked(), 3);
  t.ok(
    (await pull().readBlob(blob, { signal: never, maxBytes: 10 * MIB })).equals(content),
    'small blobs by themselves',
  );
  good.misbehave(misbehaviours.changes(good, '/blobs/', (bytes) => Buffer.alloc(bytes.length, 'y')));
  await download({ repository, blob });
  t.equal(repository.distrustMirrors(blob.digest), true);
  t.equal(repository.distrustMirrors(blob.digest), false, 'nobody is left to blame');
});

t.test('waits between tries are told', async (t) => {
  const { registry, repository, blob } = await setUp(t);
  const told: string[] = [];
  const options = (what: string) => ({ signal: never, onWait: (seconds: number) => told.push(`${what} ${seconds}`) });
  registry.misbehave(misbehaviours.failsFirst(1, 503, { 'retry-after': '1' }));
  for await (const _ of repository.openBlob(blob, options('pull')));
  registry.misbehave(misbehaviours.failsFirst(1, 503, { 'retry-after': '1' }));
  await repository.uploadBlob(source(Buffer.from('x')), options('push'));
  t.strictSame(told, ['pull 1', 'push 1']);
});
