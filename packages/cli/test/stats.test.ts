/** stats against a scripted daemon; the docker client is the measure where it is there. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import type { ContainerStats } from '@tsd/shared/api-container-stats';
import t from 'tap';
import { screenText } from '../src/output/screen-text.ts';
import { statsFigures } from '../src/output/stats-figures.ts';
import { answerJson, type Handler, startFakeDaemon } from './support/fake-daemon.ts';
import { runOnTerminal, TSDCTL_COMMAND } from './support/run-on-terminal.ts';
import { runInProcess, startTsdctl } from './support/run-tsdctl.ts';

const DOCKER = '/usr/local/bin/docker';

const cpu = (totalNs: number, systemNs: number): object => ({
  cpu_usage: { total_usage: totalNs, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  ...(systemNs === 0 ? {} : { system_cpu_usage: systemNs, online_cpus: 2 }),
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
});
const blkio = (entries: readonly object[] | null): object => ({
  io_service_bytes_recursive: entries,
  io_serviced_recursive: null,
  io_queue_recursive: null,
  io_service_time_recursive: null,
  io_wait_time_recursive: null,
  io_merged_recursive: null,
  io_time_recursive: null,
  sectors_recursive: null,
});
const statsOf = (digit: string, name: string, rest: object): ContainerStats =>
  ({
    read: '2026-01-01T00:00:01Z',
    preread: '2026-01-01T00:00:00Z',
    pids_stats: {},
    blkio_stats: blkio(null),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpu(0, 0),
    precpu_stats: cpu(0, 0),
    memory_stats: {},
    name: `/${name}`,
    id: digit.repeat(64),
    ...rest,
  }) as ContainerStats;
const network = (rx_bytes: number, tx_bytes: number): object => ({
  ...{ rx_bytes, rx_packets: 1, rx_errors: 0, rx_dropped: 0 },
  ...{ tx_bytes, tx_packets: 1, tx_errors: 0, tx_dropped: 0 },
});
const device = (op: string, value: number, minor = 0): object => ({ major: 254, minor, op, value });

const V1 = statsOf('1', 'on-v1', {
  pids_stats: { current: 3, limit: 50 },
  blkio_stats: blkio([device('Read', 4096), device('Write', 8192), device('Sync', 99), device('read', 1000, 16)]),
  cpu_stats: cpu(3_700_000_000, 20_000_000_000),
  precpu_stats: cpu(3_000_000_000, 18_000_000_000),
  memory_stats: {
    usage: 30_000_000,
    stats: { total_inactive_file: 10_000_000, inactive_file: 1, cache: 2 },
    limit: 64 * 1024 * 1024,
  },
  networks: { eth0: network(1234, 56_789_012), eth1: network(1_000_000, 1) },
});
const V2 = statsOf('2', 'on-v2', {
  pids_stats: { current: 12 },
  blkio_stats: blkio([device('read', 123_456_789_012), device('write', 0)]),
  cpu_stats: cpu(1_100_000_000, 20_000_000_000),
  precpu_stats: cpu(1_000_000_000, 18_000_000_000),
  memory_stats: { usage: 5_000_000_000, stats: { inactive_file: 0, anon: 1 }, limit: 8_000_000_000 },
});
/** As at the first object of a stream, and with less memory in use than the kernel says is inactive. */
const FRESH = statsOf('3', 'fresh', {
  pids_stats: { current: 1 },
  cpu_stats: cpu(500_000_000, 1_000_000_000_000),
  memory_stats: { usage: 4096, stats: { total_inactive_file: 8192 }, limit: 1024 ** 3 },
});
const STOPPED = statsOf('4', 'stopped', {});
const ALL = [V1, V2, FRESH, STOPPED];
const RUNNING = [V1, V2, FRESH];

const find = (path: string): ContainerStats | undefined => {
  const reference = path.split('/').at(-2) ?? '';
  return ALL.find(({ id, name }) => id.startsWith(reference) || name === `/${reference}`);
};
const answerStats: Handler = ({ path, query }, response) => {
  const stats = find(path);
  if (stats === undefined)
    return answerJson(response, 404, { message: `No such container: ${path.split('/').at(-2)}` });
  if (query.get('stream') === '0') return answerJson(response, 200, stats);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write(`${JSON.stringify(stats)}\n`);
};
const list: Handler = ({ query }, response) =>
  answerJson(
    response,
    200,
    (query.get('all') === '1' ? ALL : RUNNING).map(({ id, name }) => ({ Id: id, Names: [name] })),
  );
const silentEvents: Handler = (_request, response) => void response.writeHead(200).flushHeaders();

