/**
 * Rows about networks. Each engine has its bridge and its rules in a network namespace of its own, so the host keeps its own
 * and neither pays for the other's, and an «outside» at the other end of a cable.
 */
import { execFileSync } from 'node:child_process';
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Api, TSDCTL } from '../test/support/client.ts';
import { startDaemon } from '../test/support/daemon.ts';
import { dockerdMissing, startDockerd } from '../test/support/dockerd.ts';
import { eventually } from '../test/support/eventually.ts';
import { busyboxLayer, dockerArchive } from '../test/support/images.ts';
import { addNetworkNamespace, type NetworkNamespace } from '../test/support/network-namespace.ts';
import { makeOutside, type Outside } from '../test/support/outside.ts';
import * as containers from './containers.ts';
import { clientRun } from './engines.ts';
import { alternate, type Sample, timed } from './measure.ts';
import { startShellTimer } from './shell-timer.ts';
import { type Budget, type Row, ratio } from './table.ts';

/** An engine with its default network. */
interface Networked {
  readonly name: string;
  readonly api: Api;
  /** Milliseconds of `run --rm busybox true` by the engine's own client. */
  readonly runTrue: () => Promise<number>;
  readonly outside: Outside;
  remove(): Promise<void>;
}

export interface NetworkBench {
  readonly rounds: number;
  readonly rows: Row[];
}

export interface NetworkEngines {
  readonly tsd: Networked;
  readonly dockerd: Networked | null;
  remove(): Promise<void>;
}

const PORTS = 200;
const FIRST_PORT = 21_000;
const MANY = 500;
const AT_A_TIME = 8;
const IPERF_SECONDS = 3;
const IPERF_PORT = 5201;

/** Starts both engines with an image that has busybox and, where it is installed, iperf3. */
export async function startNetworkEngines(directory: string): Promise<NetworkEngines> {
  const archive = join(directory, 'network-image.tar');
  const layers = iperfMissing() === false ? [busyboxLayer(), iperfLayer(directory)] : [busyboxLayer()];
  writeFileSync(archive, dockerArchive({ tags: ['busybox:latest'], layers }));
  const tsd = await inNamespace('tsd', async ({ enter }) => {
    const daemon = await startDaemon({ args: ['--log-level', 'info'], before: enter });
    return { ...daemon, program: TSDCTL };
  });
  await containers.load(tsd.api, createReadStream(archive));
  if (dockerdMissing() !== false) return { tsd, dockerd: null, remove: tsd.remove };
  const dockerd = await inNamespace('dockerd', async (networkNamespace) => {
    const daemon = await startDockerd({ networkNamespace });
    return { ...daemon, program: 'docker' };
  });
  await containers.load(dockerd.api, createReadStream(archive));
  return {
    tsd,
    dockerd,
    remove: async () => {
      await dockerd.remove();
      await tsd.remove();
    },
  };
}

/** Starts an engine in a namespace of its own, with an outside. */
async function inNamespace(
  name: string,
  start: (
    namespace: NetworkNamespace,
  ) => Promise<{ readonly api: Api; readonly socketPath: string; readonly program: string; remove(): Promise<void> }>,
): Promise<Networked> {
  const namespace = addNetworkNamespace(`tsd-bench-${name}-${process.pid}`);
  const { api, socketPath, program, remove } = await start(namespace);
  const shell = startShellTimer();
  const outside = makeOutside(namespace.name);
  return {
    name,
    api,
    runTrue: clientRun(shell, program, socketPath),
    outside,
    remove: async () => {
      shell.close();
      outside.remove();
      await remove();
      namespace.remove();
    },
  };
}

/** Measures the same work on both engines and adds a row. */
async function compare(
  { tsd, dockerd }: NetworkEngines,
  { rows }: NetworkBench,
  row: Pick<Row, 'what' | 'unit' | 'budget'>,
  work: (engine: Networked) => Sample,
  times: number,
): Promise<void> {
  const [ours = Number.NaN, ...others] = await alternate(
    [tsd, ...(dockerd === null ? [] : [dockerd])].map(work),
    times,
  );
  rows.push({ ...row, ours, theirs: others.map((value) => ({ name: 'dockerd', value })) });
}

