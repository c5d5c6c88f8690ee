/** Certificates, proxies, and where HTTP is allowed: a registry behind TLS, reached directly and by name through a proxy. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import t, { type Test } from 'tap';
import { type HostileRegistry, startHostileRegistry } from '../../../test/support/hostile-registry.ts';
import { pipeTo, startProxy } from '../../../test/support/proxy.ts';
import type { Lookup } from '../src/images/registry/host-addresses.ts';
import { createRegistryClient, type RegistryClientSettings } from '../src/images/registry/registry-client.ts';
import type { RegistryClient, RemoteRepository } from '../src/images/registry/remote-repository.ts';

const never = new AbortController().signal;
const directory = t.testdir({});
const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];

function makeAuthority(name: string): void {
  openssl('req', '-x509', ...NEW_KEY, '-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`);
}
makeAuthority('ca');
makeAuthority('other');
for (const name of ['server', 'client']) {
  const extension = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:registry.test,DNS:storage.test'];
  openssl(
    'req',
    '-x509',
    ...NEW_KEY,
    '-CA',
    'ca.crt',
    '-CAkey',
    'ca.key',
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.cert`,
    '-subj',
    `/CN=${name}`,
    ...extension,
  );
}
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

/** A certs.d folder with files for one host, taken from the ones made here. */
function certificatesFor(host: string, files: Record<string, string>): string {
  const folder = join(directory, `certs-${Math.random()}`);
  mkdirSync(join(folder, host), { recursive: true });
  for (const [name, source] of Object.entries(files)) cpSync(join(directory, source), join(folder, host, name));
  return folder;
}

async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const portOf = (registry: HostileRegistry): number => Number(registry.host.split(':')[1]);

interface World {
  readonly plain: HostileRegistry;
  /** Of the TLS server in front of it. */
  readonly tlsPort: number;
  /** Of a proxy that finds every name on loopback. */
  readonly proxyPort: number;
  /** What the proxy was asked: `CONNECT registry.test:5000`. */
  readonly proxied: string[];
}

async function setUp(t: Test, wantsClientCertificate = false): Promise<World> {
  const plain = await startHostileRegistry();
  t.teardown(() => plain.remove());
  plain.publish('app', [Buffer.alloc(512)]);
  const tls = createTlsServer(
    {
      cert: read('server.cert'),
      key: read('server.key'),
      ...(wantsClientCertificate ? { requestCert: true, rejectUnauthorized: true, ca: read('ca.crt') } : {}),
    },
    (socket) => pipeTo(portOf(plain), socket),
  );
  tls.on('tlsClientError', () => undefined);
  const proxy = await startProxy();
  t.teardown(() => proxy.remove());
  return { plain, tlsPort: await listen(t, tls), proxyPort: proxy.port, proxied: proxy.asked };
}

function repository(t: Test, domain: string, settings: Partial<RegistryClientSettings> = {}): RemoteRepository {
  return client(t, settings).repository({ domain, path: 'app' }, null, 'pull');
}

function hub(t: Test, settings: Partial<RegistryClientSettings>): RemoteRepository {
  return client(t, settings).repository({ domain: 'docker.io', path: 'library/alpine' }, null, 'pull');
}

function client(t: Test, settings: Partial<RegistryClientSettings>): RegistryClient {
  const created = createRegistryClient({
    registryMirrors: [],
    insecureRegistries: [],
    // Whatever this host trusts is not the question.
    env: { SSL_CERT_FILE: join(directory, 'other.crt') },
    userAgent: 'tsd/test',
    certificateFolders: [],
    timeouts: { connectMs: 2000, stallMs: 2000 },
    backOff: { attempts: 1, firstDelayMs: 1, maxDelayMs: 1 },
    ...settings,
  });
  t.teardown(() => created.close());
  return created;
}

t.test('loopback: either scheme, and any certificate unless an authority is given', async (t) => {
  const { plain, tlsPort } = await setUp(t);
  const host = `127.0.0.1:${tlsPort}`;
  await t.resolves(repository(t, plain.host).listTags(never), 'HTTP');
  await t.resolves(repository(t, host).listTags(never), 'HTTPS');
  const right = { certificateFolders: [certificatesFor(host, { 'ca.crt': 'ca.crt' })] };
  await t.resolves(repository(t, host, right).listTags(never), 'by the right authority');
  const wrong = { certificateFolders: [certificatesFor(host, { 'ca.crt': 'other.crt' })] };
  await t.rejects(repository(t, host, wrong).listTags(never), {
    code: 'unavailable',
    message: `Get "https://${host}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority (put its CA's certificate at /etc/tsd/certs.d/${host}/ca.crt)`,
  });
});

