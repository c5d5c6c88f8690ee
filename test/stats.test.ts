/** stats: what both clients show of real containers, and how streams begin and end. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { ContainerStats } from '@tsd/shared/api-container-stats';
import t from 'tap';
import { type CommandLine, TSDCTL } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { isUnified } from './support/host-process.ts';

t.setTimeout(180_000);
// Each run of the tests has address pools of its own: daemons do not see what others are about to take.
const pool = process.pid % 100;
const daemon = await startDaemon({
  args: ['--bip', `10.${100 + pool}.255.1/24`, '--default-address-pool', `base=10.${100 + pool}.0.0/16,size=24`],
});
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;
const hasDocker = spawnSync('docker', ['--version']).status === 0;
const clients: readonly [string, CommandLine][] = [
  ['tsdctl', tsdctl],
  ...(hasDocker ? ([['docker', daemon.docker]] as [string, CommandLine][]) : []),
];
if (!hasDocker) t.comment('no docker client: not compared');

const run = (...args: string[]): Promise<string> => tsdctl.output('run', '-d', ...args);
const sleeping = (name: string, ...flags: string[]): Promise<string> =>
  run('--name', name, ...flags, 'busybox', 'sleep', '1000');
async function statsOf(container: string, query = 'stream=0&one-shot=1'): Promise<ContainerStats> {
  const answer = await daemon.api.request('GET', `/containers/${container}/stats?${query}`);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json<ContainerStats>();
}

/** A stream of stats, an object at a time; null at its end. */
async function openStats(container: string) {
  const answer: IncomingMessage = await daemon.api.stream('GET', `/containers/${container}/stats`);
  const lines = (async function* () {
    let pending = '';
    for await (const chunk of answer) {
      const parts = `${pending}${chunk}`.split('\n');
      pending = parts.pop() ?? '';
      for (const line of parts) yield JSON.parse(line) as ContainerStats;
    }
  })();
  return { answer, next: async (): Promise<ContainerStats | null> => (await lines.next()).value ?? null };
}

t.test('once, with both clients', async (t) => {
  await sleeping('limited', '--memory', '64M', '--pids-limit', '50', '--network', 'none');
  const busy = ['busybox', 'sh', '-c', 'while :; do :; done'];
  await run('--name', 'busy', '--cpus', '0.25', '--network', 'none', ...busy);
  await tsdctl.output('create', '--name', 'made', 'busybox', 'true');
  for (const [client, command] of clients) {
    const [head, ...rows] = (await command.output('stats', '--no-stream')).split('\n');
    t.match(head, /^CONTAINER ID {3}NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS$/, client);
    t.strictSame(rows.map((row) => row.split(/ +/)[1]).sort(), ['busy', 'limited'], client);
    const limited = rows.find((row) => row.includes('limited'));
    t.match(
      limited,
      /^[0-9a-f]{12} +limited +\d\.\d\d% +[\d.]+[KM]iB \/ 64MiB +\d\.\d\d% +0B \/ 0B +.* \/ .*B +1$/,
      client,
    );
    const json = await command.output('stats', '--no-stream', '--format', '{{json .}}', 'busy', 'made');
    const [one, made] = json.split('\n').map((line) => JSON.parse(line) as Record<string, string>);
    t.strictSame(
      Object.keys(one ?? {}),
      ['BlockIO', 'CPUPerc', 'Container', 'ID', 'MemPerc', 'MemUsage', 'Name', 'NetIO', 'PIDs'],
      client,
    );
    const percent = Number.parseFloat(one?.['CPUPerc'] ?? '');
    t.ok(percent > 0 && percent < 35, `${client}: a quarter of a processor: ${percent}`);
    t.match(made, { Name: 'made', CPUPerc: '0.00%', MemUsage: '0B / 0B', PIDs: '0' }, client);
    t.match(await command('stats', '--no-stream', 'nobody'), { code: 1, stderr: /No such container: nobody/ }, client);
    t.equal((await command.output('stats', '--no-stream', '-a')).split('\n').length, 4, client);
  }
  const limited = await statsOf('limited');
  t.match(limited, {
    pids_stats: { current: 1, limit: 50 },
    memory_stats: { limit: 64 * 1024 * 1024 },
    name: '/limited',
  });
  t.notOk('networks' in limited);
  t.ok(limited.memory_stats.usage);
  t.ok((isUnified('memory') ? 'inactive_file' : 'total_inactive_file') in (limited.memory_stats.stats ?? {}));
  const busyStats = await statsOf('busy', 'stream=0');
  t.ok(busyStats.cpu_stats.throttling_data.throttled_periods > 0, 'it had to stop for its quota');
  t.ok(busyStats.precpu_stats.cpu_usage.total_usage > 0);
  t.match(await daemon.api.request('GET', '/containers/busy/stats?one-shot=1'), { status: 400 });
  await tsdctl.output('rm', '-f', 'limited', 'busy', 'made');
});