export async function bridgeRow(engines: NetworkEngines, bench: NetworkBench): Promise<void> {
  const row = { what: 'run --rm busybox true, on the bridge', unit: 'ms', budget: ratio(6) } as const;
  await compare(engines, bench, row, (engine) => () => engine.runTrue(), bench.rounds);
}

/** The start of a container on the bridge beside one without a network, over the API, in turn. */
export async function networkShareRow(engines: NetworkEngines, bench: NetworkBench): Promise<void> {
  const shareOf = async ({ api }: Networked): Promise<number> => {
    const start = (mode: string): Sample => {
      return async () => {
        const id = await containers.createWith(api, { Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: mode } });
        const elapsed = await timed(() => containers.start(api, id));
        await containers.removeForced(api, id);
        return elapsed;
      };
    };
    const [bridge = Number.NaN, none = Number.NaN] = await alternate(
      [start('bridge'), start('none')],
      bench.rounds * 2,
    );
    return bridge - none;
  };
  bench.rows.push({
    what: 'share of the network in a start',
    unit: 'ms',
    ours: await shareOf(engines.tsd),
    theirs: engines.dockerd === null ? [] : [{ name: 'dockerd', value: await shareOf(engines.dockerd) }],
    budget: { kind: 'absolute', limit: 8, text: '≤ 8 ms' },
  });
}

export async function removeRows(engines: NetworkEngines, bench: NetworkBench): Promise<void> {
  const remove = (ended: boolean): ((engine: Networked) => Sample) => {
    return ({ api }) =>
      async () => {
        const id = await containers.createWith(api, { Cmd: ended ? ['true'] : ['sleep', '1000'] });
        await containers.start(api, id);
        if (ended) await containers.wait(api, id);
        return timed(() => containers.removeForced(api, id));
      };
  };
  const limit: Budget = { kind: 'absolute', limit: 5, text: '≤ 5 ms' };
  const what = 'removing a container that was on the bridge';
  await compare(engines, bench, { what, unit: 'ms', budget: limit }, remove(true), bench.rounds);
  const running = { what: 'killing and removing one', unit: 'ms', budget: { kind: 'none' } } as const;
  await compare(engines, bench, running, remove(false), bench.rounds);
}

/** The start of a container with 200 ports. */
export async function portsRow(engines: NetworkEngines, bench: NetworkBench): Promise<void> {
  const ports = Array.from({ length: PORTS }, (_, index) => `${1000 + index}/tcp`);
  const fields = {
    Cmd: ['sleep', '1000'],
    ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])),
    HostConfig: {
      PortBindings: Object.fromEntries(ports.map((port, index) => [port, [{ HostPort: String(FIRST_PORT + index) }]])),
    },
  };
  const work =
    ({ api }: Networked): Sample =>
    async () => {
      const id = await containers.createWith(api, fields);
      const elapsed = await timed(() => containers.start(api, id));
      await containers.removeForced(api, id);
      return elapsed;
    };
  const row = { what: `start with ${PORTS} published ports`, unit: 'ms', budget: ratio(50) } as const;
  await compare(engines, bench, row, work, Math.min(bench.rounds, 5));
}

/** tsd alone. */
export async function manyRow({ tsd: { api } }: NetworkEngines, { rows }: NetworkBench): Promise<void> {
  const ids: string[] = [];
  const startOne = async (): Promise<number> => {
    const id = await containers.createWith(api, { Cmd: ['sleep', '1000'] });
    ids.push(id);
    return timed(() => containers.start(api, id));
  };
  const [first = Number.NaN] = await alternate([startOne], 20);
  while (ids.length < MANY) await Promise.all(Array.from({ length: AT_A_TIME }, startOne));
  const [last = Number.NaN] = await alternate([startOne], 20);
  rows.push({
    what: `start beside ${MANY} others on the bridge, beside the first`,
    unit: 'ms',
    ours: last,
    theirs: [{ name: 'the first', value: first }],
    budget: { kind: 'ratio', limit: 1.3, text: '≤ 1.3×' },
  });
  while (ids.length > 0) {
    await Promise.all(ids.splice(-AT_A_TIME).map((id) => containers.removeForced(api, id)));
  }
}

