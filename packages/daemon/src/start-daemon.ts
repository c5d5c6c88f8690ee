/** The composition root: the only file that constructs everything and knows how it fits together. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { connectContainer, disconnectContainer } from './containers/connect-container.ts';
import { createContainerCgroups } from './containers/container-cgroups.ts';
import type { ContainerDeps, LaunchPlanning } from './containers/container-deps.ts';
import { createContainerStore } from './containers/container-store.ts';
import { createExitWaiters } from './containers/exit-waiters.ts';
import { createIdRanges } from './containers/id-ranges.ts';
import { createKeyedLock } from './containers/keyed-lock.ts';
import { isRunning } from './containers/lifecycle.ts';
import { createPendingAttaches } from './containers/pending-attaches.ts';
import { createAccountsReader } from './containers/read-accounts.ts';
import { reconcileContainers, resumeContainers } from './containers/reconcile.ts';
import { createRestartTimers } from './containers/restart-timers.ts';
import { repairInterfaces } from './containers/restore-networks.ts';
import { createRunningContainers } from './containers/running-containers.ts';
import { createStatsCollector } from './containers/stats-collector.ts';
import { createTrash } from './containers/trash.ts';
import { createEngineEvents } from './events/engine-events.ts';
import { containerArchiveRoutes } from './http/routes/container-archives.ts';
import { containerStatsRoutes } from './http/routes/container-stats.ts';
import { containerRoutes } from './http/routes/containers.ts';
import { diskUsageRoutes } from './http/routes/disk-usage.ts';
import { eventRoutes } from './http/routes/events.ts';
import { distributionRoutes } from './http/routes/image-pull.ts';
import { imagePushRoutes } from './http/routes/image-push.ts';
import { imageRoutes } from './http/routes/images.ts';
import { networkRoutes } from './http/routes/networks.ts';
import { registryRoutes } from './http/routes/registry.ts';
import { systemRoutes } from './http/routes/system.ts';
import { systemCheckRoutes } from './http/routes/system-check.ts';
import { createServer } from './http/server.ts';
import { createImageStore } from './images/image-store.ts';
import { createLayerDownloads } from './images/layer-downloads.ts';
import { describeReconciledImages, reconcileImages } from './images/reconcile-images.ts';
import { lazyRegistryClient } from './images/registry/lazy-registry-client.ts';
import { removeHiddenImages } from './images/remove-image.ts';
import { createNetworking } from './networking.ts';
import { appArmorEnabled, loadAppArmorProfile } from './os/apparmor.ts';
import { removeCgroupParent } from './os/cgroup-files.ts';
import { lookupDevices } from './os/lookup-devices.ts';
import { quietCollections, releaseFreeMemory } from './os/release-memory.ts';
import { preferThread } from './os/thread-priority.ts';
import { unmapExecutablePages } from './os/unmap-executable.ts';
import { createSeccompCompiler } from './runtime/compile-seccomp.ts';
import { defaultAppArmorProfile } from './runtime/default-apparmor-profile.ts';
import { type HostFacts, readHostFacts } from './runtime/host-facts.ts';
import { createIdmapProbe } from './runtime/idmap-probe.ts';
import { createLauncher } from './runtime/launch.ts';
import { waitingLaunchers } from './runtime/launcher-pool.ts';
import { createLayerMounts } from './runtime/layer-mounts.ts';
import { planLaunch } from './runtime/plan-launch.ts';
import { createRootTrees } from './runtime/root-tree/root-trees.ts';

import { connectSupervisor, readExitFile } from './runtime/supervisor.ts';
import { createBlobStore } from './storage/blob-store.ts';
import { openDatabase } from './storage/database.ts';
import { createDoomedFiles } from './storage/doomed-files.ts';
import { createLayerCompressor } from './storage/layer-compressor.ts';
import { createLayerStore } from './storage/layer-store.ts';
import { VERSION } from './version.ts';

const EVENT_LOOP_NICENESS = -10;

export interface Daemon {
  /** Ends the daemon's work. Containers go on running under their supervisors. */
  close(): Promise<void>;
}

/** Beside the daemon's package, in the sources as in the bundle. */
const LAUNCHER = join(import.meta.dirname, '../../launcher/build/tsd-launch');

/**
 * Opens the state, brings it together with what really runs, and serves the API.
 *
 * @throws TsdError where another daemon uses the roots or the socket, or the host lacks something
 */
