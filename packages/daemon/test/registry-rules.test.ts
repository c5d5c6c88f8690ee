import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readHostCertificates, secureContext } from '../src/images/registry/certificates.ts';
import { parseChallenges } from '../src/images/registry/challenges.ts';
import type { Lookup } from '../src/images/registry/host-addresses.ts';
import { createHostTrust } from '../src/images/registry/host-trust.ts';
import { proxyRules } from '../src/images/registry/proxy-rules.ts';
import {
  domainOfServerAddress,
  isThisHost,
  parseInsecureRegistries,
  parseMirror,
  registryHost,
} from '../src/images/registry/registry-hosts.ts';
import { readRetryAfter } from '../src/images/registry/response-error.ts';

t.test('WWW-Authenticate in all its forms', async (t) => {
  const read = (...headers: string[]): [string, Record<string, string>][] =>
    parseChallenges(headers).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
  const cases: [string, string[], [string, Record<string, string>][]][] = [
    [
      'a token server',
      [
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
      ],
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:library/alpine:pull',
          },
        ],
      ],
    ],
    ['any case and blanks', ['BEARER Realm = "r" ,\tSERVICE = s'], [['bearer', { realm: 'r', service: 's' }]]],
    [
      'a comma in quotes',
      ['Bearer scope="repository:x:pull,push",realm="r"'],
      [['bearer', { scope: 'repository:x:pull,push', realm: 'r' }]],
    ],
    ['escapes', ['Basic realm="a \\"b\\" \\\\ c"'], [['basic', { realm: 'a "b" \\ c' }]]],
    [
      'bare values',
      ['Bearer realm=https://auth/token?a=b,service=x'],
      [['bearer', { realm: 'https://auth/token?a=b', service: 'x' }]],
    ],
    [
      'several in one header',
      ['Basic realm="a", Bearer realm="b",service="c", Negotiate'],
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', service: 'c' }],
        ['negotiate', {}],
      ],
    ],
    [
      'several headers',
      ['Negotiate', 'Basic realm="a"'],
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      'an opaque token',
      ['Negotiate YII=, Basic realm="a"'],
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    ['no commas between parameters', ['Bearer realm="r" service="s"'], [['bearer', { realm: 'r', service: 's' }]]],
    ['a scheme alone', ['Basic'], [['basic', {}]]],
    ['an empty value', ['Bearer realm="",service=""'], [['bearer', { realm: '', service: '' }]]],
    ['a quote that never ends', ['Bearer realm="r'], [['bearer', { realm: 'r' }]]],
    ['the first of two equal names counts', ['Bearer realm="a",realm="b"'], [['bearer', { realm: 'a' }]]],
    ['nothing', ['', ' , '], []],
    ['garbage', ['=;"x" ="", @'], [['x', {}]]],
  ];
  for (const [name, headers, expected] of cases) t.strictSame(read(...headers), expected, name);
  const many = Array.from({ length: 1000 }, (_, index) => `S${index} p="1"`).join(', ');
  t.equal(read(many).length, 16, 'bounded');
  const before = performance.now();
  read('"'.repeat(60_000), 'a="\\'.repeat(15_000), 'a '.repeat(30_000), ' '.repeat(60_000), '='.repeat(60_000));
  t.ok(performance.now() - before < 2000, 'hostile headers take no time');
});

