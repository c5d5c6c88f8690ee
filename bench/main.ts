/**
 * `npm run bench`: tsd beside dockerd (private roots and socket) and beside runc and crun, on this machine, in alternating
 * runs. Prints medians, ratios and the budget of each row. `--rows a,b` runs only those rows, `--rounds N` changes how often.
 */
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { debianRootTar, dockerArchive } from '../test/support/images.ts';
import { TEMPORARY_PREFIX } from '../test/support/leaks.ts';
import { registryMissing } from '../test/support/registry.ts';
import * as containers from './containers.ts';
import { type Engine, startEngines } from './engines.ts';
import { launcherSample } from './launcher-alone.ts';
import { alternate, type Sample, timed } from './measure.ts';
import { parentOf, residentMb } from './memory.ts';
import * as networkRows from './network-rows.ts';
import { runtimeSamples } from './oci-runtimes.ts';
import { debianMegabytes, type RegistryImages, startRegistryImages } from './registry-images.ts';
import * as registryRows from './registry-rows.ts';
import { startShellTimer } from './shell-timer.ts';
import { type Budget, printTable, type Row, ratio } from './table.ts';

const { values } = parseArgs({ options: { rows: { type: 'string' }, rounds: { type: 'string', default: '15' } } });
const rounds = Number(values.rounds);
/** Of what takes seconds. */
const longRounds = Math.min(rounds, 5);
const wanted = values.rows?.split(',');
const MANY = 1000;
const PARALLEL_RUNS = 40;
const AT_A_TIME = 8;
/** A client that keeps its connection makes more than one container, and neither engine is to be measured after a pause. */
const LIVES_IN_A_ROW = 20;
const IDLE_AFTER_MS = 20_000;

const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
const { tsd, dockerd } = await startEngines();
const rows: Row[] = [];
let images: RegistryImages | undefined;
let networks: networkRows.NetworkEngines | undefined;
try {
  await measure('idle', idleRow);
  await measure('run', runRow);
  await measure('life', lifeRow);
  await measure('launcher', launcherRow);
  await measure('parallel', parallelRow);
  await measure('load', loadAndSaveRows);
  await measureWithRegistry('pull', registryRows.pullRow);
  await measureWithRegistry('pull8', registryRows.pullEightLayersRow);
  await measureWithRegistry('push', registryRows.pushRows);
  await measureWithRegistry('rmi', registryRows.removeRow);
  await measureWithRegistry('pullmemory', registryRows.pullCostRows);
  await measureWithNetworks('bridge', networkRows.bridgeRow);
  await measureWithNetworks('network', networkRows.networkShareRow);
  await measureWithNetworks('netremove', networkRows.removeRows);
  await measureWithNetworks('ports200', networkRows.portsRow);
  await measureWithNetworks('net500', networkRows.manyRow);
  await measureWithNetworks('iperf', networkRows.throughputRows);
  await measure('memory', memoryRows);
  await measure('many', manyRows);
} finally {
  await images?.registry.remove();
  await networks?.remove();
  await dockerd?.remove();
  await tsd.remove();
  rmSync(directory, { recursive: true, force: true });
}
describeMachine();
printTable(rows);

async function measure(name: string, row: () => Promise<void>): Promise<void> {
  if (wanted !== undefined && !wanted.includes(name)) return;
  process.stderr.write(`measuring ${name}…\n`);
  await row();
}

async function measureWithRegistry(
  name: string,
  row: (bench: registryRows.RegistryBench) => Promise<void>,
): Promise<void> {
  const missing = registryMissing();
  await measure(name, async () => {
    if (missing !== false) return void process.stderr.write(`not measured: ${missing}\n`);
    images ??= await startRegistryImages(directory);
    await row({ tsd, dockerd, images, directory, rows, compare: (...row) => compare(...row, longRounds) });
  });
}