export async function startDaemon(config: Config, log: Logger): Promise<Daemon> {
  const { dataRoot, execRoot } = config;
  preferEventLoop(log);
  // 0711: an unprivileged user passes to the socket, and sees nothing on the way.
  for (const root of [dataRoot, execRoot]) {
    mkdirSync(root, { recursive: true, mode: 0o711 });
    chmodSync(root, 0o711);
  }
  const db = openDatabase(join(dataRoot, 'tsd.db'));
  const host = await readHost(config, log);
  const events = createEngineEvents();

  const doomed = createDoomedFiles({
    directory: join(dataRoot, 'tmp'),
    onError: (path, error) => log.error({ path, err: error }, 'the files of a removed layer could not be deleted'),
  });
  const blobStore = createBlobStore({ root: join(dataRoot, 'blobs'), doomed });
  const layerStore = createLayerStore({
    root: join(dataRoot, 'layers'),
    tmp: join(dataRoot, 'tmp'),
    blobStore,
    doomed,
    imageMode: host.layers.imageMode,
  });
  await layerStore.cleanLeftovers();
  const images = createImageStore({
    db,
    layerStore,
    blobStore,
    onLayerError: (digest, error) => log.error({ digest, err: error }, 'the files of a layer could not be removed'),
  });
  const downloads = createLayerDownloads(layerStore);
  const compressor = createLayerCompressor({ layerStore, blobStore, tmp: join(dataRoot, 'tmp') });
  const registry = lazyRegistryClient({
    registryMirrors: config.registryMirrors,
    insecureRegistries: config.insecureRegistries,
    env: process.env,
    userAgent: `tsd/${VERSION}`,
  });
  const layerMounts = createLayerMounts({ layerStore, detachedLayers: host.layers.detachedLayers, mountPoints: true });

  const launcherPath = config.launcherPath ?? LAUNCHER;
  const launcher = createLauncher({
    launcherPath,
    waiting: waitingLaunchers(host, (error) => log.warn({ err: error }, 'no launcher could be started ahead')),
  });
  const imageReleased = () => {
    removeHiddenImages({ store: images, imageUsers }).catch((error: unknown) =>
      log.error({ err: error }, 'an image that only a removed container kept could not be removed'),
    );
  };
  const networking = createNetworking({
    config,
    log,
    db,
    events,
    containerName: (id) => containers.store.byId(id)?.name,
    reattach: (networkId) => repairInterfaces(containers, networkId),
  });
  const containers: ContainerDeps = createContainerDeps({
    ...{ config, log, db, events, host, images, layerMounts, launcher, imageReleased },
    networks: networking.containers,
  });
  const imageUsers = (imageId: string) =>
    containers.store.ofImage(imageId).map(({ id, status }) => ({ id, running: isRunning(status) }));

  await reconcileContainers(containers);
  await networking.bringUp();
  await resumeContainers(containers);
  const reconciled = describeReconciledImages(
    await reconcileImages({ store: images, layerStore, blobStore, imageUsers }),
  );
  if (reconciled !== null) log.warn({}, reconciled);

  const server = await createServer({
    config,
    log,
    version: VERSION,
    onAnswered: quietCollections.answered,
    routes: [
      (app) =>
        systemRoutes(app, {
          config,
          host,
          build: { version: VERSION, gitCommit: '', builtAt: '' },
          launcherPath,
          containerCounts: () => countContainers(containers),
          imageCount: () => images.count(),
        }),
      (app) => imageRoutes(app, { store: images, layerStore, blobStore, imageUsers, downloads, registry, events }),
      (app) => distributionRoutes(app, { registry }),
      (app) => registryRoutes(app, { registry }),
      (app) => imagePushRoutes(app, { store: images, layerStore, blobStore, compressor, registry, events }),
      (app) => containerRoutes(app, containers),
      (app) =>
        containerStatsRoutes(app, {
          store: containers.store,
          stats: createStatsCollector({ ...containers, events }),
        }),
      (app) =>
        networkRoutes(app, {
          ...networking.deps,
          connectContainer: (container, network, settings) =>
            connectContainer(containers, container, network, settings),
          disconnectContainer: (container, network) => disconnectContainer(containers, container, network),
        }),
      (app) => containerArchiveRoutes(app, { ...containers, imageStore: images, layerStore }),
      (app) => eventRoutes(app, { events }),
      (app) => systemCheckRoutes(app, { db, store: images, layerStore, blobStore, registry, imageUsers }),
      (app) => diskUsageRoutes(app, { containers, images, imageUsers }),
    ],
  });
  await server.listen();
  writeFileSync(config.pidFile, `${process.pid}\n`);
  launcher.prepare();
  // Starting makes more garbage than a day of idling, and runs code that is not needed again.
  setImmediate(() => {
    releaseFreeMemory();
    unmapExecutablePages();
  });

  return {
    async close() {
      await server.close();
      containers.restartTimers.close();
      for (const [, { supervisor }] of containers.running.entries()) supervisor.disconnect();
      await containers.trash.idle();
      await containers.cgroups.idle();
      await networking.close();
      layerMounts.close();
      await launcher.close();
      // What was cut off cleans up behind itself.
      await images.layers.idle();
      await layerStore.close();
      await registry.close();
      if (host.cgroups !== null) removeCgroupParent(host.cgroups);
      db.close();
      rmSync(config.pidFile, { force: true });
    },
  };
}

