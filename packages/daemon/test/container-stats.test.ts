/** stats: what is read of cgroups of both versions, Docker's shape of it, and who reads when. */
import type { ContainerStats } from '@tsd/shared/api-container-stats';
import t from 'tap';
import type { ContainerDeps } from '../src/containers/container-deps.ts';
import { containerStats, type StatsSample } from '../src/containers/container-stats.ts';
import { createContainer } from '../src/containers/create-container.ts';
import { killContainer } from '../src/containers/kill-container.ts';
import { removeContainer } from '../src/containers/remove-container.ts';
import { renameContainer } from '../src/containers/rename-container.ts';
import { startContainer } from '../src/containers/start-container.ts';
import { createStatsCollector, type StatsUpdate, type StatsWatcher } from '../src/containers/stats-collector.ts';
import { type CgroupCounters, NO_COUNTERS } from '../src/os/cgroup-counters.ts';
import { v1Counters } from '../src/os/cgroup-v1-counters.ts';
import { v2Counters } from '../src/os/cgroup-v2-counters.ts';
import { parseLinkCounters } from '../src/os/link-counters.ts';
import { parseSystemCpu, readSystemCpu } from '../src/os/system-cpu.ts';
import { V1_CAPTURE, V2_CAPTURE } from './cgroup-captures.ts';
import { createWorld, until } from './container-fakes.ts';

const onV1 = (files: ReadonlyMap<string, string>): CgroupCounters =>
  v1Counters((_tree, file) => files.get(file) ?? null);
const onV2 = (files: ReadonlyMap<string, string>): CgroupCounters => v2Counters((file) => files.get(file) ?? null);

t.test('the counters of cgroup version 1', async (t) => {
  const { cpu, memory, pids, io } = onV1(V1_CAPTURE);
  t.strictSame(cpu, {
    totalNs: 1_568_947 + 944_244_579,
    perCpuNs: [1_568_947, 944_244_579],
    userNs: 940_000_000,
    systemNs: 0,
    periods: 26,
    throttledPeriods: 3,
    throttledNs: 123_456_789,
  });
  t.match(memory, { usageBytes: 5251072, maxUsageBytes: 6463488, limitBytes: 67108864, failures: 0 });
  t.match(memory?.stats, { total_inactive_file: 3940352, cache: 4890624, hierarchical_memory_limit: 67108864 });
  t.strictSame(pids, { current: 1, limit: 50 });
  t.strictSame(io, { bytes: [], operations: [] }, 'nobody counts');
  t.equal(onV1(new Map([...V1_CAPTURE, ['pids.max', 'max\n']])).pids?.limit, null);
  t.strictSame(onV1(new Map()), NO_COUNTERS, 'no controllers');
});

t.test('block devices on version 1: whoever counts', async (t) => {
  // The form of the kernel's documentation, blkio-controller.rst.
  const bytes =
    '8:16 Read 4096\n8:16 Write 8192\n8:16 Sync 12288\n8:16 Async 0\n8:16 Discard 0\n8:16 Total 12288\nTotal 12288\n';
  const operations = '8:16 Read 1\n8:16 Write 2\nTotal 3\n';
  const entry = (operation: string, value: number) => ({ major: 8, minor: 16, operation, value });
  for (const [policy, other] of [
    ['throttle', 'bfq'],
    ['bfq', 'throttle'],
  ] as const) {
    const { io } = onV1(
      new Map([
        [`blkio.${policy}.io_service_bytes_recursive`, bytes],
        [`blkio.${policy}.io_serviced_recursive`, operations],
        [`blkio.${other}.io_service_bytes_recursive`, 'Total 0\n'],
      ]),
    );
    t.strictSame(io?.bytes.slice(0, 2), [entry('read', 4096), entry('write', 8192)], policy);
    t.strictSame(io?.operations, [entry('read', 1), entry('write', 2)], policy);
  }
});

