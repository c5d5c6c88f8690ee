/** Rows about registries: pull, push, rmi, and what a large pull costs the daemon that does it. */
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectApi } from '../test/support/client.ts';
import { debianRootTar, dockerArchive } from '../test/support/images.ts';
import { startRegistry } from '../test/support/registry.ts';
import * as containers from './containers.ts';
import type { Engine } from './engines.ts';
import { median, type Sample, stolenMs, timed } from './measure.ts';
import { forgetPeak, peakMb } from './memory.ts';
import { debianMegabytes, type RegistryImages } from './registry-images.ts';
import { type Budget, type Row, ratio } from './table.ts';

export interface RegistryBench {
  readonly tsd: Engine;
  readonly dockerd: Engine | null;
  readonly images: RegistryImages;
  /** For what the rows need on the disk. */
  readonly directory: string;
  readonly rows: Row[];
  /** Measures the same work on every engine and adds a row. */
  compare(what: string, budget: Budget, work: (engine: Engine) => Sample): Promise<void>;
}

const PULL_COST_ROUNDS = 3;
const PING_INTERVAL_MS = 5;
const NOTED_PING_MS = 10;

export async function pullRow({ compare, images }: RegistryBench): Promise<void> {
  const image = await images.oneLayer();
  await compare(`pull a ${debianMegabytes()} MB Debian, gzip, one layer`, ratio(4), (engine) => pull(engine, image));
}

export async function pullEightLayersRow({ compare, images }: RegistryBench): Promise<void> {
  const image = await images.eightLayers();
  await compare('pull it in 8 layers', ratio(4), (engine) => pull(engine, image));
}

export async function pushRows({ compare, images, directory }: RegistryBench): Promise<void> {
  const image = await images.oneLayer();
  await compare('push it to an empty registry', ratio(3), (engine) => pushPulled(engine, image));
  const archive = join(directory, 'debian.tar');
  writeFileSync(archive, dockerArchive({ tags: ['debian:bench'], layers: [readFileSync(debianRootTar())] }));
  const loaded = (engine: Engine): Sample => pushLoaded(engine, archive, 'debian:bench');
  await compare('push it after a load, to be compressed', ratio(3), loaded);
}

export async function removeRow({ compare, images }: RegistryBench): Promise<void> {
  const image = await images.oneLayer();
  await compare('rmi it', ratio(10), (engine) => remove(engine, image));
}

/** Pulls by each engine in turn. Of memory and answers, the worst moment of all counts. */
export async function pullCostRows({ tsd, dockerd, images, rows }: RegistryBench): Promise<void> {
  const image = await images.large();
  const ours: PullCost[] = [];
  const theirs: PullCost[] = [];
  for (let round = 0; round < PULL_COST_ROUNDS; round += 1) {
    ours.push(await pullCost(tsd, image));
    if (dockerd !== null) theirs.push(await pullCost(dockerd, image));
  }
  const row = (
    what: string,
    unit: Row['unit'],
    of: keyof PullCost,
    total: (values: number[]) => number,
    budget: Budget,
  ): void => {
    const value = (costs: readonly PullCost[]): number => total(costs.map((cost) => cost[of]));
    const others = theirs.length === 0 ? [] : [{ name: 'dockerd', value: value(theirs) }];
    rows.push({ what, unit, ours: value(ours), theirs: others, budget });
  };
  const worst = (values: number[]): number => Math.max(...values);
  row('pull 2 GB, in layers of one Debian each', 'ms', 'elapsedMs', median, { kind: 'none' });
  row('most memory of the daemon meanwhile', 'MB', 'peakMb', worst, { kind: 'absolute', limit: 200, text: '≤ 200 MB' });
  row('slowest /_ping meanwhile', 'ms', 'slowestPingMs', worst, { kind: 'absolute', limit: 20, text: '≤ 20 ms' });
}

/** Pull of an image of which nothing is there. */
function pull(engine: Engine, image: string): Sample {
  return async () => {
    const elapsed = await timed(() => containers.pull(engine.api, image));
    await containers.removeImage(engine.api, image);
    return elapsed;
  };
}

/** Removal of a pulled image, to the answer. */
function remove(engine: Engine, image: string): Sample {
  return async () => {
    await containers.pull(engine.api, image);
    return timed(() => containers.removeImage(engine.api, image));
  };
}

/** Push of a pulled image to a registry that has nothing. */
function pushPulled(engine: Engine, image: string): Sample {
  return async () => {
    await containers.pull(engine.api, image);
    const elapsed = await pushToEmptyRegistry(engine, image);
    await containers.removeImage(engine.api, image);
    return elapsed;
  };
}

/** Push of an image that came from an archive, so that its layers have to be compressed first. */
function pushLoaded(engine: Engine, archive: string, image: string): Sample {
  return async () => {
    await containers.load(engine.api, createReadStream(archive, { highWaterMark: 1 << 20 }));
    const elapsed = await pushToEmptyRegistry(engine, image);
    await containers.removeImage(engine.api, image);
    return elapsed;
  };
}

async function pushToEmptyRegistry(engine: Engine, image: string): Promise<number> {
  const registry = await startRegistry();
  try {
    const target = `${registry.host}/pushed:bench`;
    await containers.tag(engine.api, image, target);
    const elapsed = await timed(() => containers.push(engine.api, target));
    await containers.removeImage(engine.api, target);
    return elapsed;
  } finally {
    await registry.remove();
  }
}

interface PullCost {
  readonly elapsedMs: number;
  /** Sum of what the daemon and its helpers had resident at most. */
  readonly peakMb: number;
  /** Of /_ping, asked again and again while the pull went on; without those during which this machine itself stood still. */
  readonly slowestPingMs: number;
}

/** Pulls and removes an image and watches the daemon meanwhile. */
async function pullCost(engine: Engine, image: string): Promise<PullCost> {
  const pids = engine.pids();
  for (const pid of pids) forgetPeak(pid);
  const api = connectApi(engine.api.socketPath);
  const ping = (): Promise<number> => timed(() => api.request('GET', '/_ping'));
  // The first one makes the connection.
  await ping();
  let pulling = true;
  const watched = (async (): Promise<number> => {
    let slowestMs = 0;
    while (pulling) {
      const stolenBefore = stolenMs();
      const pingMs = await ping();
      const stolen = stolenMs() - stolenBefore;
      if (stolen === 0) slowestMs = Math.max(slowestMs, pingMs);
      else if (pingMs > NOTED_PING_MS) {
        const took = `the hypervisor took ${stolen} ms of the processors meanwhile`;
        process.stderr.write(`not counted: a /_ping of ${engine.name} in ${pingMs.toFixed(1)} ms, ${took}\n`);
      }
      await delay(PING_INTERVAL_MS);
    }
    return slowestMs;
  })();
  try {
    const elapsedMs = await timed(() => containers.pull(engine.api, image)).finally(() => {
      pulling = false;
    });
    const slowestPingMs = await watched;
    const peak = pids.reduce((sum, pid) => sum + peakMb(pid), 0);
    await containers.removeImage(engine.api, image);
    return { elapsedMs, peakMb: peak, slowestPingMs };
  } finally {
    await watched;
    api.close();
  }
}