async function measureWithNetworks(
  name: string,
  row: (engines: networkRows.NetworkEngines, bench: networkRows.NetworkBench) => Promise<void>,
): Promise<void> {
  await measure(name, async () => {
    const missing = name === 'iperf' && networkRows.iperfMissing();
    if (missing !== false) return void process.stderr.write(`not measured: ${missing}\n`);
    networks ??= await networkRows.startNetworkEngines(directory);
    await row(networks, { rounds, rows });
  });
}

/** Measures the same work on every engine and adds a row. */
async function compare(what: string, budget: Budget, work: (engine: Engine) => Sample, times = rounds): Promise<void> {
  const engines = dockerd === null ? [tsd] : [tsd, dockerd];
  const [ours = Number.NaN, ...others] = await alternate(engines.map(work), times);
  const theirs = others.map((value) => ({ name: 'dockerd', value }));
  rows.push({ what, unit: 'ms', ours, theirs, budget });
}

async function runRow(): Promise<void> {
  await compare('run --rm --network none busybox true', ratio(5), (engine) => () => engine.runTrue());
}

async function lifeRow(): Promise<void> {
  const work =
    (engine: Engine): Sample =>
    async () => {
      const elapsed = await timed(async () => {
        for (let life = 0; life < LIVES_IN_A_ROW; life += 1) await containers.wholeLife(engine.client);
      });
      return elapsed / LIVES_IN_A_ROW;
    };
  await compare(`API create → start → wait → remove, of ${LIVES_IN_A_ROW} in a row`, ratio(20), work);
}

async function launcherRow(): Promise<void> {
  const shell = startShellTimer();
  const runtimes = runtimeSamples(directory, shell);
  const { sample, close } = await launcherSample(directory);
  try {
    const [ours = Number.NaN, ...others] = await alternate([sample, ...runtimes.map((one) => one.sample)], rounds * 2);
    const theirs = runtimes.map(({ name }, index) => ({ name, value: others[index] ?? Number.NaN }));
    const budget: Budget = { kind: 'absolute', limit: 4, text: '≤ 4 ms' };
    rows.push({ what: 'launcher alone: plan in, `true`, exit out', unit: 'ms', ours, theirs, budget });
  } finally {
    await close();
    shell.close();
  }
}

async function parallelRow(): Promise<void> {
  const rate = async (engine: Engine): Promise<number> => {
    const queue = Array.from({ length: PARALLEL_RUNS }, (_, index) => index);
    const elapsed = await timed(() =>
      Promise.all(
        Array.from({ length: AT_A_TIME }, async () => {
          while (queue.pop() !== undefined) await containers.wholeLife(engine.client);
        }),
      ),
    );
    return PARALLEL_RUNS / (elapsed / 1000);
  };
  const engines = dockerd === null ? [tsd] : [tsd, dockerd];
  const [ours = Number.NaN, ...others] = await alternate(
    engines.map((engine) => () => rate(engine)),
    3,
  );
  rows.push({
    what: `${PARALLEL_RUNS} whole lives, ${AT_A_TIME} at a time`,
    unit: '/s',
    ours,
    theirs: others.map((value) => ({ name: 'dockerd', value })),
    budget: { kind: 'ratio', limit: 12, text: '≥ 12×' },
  });
}

async function loadAndSaveRows(): Promise<void> {
  const archive = join(directory, 'debian.tar');
  writeFileSync(archive, dockerArchive({ tags: ['debian:bench'], layers: [readFileSync(debianRootTar())] }));
  const load = (engine: Engine): Sample => {
    return async () => {
      const elapsed = await timed(() =>
        containers.load(engine.api, createReadStream(archive, { highWaterMark: 1 << 20 })),
      );
      await containers.removeImage(engine.api, 'debian:bench');
      return elapsed;
    };
  };
  await compare(`load a ${debianMegabytes()} MB Debian image`, ratio(8), load, longRounds);
  for (const engine of [tsd, dockerd])
    if (engine !== null) await containers.load(engine.api, createReadStream(archive));
  const save =
    (engine: Engine): Sample =>
    () =>
      timed(() => containers.save(engine.api, 'debian:bench'));
  await compare('save it', ratio(8), save, longRounds);
  for (const engine of [tsd, dockerd]) if (engine !== null) await containers.removeImage(engine.api, 'debian:bench');
}

