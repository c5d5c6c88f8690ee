import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_FILTERS } from '@tsd/shared/filters';
import t from 'tap';
import { checkHostConfig } from '../src/containers/check-host-config.ts';
import { parseMountRequests, resolveMounts } from '../src/containers/container-mounts.ts';
import { createContainer } from '../src/containers/create-container.ts';
import { generateContainerName } from '../src/containers/generated-name.ts';
import { normalizeHostConfig } from '../src/containers/host-config.ts';
import { createIdRanges, FIRST_ID_RANGE, ID_RANGE_SIZE } from '../src/containers/id-ranges.ts';
import { createKeyedLock } from '../src/containers/keyed-lock.ts';
import { listContainers } from '../src/containers/list-containers.ts';
import { logDetails } from '../src/containers/log-details.ts';
import { parseLogLimits } from '../src/containers/log-limits.ts';
import { NO_NETWORK, networkFiles } from '../src/containers/network-files.ts';
import { nsOfTimestamp, timestampOfNs } from '../src/containers/timestamp.ts';
import { createWorld } from './container-fakes.ts';

t.test('id ranges: apart, reused late, and an error when there are none', (t) => {
  const ranges = createIdRanges([FIRST_ID_RANGE + ID_RANGE_SIZE]);
  t.equal(ranges.allocate(), FIRST_ID_RANGE + 2 * ID_RANGE_SIZE, 'after the last one in use');
  const second = ranges.allocate();
  ranges.release(second);
  t.equal(ranges.allocate(), second + ID_RANGE_SIZE, 'not the one that was just released');
  const all = createIdRanges([]);
  const seen = new Set<number>();
  for (let count = 0; count < 16_383; count++) seen.add(all.allocate());
  t.equal(seen.size, 16_383);
  t.ok(Math.max(...seen) + ID_RANGE_SIZE <= 0x7fff_ffff);
  t.throws(() => all.allocate(), { code: 'insufficient_storage', message: /--userns=host/ });
  all.release(FIRST_ID_RANGE);
  t.equal(all.allocate(), FIRST_ID_RANGE);
  t.end();
});

t.test('the keyed lock: in order, whatever became of those before, and other keys do not wait', async (t) => {
  const lock = createKeyedLock();
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = lock.run('a', async () => {
    await promise;
    order.push('first');
    throw new Error('failed');
  });
  const second = lock.run('a', async () => {
    order.push('second');
    return 2;
  });
  await lock.run('b', async () => {
    order.push('other');
  });
  resolve();
  await t.rejects(first, /failed/);
  t.equal(await second, 2);
  t.same(order, ['other', 'first', 'second']);
});

t.test('timestamps: nine decimals, there and back', (t) => {
  const ns = 1_795_462_581_000_000_042n;
  t.equal(timestampOfNs(ns), '2026-11-23T19:36:21.000000042Z');
  t.equal(nsOfTimestamp(timestampOfNs(ns)), ns);
  t.end();
});

t.test('generated names avoid those that are taken', (t) => {
  const taken = new Set<string>();
  for (let count = 0; count < 5000; count++) {
    taken.add(generateContainerName((candidate) => taken.has(candidate)));
  }
  t.equal(taken.size, 5000);
  t.match(
    generateContainerName((name) => !/\d/.test(name)),
    /^[a-z]+_[a-z]+\d+$/,
  );
  t.end();
});

t.test('log limits', (t) => {
  const limits = (Config: Record<string, string>, Type = 'json-file') => parseLogLimits({ Type, Config });
  t.same(limits({}), { maxBytes: 50 * 1024 * 1024, maxFiles: 5 });
  t.same(limits({ 'max-size': '10m' }), { maxBytes: 10 * 1024 * 1024, maxFiles: 1 });
  t.same(limits({ 'max-size': '10k', 'max-file': '3', tag: 'x' }, 'local'), { maxBytes: 10 * 1024, maxFiles: 3 });
  t.same(
    limits({ 'max-size': '10m' }, 'local'),
    { maxBytes: 10 * 1024 * 1024, maxFiles: 5 },
    'local has five by default',
  );
  t.equal(limits({}, 'none'), null);
  for (const config of [
    { 'max-size': '1' },
    { 'max-file': '0' },
    { 'max-file': '-1' },
    { color: 'red' },
    { 'env-regex': '(' },
    { tag: '{{.Secret}}' },
    { tag: '{{if}}' },
    { tag: '{{.ID' },
  ]) {
    t.throws(() => limits(config as Record<string, string>), { code: 'bad_parameter' });
  }
  t.end();
});