t.test('hosts', async (t) => {
  t.equal(registryHost('docker.io'), 'registry-1.docker.io');
  t.equal(registryHost('localhost:5000'), 'localhost:5000');
  for (const [address, domain] of [
    ['', 'docker.io'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['https://localhost:5000/v2/', 'localhost:5000'],
    ['http://[::1]:5000', '[::1]:5000'],
    ['ghcr.io', 'ghcr.io'],
  ] as const) {
    t.equal(domainOfServerAddress(address), domain, address);
  }
  for (const address of ['user:secret@host', 'a b', 'host:port', '@']) {
    t.throws(() => domainOfServerAddress(address), { code: 'bad_parameter' }, address);
  }
  const insecure = parseInsecureRegistries(['10.1.0.0/16', 'fd00::/8', 'Registry.lan:5000', 'all.lan']);
  for (const host of [
    'localhost',
    'localhost:5000',
    '127.9.9.9:1',
    '[::1]:5000',
    '10.1.2.3:443',
    '[fd00::5]',
    'registry.lan:5000',
    'ALL.lan',
  ]) {
    t.ok(insecure.includes(host), host);
  }
  for (const host of [
    'registry.lan',
    'registry.lan:5001',
    'all.lan:77',
    '10.2.0.1',
    'example.com',
    'localhost.example.com',
    '127.0.0.1.example.com',
  ]) {
    t.notOk(insecure.includes(host), host);
  }
  for (const host of [
    '127.9.9.9:1',
    '0.0.0.0',
    '[::]:80',
    '[::1]',
    '[::ffff:127.0.0.1]',
    'LOCALHOST.',
    'a.localhost:5',
  ]) {
    t.ok(isThisHost(host), host);
  }
  for (const host of ['10.0.0.1', 'localhost.example.com', '[fd00::1]:80', 'example.com.']) {
    t.notOk(isThisHost(host), host);
  }
  t.equal(parseMirror('https://mirror/hub').href, 'https://mirror/hub/');
});

t.test('names that lead to networks', async (t) => {
  const never = new AbortController().signal;
  const asked: string[] = [];
  const known: Record<string, string[]> = { 'reg.lan': ['192.0.2.1', '10.1.2.3'], 'self.lan': ['127.0.0.1'] };
  const lookup: Lookup = async (name) => {
    asked.push(name);
    if (name === 'slow.lan') return new Promise<never>(() => undefined);
    if (known[name] === undefined) throw new Error('ENOTFOUND');
    return known[name].map((address) => ({ address, family: 4 }));
  };
  const insecure = parseInsecureRegistries(['10.0.0.0/8', 'named.lan']);
  const trust = createHostTrust(insecure, proxyRules({ HTTPS_PROXY: 'proxy', NO_PROXY: '.lan' }), lookup);
  const isInsecure = (host: string): Promise<boolean> => trust.isInsecure(host, never);
  t.equal(await isInsecure('reg.lan:5000'), true, 'as dockerd has it');
  t.equal(await isInsecure('reg.lan'), true);
  t.strictSame(asked, ['reg.lan'], 'looked up once');
  t.equal(await isInsecure('self.lan:5000'), true, 'loopback too');
  t.equal(await isInsecure('gone.lan:5000'), false);
  t.equal(await isInsecure('10.7.7.7:5000'), true);
  t.equal(await isInsecure('named.lan'), true);
  t.equal(await isInsecure('named.lan:5000'), false, 'a name without a port is that name alone');
  asked.length = 0;
  t.equal(await isInsecure('elsewhere.example'), false);
  t.strictSame(asked, [], 'what a proxy looks up is not looked up here');
  const abort = new AbortController();
  const reason = new Error('the client is gone');
  setImmediate(() => abort.abort(reason));
  await t.rejects(trust.isInsecure('slow.lan', abort.signal), reason, 'nobody waits for a name for ever');
  t.equal(await trust.isThisHost('self.lan:80', never), true);
  t.equal(await trust.isThisHost('reg.lan', never), false);

  const connectTo = (host: string, isInsecure: boolean, mayBeThisHost: boolean): Promise<unknown> =>
    new Promise((done, fail) =>
      trust.lookupFor(host, { isInsecure, mayBeThisHost })(host, { all: true }, (error, found) =>
        error === null ? done(found) : fail(error),
      ),
    );
  t.strictSame(await connectTo('reg.lan', true, true), [{ address: '10.1.2.3', family: 4 }], 'in the network only');
  t.match(await connectTo('reg.lan', false, false), { length: 2 });
  await t.rejects(connectTo('self.lan', false, false), { code: 'bad_parameter' });
  known['reg.lan'] = ['192.0.2.1'];
  await t.rejects(connectTo('reg.lan', true, true), { code: 'bad_parameter' }, 'it has moved out of the network');
});

t.test('proxies', async (t) => {
  const rules = proxyRules({
    HTTP_PROXY: 'http://upper:1',
    http_proxy: 'proxy:3128',
    HTTPS_PROXY: 'http://u:p@secure:8080',
    NO_PROXY: 'direct.example, .sub.example,*.star.example,10.0.0.0/8,ported.example:5000,192.168.7.7, [::ffff:1]',
  });
  const via = (url: string): string | undefined => rules(new URL(url))?.host;
  t.equal(via('http://example.com/'), 'proxy:3128', 'lower case wins; http is the default');
  t.equal(via('https://example.com/'), 'secure:8080');
  for (const url of [
    'https://direct.example',
    'https://a.direct.example',
    'https://a.sub.example',
    'https://a.star.example',
    'https://10.9.9.9',
    'https://ported.example:5000',
    'http://192.168.7.7',
    'http://localhost:5000',
    'https://127.0.0.3',
    'http://[::1]:5000',
  ]) {
    t.equal(via(url), undefined, url);
  }
  for (const url of [
    'https://notdirect.example',
    'https://sub.example',
    'https://ported.example',
    'https://11.0.0.1',
  ]) {
    t.equal(via(url), 'secure:8080', url);
  }
  t.equal(proxyRules({ https_proxy: 'http://p', no_proxy: '*' })(new URL('https://x')), null);
  t.equal(proxyRules({})(new URL('https://x')), null);
  t.throws(() => proxyRules({ HTTPS_PROXY: 'ftp://user:secret@x' }), {
    code: 'bad_parameter',
    message: /^HTTPS_PROXY: (?!.*secret)/,
  });
});

t.test('Retry-After', async (t) => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  t.equal(readRetryAfter('7', now), 7000);
  t.equal(readRetryAfter('Thu, 01 Jan 2026 00:00:05 GMT', now), 5000);
  t.equal(readRetryAfter('Wed, 31 Dec 2025 23:59:00 GMT', now), 0, 'a date that is past');
  for (const header of [undefined, '', 'soon', '-1', '99999999999999'])
    t.equal(readRetryAfter(header, now), null, String(header));
});