t.test('the counters of cgroup version 2', async (t) => {
  const { cpu, memory, pids, io } = onV2(V2_CAPTURE);
  t.strictSame(cpu, {
    totalNs: 6_623_614_000,
    perCpuNs: null,
    userNs: 5_873_771_000,
    systemNs: 749_843_000,
    periods: 132,
    throttledPeriods: 129,
    throttledNs: 5_776_855_000,
  });
  t.match(memory, { usageBytes: 3432448, maxUsageBytes: null, limitBytes: 67108864, failures: 0 });
  t.match(memory?.stats, { inactive_file: 3145728, anon: 61440, kernel: 225280 });
  t.strictSame(pids, { current: 1, limit: 50 });
  const disk = { major: 254, minor: 0 };
  t.strictSame(io, {
    bytes: [
      { ...disk, operation: 'read', value: 0 },
      { ...disk, operation: 'write', value: 3145728 },
    ],
    operations: null,
  });
  t.strictSame(onV2(new Map()), NO_COUNTERS, 'no controllers');
  const unlimited = onV2(
    new Map([...V2_CAPTURE, ['memory.max', 'max\n'], ['pids.max', 'max\n'], ['io.stat', '7:0 \n']]),
  );
  t.equal(unlimited.memory?.limitBytes, null);
  t.equal(unlimited.pids?.limit, null);
  t.strictSame(unlimited.io?.bytes, []);
});

t.test('the processor time of the host', async (t) => {
  const text =
    'cpu  106515 3507 53400 146761 1594 7 6113 243 11 0\ncpu0 53197 1861 25888 74822 327 0 2833 112 0 0\n' +
    'cpu1 53317 1646 27512 71938 1266 0 3279 131 0 0\nintr 1 2 3\ncpufreq 1\n';
  const ticks = 106515 + 3507 + 53400 + 146761 + 1594 + 7 + 6113;
  t.strictSame(parseSystemCpu(text), { totalNs: ticks * 10_000_000, onlineCpus: 2 });
  t.ok(readSystemCpu().totalNs > 0 && readSystemCpu().onlineCpus > 0);
});

const subject = { id: 'a'.repeat(64), name: 'web' };
const HOST_MEMORY = 8 * 1024 ** 3;
const sample = (readAt: string, cgroups: CgroupCounters, links: StatsSample['links'] = null): StatsSample => ({
  readAt,
  cgroups,
  system: { totalNs: 5_000_000_000, onlineCpus: 2 },
  links,
});
const NOTHING_USED = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