async function memoryRows(): Promise<void> {
  // What attends a running container: tsd's supervisor, containerd's shim.
  const perContainer = async (engine: Engine): Promise<number> => {
    const ids = await Promise.all(Array.from({ length: 5 }, () => containers.create(engine.api, 'sleep', '1000')));
    for (const id of ids) await containers.start(engine.api, id);
    let sum = 0;
    for (const id of ids) sum += residentMb(parentOf(await containers.pidOf(engine.api, id)));
    await Promise.all(ids.map((id) => containers.removeForced(engine.api, id)));
    return sum / ids.length;
  };
  rows.push({
    what: 'resident memory per running container',
    unit: 'MB',
    ours: await perContainer(tsd),
    theirs: dockerd === null ? [] : [{ name: 'dockerd', value: await perContainer(dockerd) }],
    budget: { kind: 'absolute', limit: 1, text: '≤ 1 MB' },
  });
  addDaemonMemory('after all of the above', { kind: 'none' });
}

async function idleRow(): Promise<void> {
  // Both daemons have just loaded an image: what they give back when they are idle they give back within this time.
  await delay(IDLE_AFTER_MS);
  addDaemonMemory('idle, one image loaded', { kind: 'absolute', limit: 90, text: '≤ 90 MB' });
}

function addDaemonMemory(when: string, budget: Budget): void {
  const theirs = dockerd === null ? [] : [{ name: 'dockerd', value: dockerd.residentMb() }];
  rows.push({ what: `resident memory of the daemon, ${when}`, unit: 'MB', ours: tsd.residentMb(), theirs, budget });
}

/** tsd alone: a thousand running containers. */
async function manyRows(): Promise<void> {
  const ids: string[] = [];
  const starts: number[] = [];
  for (let count = 0; count < MANY; count += 1) {
    const id = await containers.create(tsd.api, 'sleep', '1000');
    starts.push(await timed(() => containers.start(tsd.api, id)));
    ids.push(id);
  }
  const [listing = Number.NaN] = await alternate([() => timed(() => containers.list(tsd.api))], 7);
  const [first = Number.NaN] = await alternate([async () => starts.shift() ?? Number.NaN], 20);
  const [last = Number.NaN] = await alternate([async () => starts.pop() ?? Number.NaN], 20);
  rows.push({
    what: `ps with ${MANY} containers`,
    unit: 'ms',
    ours: listing,
    theirs: [],
    budget: { kind: 'absolute', limit: 100, text: '≤ 100 ms' },
  });
  rows.push({
    what: `start of the last of ${MANY}, beside the first`,
    unit: 'ms',
    ours: last,
    theirs: [{ name: 'the first', value: first }],
    budget: { kind: 'ratio', limit: 1.5, text: '≤ 1.5×' },
  });
  while (ids.length > 0) {
    await Promise.all(ids.splice(-AT_A_TIME).map((id) => containers.removeForced(tsd.api, id)));
  }
}

function describeMachine(): void {
  const version = (program: string, ...args: string[]): string => {
    try {
      return execFileSync(program, args, { encoding: 'utf8' }).split('\n')[0] ?? '';
    } catch {
      return `${program}: not installed`;
    }
  };
  console.log(`\n${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`);
  console.log(
    [
      version('dockerd', '--version'),
      version('docker', '--version'),
      version('runc', '--version'),
      version('crun', '--version'),
    ].join('; '),
  );
  console.log(
    `Medians of ${rounds} alternating rounds (of images ${longRounds}, in parallel 3), warm caches, --network none where nothing else is said.\n`,
  );
}