t.test('once, as the docker client shows it', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: {
      'HEAD /_ping': (_request, response) =>
        void response.writeHead(200, { 'api-version': '1.47', ostype: 'linux' }).end(),
      ...Object.fromEntries(
        ['', '/v1.47'].flatMap((version) => [
          [`GET ${version}/containers/json`, list],
          [`GET ${version}/containers/*/stats`, answerStats],
          [`GET ${version}/events`, silentEvents],
        ]),
      ),
    },
  });
  const tsdctl = (...argv: string[]) => runInProcess(['-H', daemon.host, 'stats', '--no-stream', ...argv]);
  t.equal(
    (await tsdctl('-a')).stdout,
    'CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT     MEM %     NET I/O        BLOCK I/O        PIDS\n' +
      '111111111111   on-v1     70.00%    19.07MiB / 64MiB      29.80%    1MB / 56.8MB   5.1kB / 8.19kB   3\n' +
      '222222222222   on-v2     10.00%    4.657GiB / 7.451GiB   62.50%    0B / 0B        123GB / 0B       12\n' +
      '333333333333   fresh     0.10%     4KiB / 1GiB           0.00%     0B / 0B        0B / 0B          1\n' +
      '444444444444   stopped   0.00%     0B / 0B               0.00%     0B / 0B        0B / 0B          0\n',
  );
  t.match(await tsdctl('nobody'), {
    exitCode: 1,
    stderr: 'tsdctl: Error response from daemon: No such container: nobody\n',
  });
  t.match(await tsdctl('nobody', 'on-v1', 'nothing'), {
    exitCode: 1,
    stderr:
      'tsdctl: Error response from daemon: No such container: nobody\n' +
      'Error response from daemon: No such container: nothing\n',
  });
  t.match(await tsdctl('--format', '{{.Nope}}'), { exitCode: 1 });
  if (!existsSync(DOCKER)) return t.comment('no docker client: not compared');
  for (const argv of [
    [],
    ['-a'],
    ['--no-trunc'],
    ['on-v2', 'on-v1', 'on-v2'],
    ['--format', 'json', '-a'],
    ['--format', '{{json .}}', 'on-v1'],
    [
      '--format',
      '{{.Container}} {{.Name}}: {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}',
      'on-v1',
    ],
    ['--format', 'table {{.Container}}\t{{.ID}}\t{{.Name}}\t{{.PIDs}}\t{{.NetIO}}'],
  ]) {
    const docker = await promisify(execFile)(DOCKER, ['-H', daemon.host, 'stats', '--no-stream', ...argv]);
    t.equal((await tsdctl(...argv)).stdout, docker.stdout, `docker stats ${argv.join(' ')}`);
  }
});

t.test('nothing runs', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: { 'GET /containers/json': (_request, response) => answerJson(response, 200, []) },
  });
  t.strictSame(await runInProcess(['-H', daemon.host, 'stats', '--no-stream']), {
    exitCode: 0,
    stdout: '',
    stderr: '',
  });
});

t.test('the arithmetic where numbers are missing', async (t) => {
  const none = statsFigures(STOPPED);
  t.strictSame([...new Set(Object.values(none))], [0]);
  const older = statsOf('5', 'older', {
    cpu_stats: {
      cpu_usage: { total_usage: 200, percpu_usage: [50, 50, 50, 50] },
      system_cpu_usage: 800,
    },
    precpu_stats: { cpu_usage: { total_usage: 0 }, system_cpu_usage: 0 },
  });
  t.equal(statsFigures(older).cpuPercent, 100, 'as many processors as it has counters');
  t.equal(statsFigures({ ...V1, precpu_stats: V1.cpu_stats }).cpuPercent, 0);
});

/** How often a scripted stream says the same again, as a daemon does each second. */
const REPEAT_MS = 300;

/** Containers whose streams and events a test directs. */
async function startScriptedDaemon(t: Parameters<typeof startFakeDaemon>[0], present: readonly ContainerStats[]) {
  const streams = new Map<string, { response: ServerResponse; stats: ContainerStats | null }>();
  let events: ServerResponse | undefined;
  const timer = setInterval(() => {
    for (const { response, stats } of streams.values())
      if (stats !== null) response.write(`${JSON.stringify(stats)}\n`);
  }, REPEAT_MS);
  t.teardown(() => clearInterval(timer));
  const daemon = await startFakeDaemon(t, {
    routes: {
      'GET /containers/json': (_request, response) =>
        answerJson(
          response,
          200,
          present.map(({ id }) => ({ Id: id })),
        ),
      'GET /containers/*/stats': (request, response) => {
        const stats = find(request.path);
        if (request.path.includes('silent')) return void response.writeHead(200).flushHeaders();
        if (stats === undefined) return answerJson(response, 404, { message: 'No such container' });
        streams.set(stats.name.slice(1), { response, stats });
        response.writeHead(200).flushHeaders();
      },
      'GET /events': (_request, response) => {
        events = response;
        response.writeHead(200).flushHeaders();
      },
    },
  });
  return {
    daemon,
    /** From now on, or with null nothing any more. */
    say(name: string, stats: ContainerStats | null): void {
      const stream = streams.get(name);
      if (stream !== undefined) stream.stats = stats;
    },
    end(name: string): void {
      streams.get(name)?.response.end();
      streams.delete(name);
    },
    event: (Action: string, { id }: ContainerStats) =>
      void events?.write(`${JSON.stringify({ Type: 'container', Action, Actor: { ID: id, Attributes: {} } })}\n`),
  };
}