t.test('a container that does not run, as dockerd 20.10 tells of it', async (t) => {
  t.strictSame(containerStats(subject, null, null, HOST_MEMORY), {
    read: '0001-01-01T00:00:00Z',
    preread: '0001-01-01T00:00:00Z',
    pids_stats: {},
    blkio_stats: {
      io_service_bytes_recursive: null,
      io_serviced_recursive: null,
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: NOTHING_USED,
    precpu_stats: NOTHING_USED,
    memory_stats: {},
    name: '/web',
    id: subject.id,
  });
});

t.test('a container that runs', async (t) => {
  const head = 'Inter-|\n face |\n';
  const numbers = (first: number): string => Array.from({ length: 16 }, (_, column) => first + column).join(' ');
  const links = parseLinkCounters(
    `${head} lo: ${numbers(900)}\neth0: ${numbers(100)}\neth1: ${numbers(200)}\nwg0: ${numbers(800)}\n`,
  );
  const before = sample('2026-01-01T00:00:00.000000000Z', onV1(V1_CAPTURE));
  const stats = containerStats(
    subject,
    sample('2026-01-01T00:00:01.000000000Z', onV1(V1_CAPTURE), links),
    before,
    HOST_MEMORY,
  );
  t.equal(stats.preread, before.readAt);
  t.strictSame(stats.precpu_stats, stats.cpu_stats);
  t.strictSame(stats.cpu_stats, {
    cpu_usage: {
      total_usage: 945_813_526,
      percpu_usage: [1_568_947, 944_244_579],
      usage_in_kernelmode: 0,
      usage_in_usermode: 940_000_000,
    },
    system_cpu_usage: 5_000_000_000,
    online_cpus: 2,
    throttling_data: { periods: 26, throttled_periods: 3, throttled_time: 123_456_789 },
  });
  t.strictSame(stats.pids_stats, { current: 1, limit: 50 });
  t.strictSame(Object.keys(stats.networks ?? {}), ['eth0', 'eth1'], 'not what a tunnel carries a second time');
  t.strictSame(stats.networks?.['eth0'], {
    rx_bytes: 100,
    rx_packets: 101,
    rx_errors: 102,
    rx_dropped: 103,
    tx_bytes: 108,
    tx_packets: 109,
    tx_errors: 110,
    tx_dropped: 111,
  });
  t.equal(stats.memory_stats.limit, 67108864);
  t.notOk('failcnt' in stats.memory_stats);
  t.strictSame(stats.blkio_stats.io_service_bytes_recursive, []);
  const unlimited = new Map([
    ...V1_CAPTURE,
    ['memory.limit_in_bytes', '9223372036854771712\n'],
    ['memory.failcnt', '4'],
  ]);
  t.match(containerStats(subject, sample('', onV1(unlimited)), null, HOST_MEMORY).memory_stats, {
    limit: HOST_MEMORY,
    failcnt: 4,
  });
  const v2 = containerStats(subject, sample('', onV2(V2_CAPTURE)), null, HOST_MEMORY);
  t.notOk('percpu_usage' in v2.cpu_stats.cpu_usage);
  t.notOk('max_usage' in v2.memory_stats);
  t.equal(v2.blkio_stats.io_serviced_recursive, null);
});

const INTERVAL_MS = 20;

/** A watcher that keeps what it is told. */
function recorder() {
  const updates: (ContainerStats & Pick<StatsUpdate, 'spansInterval'>)[] = [];
  let removed = 0;
  const watcher: StatsWatcher = {
    update: ({ line, spansInterval }) => void updates.push({ ...JSON.parse(line), spansInterval }),
    removed: () => void removed++,
  };
  return { watcher, updates, removed: () => removed };
}

async function created(deps: ContainerDeps, name: string): Promise<string> {
  return createContainer(deps, { Image: 'busybox' }, { name }).Id;
}

t.test('one reader for a container, whoever many watch, and none when nobody does', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  world.counters = onV1(V1_CAPTURE);
  const collector = createStatsCollector({ ...deps, events: world.events }, INTERVAL_MS);
  const id = await created(deps, 'web');
  await startContainer(deps, id);
  const one = recorder();
  const other = recorder();
  const stops = [collector.watch(id, one.watcher), collector.watch(id, other.watcher)];
  await until(() => one.updates.length >= 4, 'four samples');
  t.equal(world.countersRead.length, one.updates.length);
  t.strictSame(other.updates, one.updates);
  t.strictSame(
    one.updates.slice(0, 4).map(({ spansInterval }) => spansInterval),
    [false, true, true, true],
  );
  t.match(one.updates[0], { id, name: '/web', preread: '0001-01-01T00:00:00Z', pids_stats: { current: 1 } });
  t.strictSame(one.updates[3]?.preread, one.updates[2]?.read);
  stops[0]?.();
  stops[0]?.();
  const told = one.updates.length;
  await until(() => other.updates.length >= told + 2, 'the other goes on');
  stops[1]?.();
  const { length } = world.countersRead;
  t.equal(one.updates.length, told);
  const late = recorder();
  const stop = collector.watch(await created(deps, 'stopped'), late.watcher);
  await until(() => late.updates.length >= 3, 'another container is watched');
  stop();
  t.equal(world.countersRead.length, length, 'the first is not read any more');
  t.equal(one.removed() + other.removed() + late.removed(), 0);
});