t.test('a client certificate, where the registry wants one', async (t) => {
  const { tlsPort } = await setUp(t, true);
  const host = `127.0.0.1:${tlsPort}`;
  await t.rejects(repository(t, host).listTags(never), { code: 'unavailable' });
  const files = { 'ca.crt': 'ca.crt', 'client.cert': 'client.cert', 'client.key': 'client.key' };
  await t.resolves(repository(t, host, { certificateFolders: [certificatesFor(host, files)] }).listTags(never));
  const elsewhere = { certificateFolders: [certificatesFor('127.0.0.1:1', files)] };
  await t.rejects(
    repository(t, host, elsewhere).listTags(never),
    { code: 'unavailable' },
    'another host shows its own',
  );
});

t.test('other hosts, through a proxy', async (t) => {
  const { plain, tlsPort, proxyPort, proxied } = await setUp(t);
  const host = `registry.test:${tlsPort}`;
  const env = {
    HTTPS_PROXY: `http://ann:p%40ss@127.0.0.1:${proxyPort}`,
    HTTP_PROXY: `127.0.0.1:${proxyPort}`,
    SSL_CERT_FILE: join(directory, 'other.crt'),
  };
  await t.rejects(repository(t, host, { env }).listTags(never), {
    code: 'unavailable',
    message: /x509: certificate signed by unknown authority/,
  });
  await t.resolves(
    repository(t, host, { env: { ...env, SSL_CERT_FILE: join(directory, 'ca.crt') } }).listTags(never),
    'an authority of the system',
  );
  const password = `Basic ${Buffer.from('ann:p@ss').toString('base64')}`;
  t.strictSame([...new Set(proxied)], [`CONNECT ${host} ${password}`]);
  const certificateFolders = [certificatesFor(host, { 'ca.crt': 'ca.crt' })];
  await t.resolves(repository(t, host, { env, certificateFolders }).listTags(never), "the registry's own authority");
  await t.resolves(
    repository(t, host, { env, insecureRegistries: [host] }).listTags(never),
    'any, by --insecure-registry',
  );

  const plainHost = `registry.test:${portOf(plain)}`;
  await t.rejects(repository(t, plainHost, { env }).listTags(never), {
    code: 'unavailable',
    message:
      /http: server gave HTTP response to HTTPS client \(to allow that, start tsd with --insecure-registry registry.test:/,
  });
  proxied.length = 0;
  await t.resolves(
    repository(t, plainHost, { env, insecureRegistries: [plainHost] }).listTags(never),
    'HTTP, by --insecure-registry',
  );
  t.match(proxied.at(-1), `GET http://${plainHost}/v2/app/tags/list`);

  const dead = { ...env, HTTPS_PROXY: `http://ann:p%40ss@127.0.0.1:1` };
  await t.rejects(repository(t, host, { env: dead }).listTags(never), {
    code: 'unavailable',
    message: /^(?!.*p@ss)(?!.*p%40ss)/,
  });
});

/** A SOCKS5 proxy (RFC 1928, 1929) that finds every name on loopback, and wants a name and a password where one is given. */
function socksProxy(asked: string[], credentials?: string): Server {
  const steps = async (socket: Socket): Promise<void> => {
    const bytes = socket.iterator({ destroyOnReturn: false });
    let pending = Buffer.alloc(0);
    const take = async (count: number): Promise<Buffer> => {
      while (pending.length < count) pending = Buffer.concat([pending, (await bytes.next()).value as Buffer]);
      const taken = pending.subarray(0, count);
      pending = pending.subarray(count);
      return taken;
    };
    const takeText = async (): Promise<string> => (await take((await take(1)).readUInt8())).toString();
    await take((await take(2)).readUInt8(1));
    socket.write(Buffer.from([5, credentials === undefined ? 0 : 2]));
    if (credentials !== undefined) {
      await take(1);
      const isGood = `${await takeText()}:${await takeText()}` === credentials;
      socket.write(Buffer.from([1, isGood ? 0 : 1]));
      if (!isGood) return;
    }
    const [, , , kind] = await take(4);
    if (kind !== 3) return void socket.destroy();
    const name = await takeText();
    const port = (await take(2)).readUInt16BE();
    asked.push(`${name}:${port}`);
    await bytes.return?.();
    socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    pipeTo(port, socket);
  };
  return createNetServer((socket) => void steps(socket).catch(() => socket.destroy()));
}

t.test('other hosts, through a SOCKS5 proxy', async (t) => {
  const { plain, tlsPort } = await setUp(t);
  const asked: string[] = [];
  const open = `socks5://127.0.0.1:${await listen(t, socksProxy(asked))}`;
  const guardedPort = await listen(t, socksProxy(asked, 'ann:p@ss'));
  const secure = `registry.test:${tlsPort}`;
  const plainHost = `registry.test:${portOf(plain)}`;
  const listTags = (host: string, proxy: string, more: Partial<RegistryClientSettings> = {}): Promise<string[]> => {
    const env = { HTTPS_PROXY: proxy, HTTP_PROXY: proxy, SSL_CERT_FILE: join(directory, 'ca.crt') };
    return repository(t, host, { env, ...more }).listTags(never);
  };
  await t.resolves(listTags(secure, open), 'HTTPS');
  t.strictSame(asked, [secure], 'the proxy looks the name up');
  await t.resolves(listTags(plainHost, open, { insecureRegistries: [plainHost] }), 'HTTP');
  await t.resolves(listTags(secure, `socks5://ann:p%40ss@127.0.0.1:${guardedPort}`), 'with a password');
  await t.rejects(listTags(secure, `socks5://ann:wr0ng@127.0.0.1:${guardedPort}`), {
    code: 'unavailable',
    message: /^(?!.*wr0ng)/,
  });
  await t.rejects(listTags(secure, 'socks5://127.0.0.1:1'), { code: 'unavailable', message: /refused/ });
  const silentPort = await listen(t, createNetServer());
  const timeouts = { connectMs: 200, stallMs: 200 };
  await t.rejects(listTags(secure, `socks5://127.0.0.1:${silentPort}`, { timeouts }), { code: 'unavailable' });
});

t.test('a proxy that takes the connection and says nothing', async (t) => {
  const asked: string[] = [];
  let onRequest = (): void => undefined;
  const silent = createNetServer((socket) =>
    socket.on('data', (bytes: Buffer) => {
      asked.push(bytes.toString().split(' HTTP/')[0] ?? '');
      onRequest();
    }),
  );
  const port = await listen(t, silent);
  const env = { HTTPS_PROXY: `127.0.0.1:${port}`, HTTP_PROXY: `127.0.0.1:${port}` };
  const mirrored = (scheme: string, stallMs: number, signal: AbortSignal): Promise<unknown> => {
    const settings = { env, registryMirrors: [`${scheme}://mirror.test/`], timeouts: { connectMs: 500, stallMs } };
    return hub(t, settings).getManifest('latest', signal);
  };
  for (const [scheme, request] of [
    ['https', 'CONNECT mirror.test:443'],
    ['http', 'GET http://mirror.test/v2/library/alpine/manifests/latest'],
  ] as const) {
    asked.length = 0;
    // The mirror is given up, and so is the hub itself, whose scheme is HTTPS.
    await t.rejects(mirrored(scheme, 100, never), { code: 'unavailable', message: /registry-1.*does not answer/ });
    t.equal(asked[0], request);

    const abort = new AbortController();
    const reason = new Error('the client is gone');
    onRequest = () => abort.abort(reason);
    await t.rejects(mirrored(scheme, 3_600_000, abort.signal), reason, `cancelled at once: ${scheme}`);
    onRequest = () => undefined;
  }
});

t.test('limits and patience are the same through a proxy', async (t) => {
  const { plain, proxyPort } = await setUp(t);
  const host = `registry.test:${portOf(plain)}`;
  const settings = {
    env: { HTTP_PROXY: `127.0.0.1:${proxyPort}`, HTTPS_PROXY: `127.0.0.1:${proxyPort}` },
    insecureRegistries: [host],
    timeouts: { connectMs: 2000, stallMs: 200 },
  };
  const sendHeaders = (sizeBytes: number): void =>
    plain.misbehave((_, response) =>
      response.writeHead(200, { 'x-long': 'x'.repeat(sizeBytes) }).end('{"name":"app","tags":["1"]}'),
    );
  sendHeaders(40_000);
  t.strictSame(await repository(t, host, settings).listTags(never), ['1']);
  sendHeaders(100_000);
  await t.rejects(repository(t, host, settings).listTags(never), { message: /headers of the answer are too large/ });
  plain.misbehave((_, response) => response.writeHead(200, { 'content-length': '100' }).write('{'));
  await t.rejects(repository(t, host, settings).listTags(never), { message: /stopped sending/ });
});

t.test('a name that leads to loopback may speak HTTP, as dockerd has it', async (t) => {
  const { plain } = await setUp(t);
  const host = `reg.lan:${portOf(plain)}`;
  let lookups = 0;
  const lookup: Lookup = async () => [{ address: '127.0.0.1', family: 4 }];
  await t.resolves(repository(t, host, { lookup }).listTags(never));
  // What the name meant when it was asked first is not what is connected to.
  const moves: Lookup = async () => [{ address: lookups++ === 0 ? '127.0.0.1' : '192.0.2.1', family: 4 }];
  await t.rejects(repository(t, host, { lookup: moves }).listTags(never), { message: /may not be connected to/ });
});

t.test('a registry that is HTTPS refers to no HTTP, whatever fails beside', async (t) => {
  const { plain, tlsPort } = await setUp(t);
  const registry = repository(t, `127.0.0.1:${tlsPort}`, {
    lookup: async () => Promise.reject(new Error('no such host')),
  });
  const held = Promise.withResolvers<ServerResponse>();
  plain.misbehave((request, response, honest) => {
    if (request.url?.includes('/tags/')) held.resolve(response);
    else if (request.url?.includes('/manifests/')) request.socket.destroy();
    else honest();
  });
  const refused = t.rejects(registry.listTags(never), { message: /which is not encrypted/ });
  const response = await held.promise;
  await t.rejects(registry.getManifest('latest', never), { code: 'unavailable' });
  response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://storage.test/token"' }).end();
  await refused;
});

t.test('from HTTPS to HTTP: not for redirects, not for tokens', async (t) => {
  const { plain, tlsPort, proxyPort, proxied } = await setUp(t);
  const host = `registry.test:${tlsPort}`;
  const settings = {
    env: {
      HTTPS_PROXY: `127.0.0.1:${proxyPort}`,
      HTTP_PROXY: `127.0.0.1:${proxyPort}`,
      SSL_CERT_FILE: join(directory, 'ca.crt'),
    },
  };
  plain.misbehave((_, response) =>
    response.writeHead(307, { location: `http://storage.test:${portOf(plain)}/x` }).end(),
  );
  await t.rejects(repository(t, host, settings).listTags(never), {
    code: 'bad_parameter',
    message: /refers to http:\/\/storage.test:\d+, which is not encrypted/,
  });
  plain.misbehave((_, response) =>
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://storage.test:${portOf(plain)}/token"` }).end(),
  );
  await t.rejects(repository(t, host, settings).listTags(never), {
    code: 'bad_parameter',
    message: /which is not encrypted/,
  });
  const port = portOf(plain);
  for (const target of [plain.host, `0.0.0.0:${port}`, `[::]:${port}`, `localhost.:${port}`, `a.localhost:${port}`]) {
    plain.misbehave((_, response) => response.writeHead(307, { location: `https://${target}/x` }).end());
    await t.rejects(
      repository(t, host, settings).listTags(never),
      { code: 'bad_parameter', message: /refers to https:.*, which is this host/ },
      target,
    );
  }
  // Names that lead here; one only when it is connected to.
  let lookups = 0;
  const lookup: Lookup = async (name) => [
    { address: name === 'late.test' && lookups++ === 0 ? '192.0.2.1' : '127.0.0.1', family: 4 },
  ];
  const env = { ...settings.env, NO_PROXY: 'here.test,late.test' };
  plain.misbehave((_, response) => response.writeHead(307, { location: `https://here.test:${port}/x` }).end());
  await t.rejects(repository(t, host, { env, lookup }).listTags(never), { message: /which is this host/ });
  plain.misbehave((_, response) => response.writeHead(307, { location: `https://late.test:${port}/x` }).end());
  await t.rejects(repository(t, host, { env, lookup }).listTags(never), { message: /may not be connected to/ });
  t.ok(
    proxied.every((line) => line === `CONNECT ${host}`),
    'nobody else was asked',
  );
});