const PRINT_DEADLINE_MS = 20_000;

/** Starts the client and waits for what it prints. */
function follow(t: { teardown(work: () => void): void }, argv: readonly string[]) {
  const child = startTsdctl(argv);
  t.teardown(() => child.kill());
  let unseen = '';
  let wake: () => void = () => undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    unseen += chunk;
    wake();
  });
  child.once('close', () => wake());
  return {
    child,
    closed: once(child, 'close'),
    /** Resolves when it has printed this, and forgets all up to there. */
    async prints(text: string): Promise<void> {
      const timer = setTimeout(() => child.kill(), PRINT_DEADLINE_MS);
      while (!unseen.includes(text)) {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended; unseen: ${unseen}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      clearTimeout(timer);
      unseen = unseen.slice(unseen.indexOf(text) + text.length);
    },
  };
}

t.test('what runs is followed through events', async (t) => {
  const { daemon, say, event, end } = await startScriptedDaemon(t, [V1]);
  const client = follow(t, ['-H', daemon.host, 'stats', '--format', '{{.Name}} {{.PIDs}}']);
  await client.prints('on-v1 3\n');
  event('start', V2);
  await client.prints('on-v1 3\non-v2 12\n');
  say('on-v2', { ...V2, pids_stats: { current: 13 } });
  await client.prints('on-v2 13\n');
  event('die', V1);
  await client.prints('on-v2 13\non-v2 13\n');
  event('start', V1);
  await client.prints('on-v2 13\non-v1 3\n');
  t.equal(daemon.requests.filter(({ path }) => path.endsWith('/stats')).length, 2, 'its stream was still there');
  end('on-v2');
  await client.prints('on-v1 3\non-v1 3\n');
  t.match(JSON.parse(daemon.requests.find(({ path }) => path === '/events')?.query.get('filters') ?? ''), {
    type: { container: true },
    event: { start: true, die: true },
  });
  say('on-v1', null);
  await client.prints('on-v1 --\n');
  const silent = follow(t, ['-H', daemon.host, 'stats', '--format', '{{.Container}} {{.Name}} {{.PIDs}}', 'silent']);
  await silent.prints('silent -- --\n');
  await daemon.stop();
  t.strictSame(await silent.closed, [1, null]);
  t.strictSame(await client.closed, [1, null]);
});

t.test('named containers are followed to their end', async (t) => {
  const { daemon, end } = await startScriptedDaemon(t, []);
  const client = follow(t, ['-H', daemon.host, 'stats', '--format', '{{.Container}}', 'on-v2', '1111']);
  await client.prints('on-v2\n1111\n');
  end('on-v2');
  await client.prints('1111\n1111\n');
  end('on-v1');
  t.strictSame(await client.closed, [0, null]);
  t.match(await runInProcess(['-H', daemon.host, 'stats', 'on-v1', 'nobody']), {
    exitCode: 1,
    stderr: 'tsdctl: Error response from daemon: No such container\n',
  });
});

t.test('on a terminal it is drawn in place', async (t) => {
  const { daemon, end } = await startScriptedDaemon(t, []);
  const command = [...TSDCTL_COMMAND, '-H', daemon.host, 'stats', '--format', '{{.Name}}', 'on-v1'];
  const { exitCode, shown } = await runOnTerminal(command, {
    onShown: (text) => {
      if (text.includes('on-v1')) end('on-v1');
    },
  });
  t.equal(exitCode, 0);
  t.equal(shown.split('\x1b[2J').length, 2, 'cleared once');
  t.match(shown, '\x1b[Hon-v1\x1b[K\r\n\x1b[J');
  t.equal(screenText('a\nb\n', { rows: 3, columns: 80 }), '\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J');
  t.equal(screenText('a\nb\nc\nd\n', { rows: 4, columns: 80 }), '\x1b[Ha\x1b[K\nb\x1b[K\n… 2 more\x1b[K\n\x1b[J');
  t.equal(screenText('abcdef\n', { rows: 4, columns: 4 }), '\x1b[Habc…\x1b[K\n\x1b[J');
  t.equal(screenText('', null), '\x1b[H\x1b[K\n\x1b[J');
});
