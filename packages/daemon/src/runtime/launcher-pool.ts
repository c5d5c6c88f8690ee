/**
 * The launchers' processes. Some wait ahead of their plan, with the process of an ordinary container made already in its
 * namespaces: that is a third of a launch, and a start need not wait for it.
 */
import { closeSync } from 'node:fs';
import { sendBytes } from '../os/send-descriptor.ts';
import { createSocketPair } from '../os/socket-pair.ts';
import { reapProcess, spawnDescriptor, spawnDescriptorInThread } from '../os/spawn-launcher.ts';
import type { HostFacts } from './host-facts.ts';
import type { Namespace } from './launch-plan.ts';
import { CONTROL_DESCRIPTOR, encodePrepare } from './launcher-protocol.ts';
import { clonedNamespaces, resolveNamespaces } from './plan-namespaces.ts';

export interface LauncherProcess {
  /** The daemon's end of the control stream; whoever takes the launcher closes it, which ends a launcher that has no plan. */
  readonly control: number;
  /** Resolves when the first process is reaped: it only forks (PROTOCOL.md, section 1). */
  readonly forked: Promise<void>;
  /** Whether it waited, and so may have died meanwhile. */
  readonly waited: boolean;
}

export interface WaitingLaunchers {
  readonly count: number;
  /** What the process is made with ahead, null for none. A plan that wants another one gets it, only later. */
  readonly namespaces: readonly Namespace[] | null;
  /** Told when none could be started ahead. The next launch tries again, and fails with the reason. */
  readonly onError: (error: unknown) => void;
}

const ARGV = ['tsd-launch'];
/** Enough for starts in turn; many at once spawn their own. */
const WAITING_COUNT = 2;
/** A container that has just started, and whoever waits for it, come first. */
const QUIET_MS = 20;

/** What to prepare for an ordinary container. On version 2 its process is born in its cgroup, so it cannot be made ahead. */
export function waitingLaunchers(
  host: Pick<HostFacts, 'cgroups'>,
  onError: WaitingLaunchers['onError'],
): WaitingLaunchers {
  const namespaces = host.cgroups?.version === 2 ? null : clonedNamespaces(resolveNamespaces({}));
  return { count: WAITING_COUNT, namespaces, onError };
}

export interface LauncherPool {
  /** One that waits, or a new one. @throws SystemCallError where none can be started. */
  take(): LauncherProcess;
  /** Starts those that are missing, in the background: at once when none waits, else when none was taken for a while. */
  refill(): void;
  /** Ends those that wait. */
  close(): Promise<void>;
}

/** @param executable a descriptor of the launcher's binary. */
export function createLauncherPool(executable: number, ahead: WaitingLaunchers | null): LauncherPool {
  const waiting: LauncherProcess[] = [];
  const starting = new Set<Promise<void>>();
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const startOne = async (namespaces: readonly Namespace[] | null): Promise<void> => {
    const [control, launcherEnd] = createSocketPair();
    try {
      const pid = await spawnDescriptorInThread(executable, ARGV, new Map([[CONTROL_DESCRIPTOR, launcherEnd]]));
      waiting.push({ control, forked: reap(pid), waited: true });
      if (namespaces !== null) sendBytes(control, encodePrepare(namespaces));
    } catch (error) {
      closeSync(control);
      throw error;
    } finally {
      closeSync(launcherEnd);
    }
  };
  const startMissing = ({ count, namespaces, onError }: WaitingLaunchers): void => {
    for (let missing = count - waiting.length - starting.size; missing > 0; missing -= 1) {
      const work = startOne(namespaces)
        .catch(onError)
        .finally(() => starting.delete(work));
      starting.add(work);
    }
  };
  return {
    take() {
      const launcher = waiting.shift();
      if (launcher !== undefined) return launcher;
      const [control, launcherEnd] = createSocketPair();
      try {
        const pid = spawnDescriptor(executable, ARGV, new Map([[CONTROL_DESCRIPTOR, launcherEnd]]));
        return { control, forked: reap(pid), waited: false };
      } catch (error) {
        closeSync(control);
        throw error;
      } finally {
        closeSync(launcherEnd);
      }
    },
    refill() {
      if (ahead === null || closed) return;
      clearTimeout(timer);
      timer = setTimeout(() => startMissing(ahead), waiting.length + starting.size === 0 ? 0 : QUIET_MS);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await Promise.all(starting);
      const ended = waiting.splice(0);
      for (const { control } of ended) closeSync(control);
      await Promise.all(ended.map(({ forked }) => forked));
    },
  };
}

/** Whoever takes the launcher awaits this; until then a rejection must not count as unhandled. */
function reap(pid: number): Promise<void> {
  const forked = reapProcess(pid);
  forked.catch(() => undefined);
  return forked;
}