t.test('details of log lines', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  const details = (Config: Record<string, string>) => {
    const { Id } = createContainer(
      deps,
      {
        Image: 'busybox',
        Cmd: ['echo', 'hi'],
        Labels: { a: 'b', 'com.example/x': 'one two', none: '' },
        Env: ['MODE=a=b&c', 'OTHER=(*)', 'UNSET'],
        HostConfig: { LogConfig: { Type: 'json-file', Config } },
      },
      { name: `web${Object.keys(Config).join('')}` },
    );
    return { text: logDetails(deps.store.lookup(Id)), Id };
  };
  t.equal(details({}).text, '');
  t.equal(details({ labels: 'a,missing' }).text, 'a=b');
  t.equal(details({ 'labels-regex': '^com|no' }).text, 'com.example%2Fx=one+two,none=');
  t.equal(details({ env: 'MODE,UNSET', labels: 'a' }).text, 'MODE=a%3Db%26c,a=b', 'sorted by bytes');
  t.equal(details({ 'env-regex': 'OTH' }).text, 'OTHER=%28%2A%29');
  const { text, Id } = details({ tag: '{{.Name}}/{{ .ID }}/{{.ImageName}}/{{.Command}}' });
  t.equal(text, `tag=webtag%2F${Id.slice(0, 12)}%2Fbusybox%2Fecho+hi`);
});

t.test('hosts, hostname and resolv.conf', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  const host = (path: string) =>
    path === '/etc/hosts'
      ? '127.0.0.1 localhost\n10.0.0.1 server\n'
      : 'nameserver 10.0.0.53\nsearch lan\noptions ndots:2\n';
  const filesOf = (HostConfig: object) =>
    networkFiles(
      deps.store.lookup(createContainer(deps, { Image: 'busybox', Hostname: 'web', HostConfig }).Id),
      NO_NETWORK,
      host,
    );
  const none = filesOf({ NetworkMode: 'none', ExtraHosts: ['db:10.1.1.1', 'six=[::2]'] });
  t.match(none.hosts, /^127\.0\.0\.1\tlocalhost\n/);
  t.match(none.hosts, /\n10\.1\.1\.1\tdb\n::2\tsix\n$/);
  t.notMatch(none.hosts, /server/);
  t.equal(none.hostname, 'web\n');
  t.equal(none.resolvConf, host('/etc/resolv.conf'));
  t.match(filesOf({ NetworkMode: 'host' }).hosts, /10\.0\.0\.1 server/);
  t.equal(
    filesOf({ NetworkMode: 'host', Dns: ['1.1.1.1'], DnsSearch: ['.'] }).resolvConf,
    'nameserver 1.1.1.1\noptions ndots:2\n',
  );
});

t.test('mounts: parsed, and looked up on the host', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsd-mounts-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'file'), '');
  const requests = parseMountRequests(
    normalizeHostConfig({
      Binds: [`${directory}/new:/a`, `${directory}/file:/b/:ro`],
      Mounts: [
        { Type: 'bind', Source: directory, Target: '/c', ReadOnly: true, BindOptions: { NonRecursive: true } },
        { Type: 'tmpfs', Target: '/d', TmpfsOptions: { SizeBytes: 4096, Mode: 0o700 } },
      ],
    }),
  );
  t.match(resolveMounts(requests), [
    { type: 'bind', target: '/a', directory: true, readOnly: false, recursive: true, propagation: 'rprivate' },
    { type: 'bind', target: '/b', directory: false, readOnly: true },
    { type: 'bind', target: '/c', directory: true, readOnly: true, recursive: false },
    { type: 'tmpfs', target: '/d', sizeBytes: 4096, mode: 0o700 },
  ]);
  t.end();
});

t.test('Docker warns of what is discarded', (t) => {
  const warnings = (host: object) => checkHostConfig(normalizeHostConfig(host), 4);
  t.same(warnings({ NetworkMode: 'none' }), []);
  t.match(warnings({ NetworkMode: 'host', PortBindings: { '80/tcp': [{ HostPort: '80' }] } }), [
    /Published ports are discarded/,
  ]);
  t.same(warnings({}), []);
  t.same(warnings({ NetworkMode: 'none', OomKillDisable: true }), [], 'the plan tells of it, once');
  t.throws(() => warnings({ Dns: ['1.1.1.1\nsearch x'] }), { message: /HostConfig.Dns/ });
  t.throws(() => warnings({ DnsSearch: ['a b'] }), { message: /HostConfig.DnsSearch/ });
  t.throws(() => warnings({ NanoCpus: 4_000_000_001 }), { message: /there are only 4 CPUs available/ });
  t.end();
});

t.test('a thousand containers are listed within 100 ms', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  for (let count = 0; count < 1000; count++) {
    createContainer(deps, {
      Image: 'busybox',
      Labels: { count: String(count) },
      HostConfig: { Binds: ['/tmp:/data'] },
    });
  }
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const startMs = performance.now();
    const list = await listContainers(deps, { all: true, limit: 0, size: false, filters: NO_FILTERS });
    JSON.stringify(list);
    fastestMs = Math.min(fastestMs, performance.now() - startMs);
    t.equal(list.length, 1000);
  }
  t.ok(fastestMs < 100, `${fastestMs.toFixed(1)} ms`);
});
