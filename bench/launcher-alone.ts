/** The launcher without the daemon: an ordinary container's plan in, `true` run under its supervisor, exit report out. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  containerProcesses,
  removeCgroupParent,
  removeContainerCgroups,
} from '../packages/daemon/src/os/cgroup-files.ts';
import { collectYoungGarbage } from '../packages/daemon/src/os/release-memory.ts';
import { spreadSubdirectories } from '../packages/daemon/src/os/spread-directories.ts';
import { createSeccompCompiler } from '../packages/daemon/src/runtime/compile-seccomp.ts';
import { readHostFacts } from '../packages/daemon/src/runtime/host-facts.ts';
import { createLauncher } from '../packages/daemon/src/runtime/launch.ts';
import { waitingLaunchers } from '../packages/daemon/src/runtime/launcher-pool.ts';
import { createLayerMounts } from '../packages/daemon/src/runtime/layer-mounts.ts';
import { planLaunch } from '../packages/daemon/src/runtime/plan-launch.ts';
import { createLayerStore } from '../packages/daemon/src/storage/layer-store.ts';
import { repository } from '../test/support/client.ts';
import { makeExecRoot } from '../test/support/exec-root.ts';
import { busyboxLayer } from '../test/support/images.ts';
import type { Sample } from './measure.ts';

const FIRST_HOST_ID = 0x4000_0000 + 30_000 * 65_536;
const ID_RANGE_SIZE = 65_536;

/** A sample of one launch, from the plan to the exit report; `close` removes what it needed. */
export async function launcherSample(directory: string): Promise<{ sample: Sample; close: () => Promise<void> }> {
  const root = join(directory, 'launcher-alone');
  const execRoot = makeExecRoot();
  const host = readHostFacts({ cgroupParent: '/tsd-bench' });
  const { imageMode, detachedLayers } = host.layers;
  const layerStore = createLayerStore({ root: join(root, 'layers'), tmp: join(root, 'tmp'), imageMode });
  const layer = busyboxLayer();
  const { diffId } = await layerStore.ingest(one(layer), {});
  const layerMounts = createLayerMounts({ layerStore, detachedLayers, mountPoints: true });
  const lease = layerMounts.acquire([diffId]);
  const launcher = createLauncher({
    launcherPath: resolve(repository, 'packages/launcher/build/tsd-launch'),
    waiting: waitingLaunchers(host, (error) => {
      throw error;
    }),
  });
  const compileSeccomp = createSeccompCompiler();
  // Where containers' directories are, the daemon does so too.
  spreadSubdirectories(root);

  const sample: Sample = async () => {
    const id = randomBytes(32).toString('hex');
    const files = join(root, id);
    mkdirSync(files, { recursive: true });
    const { plan } = planLaunch({
      id,
      config: { Cmd: ['true'] },
      hostConfig: { NetworkMode: 'none' },
      mounts: [],
      layerCount: lease.descriptors.length,
      missingMarks: [],
      passwd: null,
      group: null,
      host,
      idRange: { first: FIRST_HOST_ID, size: ID_RANGE_SIZE },
      paths: {
        directory: files,
        upper: join(files, 'upper'),
        work: join(files, 'work'),
        hosts: null,
        hostname: null,
        resolvConf: null,
        controlSocket: join(execRoot, 'control.sock'),
        exitFile: join(files, 'exit'),
      },
      log: null,
      devices: [],
      networks: [],
      compileSeccomp,
    });
    // What this process has to collect is not the launcher's.
    collectYoungGarbage();
    const startedAt = performance.now();
    const supervisor = await launcher.launch(plan, { descriptors: lease.descriptors, attach: [] });
    const report = await supervisor.exited;
    const elapsed = performance.now() - startedAt;
    if (report.kind !== 'exited' || report.code !== 0) throw new Error(`true ended with ${report.kind} ${report.code}`);
    if (host.cgroups !== null) {
      if (containerProcesses(host.cgroups, id).length > 0) throw new Error('a process outlived its supervisor');
      await removeContainerCgroups(host.cgroups, id);
    }
    rmSync(files, { recursive: true });
    return elapsed;
  };
  const close = async (): Promise<void> => {
    lease.release();
    layerMounts.close();
    await launcher.close();
    await layerStore.close();
    if (host.cgroups !== null) removeCgroupParent(host.cgroups);
    rmSync(execRoot, { recursive: true });
  };
  return { sample, close };
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