t.test('what crosses the network is counted where it is', async (t) => {
  await tsdctl.output('network', 'create', 'app');
  const serve = 'dd if=/dev/zero of=/blob bs=1M count=2 2>/dev/null; echo ready; httpd -f -h /';
  await run('--name', 'web', '--network', 'app', 'busybox', 'sh', '-c', serve);
  await eventually(async () => (await tsdctl.output('logs', 'web')) === 'ready', { what: 'the server' });
  await sleeping('beside', '--network', 'container:web');
  await sleeping('hosted', '--network', 'host');
  await sleeping('host-beside', '--network', 'container:hosted');
  const before = (await statsOf('web')).networks?.['eth0'];
  // The server listens a moment after it said so.
  const get = ['busybox', 'sh', '-c', 'until wget -q -O /dev/null http://web/blob; do sleep 0.1; done'];
  await tsdctl.output('run', '--rm', '--network', 'app', ...get);
  const { networks } = await statsOf('web');
  const after = networks?.['eth0'];
  t.strictSame(Object.keys(networks ?? {}), ['eth0']);
  t.ok((after?.tx_bytes ?? 0) - (before?.tx_bytes ?? 0) > 2_000_000, `sent: ${after?.tx_bytes}`);
  t.ok((after?.rx_bytes ?? 0) > (before?.rx_bytes ?? 0), 'received');
  t.ok(((await statsOf('beside')).networks?.['eth0']?.tx_bytes ?? 0) >= (after?.tx_bytes ?? 0), 'container:web');
  t.notOk('networks' in (await statsOf('hosted')), 'host');
  t.notOk('networks' in (await statsOf('host-beside')), 'container: of one on the host');
  for (const [client, command] of clients)
    t.match(
      await command.output('stats', '--no-stream', '--format', '{{.NetIO}}', 'web'),
      /^[\d.]+kB \/ 2\.[1-9]\d?MB$/,
      client,
    );
  await tsdctl.output('rm', '-f', 'web', 'beside', 'hosted', 'host-beside');
  await tsdctl.output('network', 'rm', 'app');
});

t.test('a stream goes on over starts and stops, until the container is removed', async (t) => {
  await tsdctl.output(
    'create',
    '--name',
    'later',
    '--network',
    'none',
    '--stop-timeout',
    '0',
    'busybox',
    'sleep',
    '1000',
  );
  const stream = await openStats('later');
  const until = async (condition: (stats: ContainerStats | null) => boolean): Promise<ContainerStats | null> => {
    for (;;) {
      const stats = await stream.next();
      if (stats === null || condition(stats)) return stats;
    }
  };
  t.match(await stream.next(), { read: '0001-01-01T00:00:00Z', pids_stats: {}, memory_stats: {}, name: '/later' });
  await tsdctl.output('start', 'later');
  const first = await until((stats) => stats?.pids_stats.current === 1);
  t.equal(first?.preread, '0001-01-01T00:00:00Z', 'there is nothing before the first');
  const second = await stream.next();
  t.equal(second?.preread, first?.read);
  t.strictSame(second?.precpu_stats, first?.cpu_stats);
  const passedMs = Date.parse(second?.read ?? '') - Date.parse(first?.read ?? '');
  t.ok(passedMs > 800 && passedMs < 10_000, `a second later: ${passedMs} ms`);
  await tsdctl.output('rename', 'later', 'renamed');
  await tsdctl.output('stop', 'renamed');
  t.match(await until((stats) => stats?.pids_stats.current === undefined), { name: '/renamed' });
  await tsdctl.output('rm', 'renamed');
  t.equal(await until(() => false), null, 'the end');
});

t.test('tsdctl follows what runs, and ends with the containers that it was asked for', async (t) => {
  const follow = (...args: string[]) => {
    const child = spawn(TSDCTL, [
      '-H',
      `unix://${daemon.socketPath}`,
      'stats',
      '--format',
      '{{.Name}} {{.PIDs}}',
      ...args,
    ]);
    t.teardown(() => child.kill());
    const seen = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].on('data', (chunk: Buffer) => {
        seen[name] += chunk;
      });
    return { seen, closed: once(child, 'close') };
  };
  const shows = (of: ReturnType<typeof follow>, text: string): Promise<unknown> =>
    eventually(() => of.seen.stdout.includes(text), { what: `${text} in ${JSON.stringify(of.seen)}` });
  await sleeping('one', '--network', 'none');
  await sleeping('two', '--network', 'none');
  const named = follow('one', 'two');
  const everything = follow();
  await shows(named, 'one 1\ntwo 1\n');
  await shows(everything, 'two 1\none 1\n');
  await sleeping('three', '--network', 'none');
  await shows(everything, 'two 1\none 1\nthree 1\n');
  await tsdctl.output('rm', '-f', 'one', 'two');
  t.strictSame(await named.closed, [0, null]);
  everything.seen.stdout = '';
  await shows(everything, 'three 1\nthree 1\n');
  t.notMatch(everything.seen.stdout, /one|two/);
  await daemon.shutDown();
  t.strictSame(await everything.closed, [1, null]);
  t.match(everything.seen.stderr, /the connection to the tsd daemon .* was lost/);
  await daemon.start();
  await tsdctl.output('rm', '-f', 'three');
});

t.test('nothing is left behind by clients that go', async (t) => {
  await sleeping('long', '--network', 'none');
  const descriptors = (): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
  await statsOf('long', 'stream=0');
  const before = descriptors();
  const streams = await Promise.all(Array.from({ length: 50 }, () => openStats('long')));
  for (const { next } of streams) t.ok(await next());
  for (const { answer } of streams) {
    const closed = once(answer, 'close');
    answer.destroy();
    await closed;
  }
  await eventually(() => descriptors() <= before, { what: `${before} descriptors again` });
  await tsdctl.output('rm', '-f', 'long');
});