/** Why iperf3 cannot be measured here, or false. */
export function iperfMissing(): string | false {
  try {
    execFileSync('iperf3', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'iperf3 is not installed';
  }
}

export async function throughputRows(engines: NetworkEngines, bench: NetworkBench): Promise<void> {
  const budget: Budget = { kind: 'ratio', limit: 0.95, text: '≥ 0.95×' };
  const between: (engine: Networked) => Sample =
    ({ api }) =>
    () =>
      withServer(api, async (address) => {
        const id = await containers.createWith(api, { Cmd: iperfClient(address), Tty: true });
        await containers.start(api, id);
        await containers.wait(api, id);
        const output = await containers.terminalLog(api, id);
        await containers.removeForced(api, id);
        return gigabitsOf(output);
      });
  const published: (engine: Networked) => Sample =
    ({ api, outside }) =>
    () =>
      withServer(api, async () => {
        const { code, stdout, stderr } = await outside.run(...(iperfClient(outside.hostIpv4) as [string, ...string[]]));
        if (code !== 0) throw new Error(`iperf3: ${stdout}${stderr}`);
        return gigabitsOf(stdout);
      });
  const times = Math.min(bench.rounds, 5);
  const row = (what: string) => ({ what, unit: 'Gbit/s', budget }) as const;
  await compare(engines, bench, row('iperf3 from container to container'), between, times);
  await compare(engines, bench, row('iperf3 from outside through a published port'), published, times);
}

/** Runs `use` beside a container that serves iperf3 on its own address and on the host's port. */
async function withServer(api: Api, use: (address: string) => Promise<number>): Promise<number> {
  const port = `${IPERF_PORT}/tcp`;
  const id = await containers.createWith(api, {
    Cmd: ['iperf3', '--server', '--one-off', '--forceflush'],
    Tty: true,
    ExposedPorts: { [port]: {} },
    HostConfig: { PortBindings: { [port]: [{ HostPort: String(IPERF_PORT) }] } },
  });
  try {
    await containers.start(api, id);
    const listens = async (): Promise<boolean> => (await containers.terminalLog(api, id)).includes('listening');
    await eventually(listens, { what: 'iperf3 listens' });
    return await use(await containers.addressOf(api, id));
  } finally {
    await containers.removeForced(api, id);
  }
}

function iperfClient(address: string): string[] {
  return ['iperf3', '--client', address, '--time', String(IPERF_SECONDS), '--omit', '1', '--json'];
}

function gigabitsOf(output: string): number {
  const { end, error } = JSON.parse(output) as {
    end: { sum_received?: { bits_per_second: number } };
    error?: string;
  };
  if (end.sum_received === undefined) throw new Error(`iperf3: ${error}`);
  return end.sum_received.bits_per_second / 1e9;
}

/** The host's iperf3 and its libraries as a layer. */
function iperfLayer(directory: string): Buffer {
  const root = join(directory, 'iperf');
  const program = execFileSync('sh', ['-c', 'command -v iperf3'], { encoding: 'utf8' }).trim();
  const listed = execFileSync('ldd', [program], { encoding: 'utf8' });
  for (const file of [program, ...[...listed.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)]) {
    // Below /usr the image has links to /bin.
    const target = join(root, file.replace(/^\/usr\/bin\//, '/bin/'));
    mkdirSync(dirname(target), { recursive: true });
    execFileSync('cp', ['--dereference', file, target]);
  }
  return execFileSync('tar', ['-c', '-C', root, '--owner=0', '--group=0', '.'], { maxBuffer: 1 << 30 });
}