t.test('over starts, ends, renames and the removal', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  world.counters = onV1(V1_CAPTURE);
  const collector = createStatsCollector({ ...deps, events: world.events }, INTERVAL_MS);
  const id = await created(deps, 'web');
  const { watcher, updates, removed } = recorder();
  collector.watch(id, watcher);
  const next = async (condition: (stats: ContainerStats) => boolean, what: string) => {
    const from = updates.length;
    await until(() => updates.slice(from).some(condition), what);
    return updates.slice(from).find(condition);
  };
  const runs = (stats: ContainerStats): boolean => stats.pids_stats.current === 1;
  t.match(await next((stats) => !runs(stats), 'it does not run'), { spansInterval: true, memory_stats: {} });
  t.equal(world.countersRead.length, 0, 'and nothing is read');
  await startContainer(deps, id);
  t.match(await next(runs, 'it runs'), { preread: '0001-01-01T00:00:00Z', spansInterval: false });
  const { finished } = afterExit(world.lastProcess(), deps, id);
  await finished;
  await startContainer(deps, id);
  const again = updates.length;
  await until(() => updates.slice(again).some(runs), 'it runs again');
  t.match(
    updates.slice(again).find(runs),
    { preread: '0001-01-01T00:00:00Z' },
    'what an earlier run used is not taken off',
  );
  renameContainer(deps, id, 'other');
  await next(({ name }) => name === '/other', 'the new name');
  await killContainer(deps, id, undefined);
  await next((stats) => !runs(stats), 'it was killed');
  await removeContainer(deps, id, { force: false });
  t.equal(removed(), 1);
  const { length } = updates;
  const late = recorder();
  const stop = collector.watch(await created(deps, 'late'), late.watcher);
  await until(() => late.updates.length >= 2, 'time goes on');
  stop();
  t.equal(updates.length, length);
  t.throws(() => deps.store.lookup(id), { code: 'not_found' });
});

function afterExit(
  process: ReturnType<ReturnType<typeof createWorld>['lastProcess']>,
  deps: ContainerDeps,
  id: string,
) {
  const finished = deps.running.require(id).ended;
  process.exit(0);
  return { finished };
}

t.test('many that are due at once leave room for others in between', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  const collector = createStatsCollector({ ...deps, events: world.events }, 60_000);
  const ids: string[] = [];
  for (let count = 0; count < 20; count++) ids.push(await created(deps, `c${count}x`));
  const recorders = ids.map((id) => {
    const one = recorder();
    return { ...one, stop: collector.watch(id, one.watcher) };
  });
  const told = (): number => recorders.filter(({ updates }) => updates.length > 0).length;
  const steps: number[] = [];
  while (told() < recorders.length) {
    const before = told();
    await new Promise((resolve) => setImmediate(resolve));
    steps.push(told() - before);
  }
  t.ok(Math.max(...steps) <= 1, `a turn each: ${steps}`);
  for (const { stop } of recorders) stop();
});

t.test('a failure to read is logged once, and the rest goes on', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const deps = await world.daemon();
  let broken = true;
  let attempts = 0;
  const cgroups = {
    ...deps.cgroups,
    counters: (id: string) => {
      attempts++;
      if (broken) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
      return deps.cgroups.counters(id);
    },
  };
  const collector = createStatsCollector({ ...deps, cgroups, events: world.events }, INTERVAL_MS);
  const id = await created(deps, 'web');
  await startContainer(deps, id);
  const { watcher, updates } = recorder();
  const stop = collector.watch(id, watcher);
  await until(() => attempts >= 3, 'three attempts');
  t.equal(updates.length, 0);
  t.equal(world.log.filter(({ message }) => message === "a container's counters could not be read").length, 1);
  t.throws(() => collector.now(id), /EMFILE/);
  broken = false;
  await until(() => updates.length > 0, 'it is read again');
  stop();
});
