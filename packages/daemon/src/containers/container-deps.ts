/** What the verbs work with. Each verb names the part that it needs with `Pick`; tests give fakes. */
import type { Ulimit } from '@tsd/shared/ulimit-spec';
import type { EventPublisher } from '../events/engine-events.ts';
import type { ImageStore } from '../images/image-store.ts';
import type { HostDevice } from '../os/lookup-devices.ts';
import type { ExitReport } from '../runtime/exit-report.ts';
import type { HostFacts } from '../runtime/host-facts.ts';
import type { IdmapProbe } from '../runtime/idmap-probe.ts';
import type { Launcher } from '../runtime/launch.ts';
import type { LaunchInput } from '../runtime/launch-input.ts';
import type { LaunchPlan } from '../runtime/launch-plan.ts';
import type { LayerMounts } from '../runtime/layer-mounts.ts';
import type { RootTrees } from '../runtime/root-tree/root-trees.ts';
import type { SeccompRules } from '../runtime/seccomp-profile.ts';
import type { Supervisor } from '../runtime/supervisor.ts';
import type { HostConfig } from './container.ts';
import type { ContainerCgroups } from './container-cgroups.ts';
import type { ContainerNetworking } from './container-networking.ts';
import type { StateRoots } from './container-paths.ts';
import type { ContainerStore } from './container-store.ts';
import type { ExitWaiters } from './exit-waiters.ts';
import type { IdRanges } from './id-ranges.ts';
import type { KeyedLock } from './keyed-lock.ts';
import type { Log } from './log.ts';
import type { PendingAttaches } from './pending-attaches.ts';
import type { AccountsReader } from './read-accounts.ts';
import type { RestartTimers } from './restart-timers.ts';
import type { RunningContainers } from './running-containers.ts';
import type { Trash } from './trash.ts';

/** What turns a record into a plan: the runtime's pure parts and what they are told about the host. */
export interface LaunchPlanning {
  readonly host: HostFacts;
  readonly compileSeccomp: (profile: SeccompRules) => Uint8Array;
  planLaunch(input: LaunchInput): { readonly plan: LaunchPlan; readonly warnings: readonly string[] };
  lookupDevices(hostConfig: HostConfig): readonly HostDevice[];
  readonly readAccounts: AccountsReader;
  readonly defaultUlimits: readonly Ulimit[];
}

export interface ContainerDeps {
  readonly roots: StateRoots;
  readonly log: Log;
  readonly events: EventPublisher;
  readonly store: ContainerStore;
  readonly idRanges: IdRanges;
  readonly locks: KeyedLock;
  readonly running: RunningContainers;
  readonly waiters: ExitWaiters;
  readonly pendingAttaches: PendingAttaches;
  readonly restartTimers: RestartTimers;
  readonly trash: Trash;
  readonly networks: ContainerNetworking;
  readonly images: Pick<ImageStore, 'get' | 'resolve'>;
  /** Told after a removal: an image that only this container kept may go. */
  readonly imageReleased: (imageId: string) => void;
  readonly layerMounts: Pick<LayerMounts, 'acquire'>;
  readonly rootTrees: RootTrees;
  readonly launcher: Pick<Launcher, 'launch'>;
  readonly planning: LaunchPlanning;
  readonly idmapProbe: IdmapProbe;
  readonly cgroups: ContainerCgroups;
  /** runtime/supervisor.ts: reconnects after a restart of the daemon. */
  readonly connectSupervisor: (controlSocket: string) => Promise<Supervisor>;
  readonly readExitFile: (path: string) => ExitReport | null;
}