/** The daemon answers while containers, and its own threads, use every processor. */
function preferEventLoop(log: Logger): void {
  try {
    preferThread(EVENT_LOOP_NICENESS);
  } catch (error) {
    log.debug({ err: error }, 'the event loop has no priority: that needs CAP_SYS_NICE');
  }
}

interface ContainerParts {
  readonly config: Config;
  readonly log: Logger;
  readonly db: ReturnType<typeof openDatabase>;
  readonly events: ContainerDeps['events'];
  readonly host: HostFacts;
  readonly images: ContainerDeps['images'];
  readonly layerMounts: ContainerDeps['layerMounts'];
  readonly launcher: ContainerDeps['launcher'];
  readonly imageReleased: ContainerDeps['imageReleased'];
  readonly networks: ContainerDeps['networks'];
}

function createContainerDeps(parts: ContainerParts): ContainerDeps {
  const { config, log, db, events, host, images, layerMounts, launcher, imageReleased, networks } = parts;
  const store = createContainerStore(db);
  const planning: LaunchPlanning = {
    host,
    compileSeccomp: createSeccompCompiler(),
    planLaunch,
    lookupDevices: (hostConfig) => lookupDevices(hostConfig.Devices ?? [], hostConfig.Privileged),
    readAccounts: createAccountsReader(),
    defaultUlimits: config.defaultUlimits,
  };
  const roots = { dataRoot: config.dataRoot, execRoot: config.execRoot };
  return {
    roots,
    log,
    events,
    store,
    idRanges: createIdRanges(store.list().flatMap(({ idRange }) => (idRange === null ? [] : [idRange]))),
    locks: createKeyedLock(),
    running: createRunningContainers(),
    waiters: createExitWaiters(),
    pendingAttaches: createPendingAttaches(),
    restartTimers: createRestartTimers(),
    trash: createTrash(join(config.dataRoot, 'trash'), log),
    images,
    imageReleased,
    networks,
    layerMounts,
    rootTrees: createRootTrees({ layerMounts }),
    launcher,
    planning,
    idmapProbe: createIdmapProbe(launcher, config.execRoot),
    cgroups: createContainerCgroups(host.cgroups, log),
    connectSupervisor,
    readExitFile,
  };
}

/** The host as plans see it; with AppArmor only where its profile could be loaded. */
async function readHost(config: Config, log: Logger): Promise<HostFacts> {
  const facts = readHostFacts({
    cgroupParent: config.cgroupParent ?? defaultCgroupParent(config.dataRoot),
    assumedKernel: config.assumedKernel,
  });
  if (!facts.securityModules.includes('apparmor') || !(await appArmorEnabled())) return facts;
  try {
    await loadAppArmorProfile(defaultAppArmorProfile());
    return facts;
  } catch (error) {
    log.warn(
      { err: error },
      'containers run without AppArmor: its profile could not be loaded (is apparmor installed?)',
    );
    return { ...facts, securityModules: facts.securityModules.filter((name) => name !== 'apparmor') };
  }
}

/** A parent of its own for each data root: a daemon takes every cgroup below its parent for one of its own. */
function defaultCgroupParent(dataRoot: string): string {
  if (dataRoot === '/var/lib/tsd') return '/tsd';
  return `/tsd-${createHash('sha256').update(dataRoot).digest('hex').slice(0, 12)}`;
}

function countContainers({ store }: Pick<ContainerDeps, 'store'>): {
  running: number;
  paused: number;
  stopped: number;
} {
  const containers = store.list();
  const paused = containers.filter(({ status }) => status === 'paused').length;
  const running = containers.filter(({ status }) => isRunning(status)).length - paused;
  return { running, paused, stopped: containers.length - running - paused };
}