t.test('certificates of a host', async (t) => {
  const directory = t.testdir({});
  const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-noenc',
    '-keyout',
    'k.pem',
    '-out',
    'c.pem',
    '-subj',
    '/CN=x',
    '-days',
    '2',
  );
  const [certificate, key] = ['c.pem', 'k.pem'].map((name) => readFileSync(join(directory, name), 'utf8'));
  const folder = (name: string, files: Record<string, string | undefined>): string => {
    const parent = join(directory, name);
    mkdirSync(join(parent, 'host:5000'), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(parent, 'host:5000', file), text ?? '');
    return parent;
  };
  const whole = folder('whole', { 'ca.crt': certificate, 'client.cert': certificate, 'client.key': key, README: 'x' });
  const docker = folder('docker', { 'other.crt': certificate });
  const read = readHostCertificates([whole, docker, join(directory, 'none')], 'host:5000');
  t.equal(read.authorities.length, 2, 'of both folders');
  t.strictSame(read.clients, [{ certificate, key }]);
  t.ok(secureContext({}, read.authorities, read.clients));
  t.strictSame(readHostCertificates([whole], 'other:5000'), { authorities: [], clients: [] });
  t.throws(() => readHostCertificates([folder('keyless', { 'a.cert': certificate })], 'host:5000'), {
    message: /missing key a.key for client certificate .*CA certificates must use the extension .crt/,
  });
  t.throws(() => readHostCertificates([folder('certless', { 'a.key': key })], 'host:5000'), {
    message: /missing client certificate a.cert for key/,
  });
  t.throws(() => secureContext({}, [], [{ certificate: 'x', key: 'y' }]), {
    code: 'bad_parameter',
    message: /cannot be used/,
  });
});
