/** The pid and ipc namespaces of other containers, `--pid container:…` and `--ipc container:…`. */
import { TsdError } from '@tsd/shared/errors';
import type { LaunchContext } from './launch-context.ts';
import type { Namespace, Slot, Step } from './launch-plan.ts';
import { clonedNamespaces } from './plan-namespaces.ts';

export interface PlannedJoins {
  /** Host side, before `clone`, which then makes the process in them. */
  readonly host: readonly Step[];
  /** Of the `clone` step. */
  readonly cloned: readonly Namespace[];
  /**
   * Container side, before everything else: what needs the host's root or the other container's mounts, and then the other's user
   * namespace, in which the process makes the namespaces of its own.
   */
  readonly container: readonly Step[];
  /** The container's /proc, a detached mount; null where nothing is joined. */
  readonly proc: Slot | null;
  /** The process is in the user namespace of another container: its id maps are there. */
  readonly sharesUser: boolean;
  /** The other container's /dev/shm, which goes with its ipc namespace. */
  readonly shm: Slot | null;
}

/**
 * Whoever joins a pid or ipc namespace must be in the user namespace that it belongs to, or its root could neither signal the other's
 * processes nor open its segments. With the host's ids (`--userns=host`) it can do both as it is.
 *
 * @throws TsdError internal where the input contradicts the modes
 */
export function planJoins(context: LaunchContext): PlannedJoins {
  const { hostConfig, joined } = context.input;
  const { own } = context;
  for (const [mode, pid] of [
    [hostConfig.PidMode, joined?.pid],
    [hostConfig.IpcMode, joined?.ipc],
  ] as const) {
    if ((mode ?? '').startsWith('container:') !== (pid !== undefined)) {
      throw new TsdError('internal', `the joined containers of a launch do not fit its mode "${mode}"`);
    }
  }
  const wanted = clonedNamespaces(own);
  if (joined?.pid === undefined && joined?.ipc === undefined) {
    return { host: [], cloned: wanted, container: [], proc: null, sharesUser: false, shm: null };
  }
  const host: Step[] = [];
  const slots = new Map<number, Slot>();
  const join = (pid: number | undefined, namespace: Namespace): void => {
    if (pid === undefined) return;
    const slot = slots.get(pid) ?? context.newSlot();
    if (!slots.has(pid)) host.push({ op: 'open-pidfd', side: 'host', pid, slot });
    slots.set(pid, slot);
    host.push({ op: 'join-namespaces', side: 'host', slot, namespaces: [namespace] });
  };
  join(joined.pid, 'pid');
  join(joined.ipc, 'ipc');
  const alone = wanted.filter(
    (namespace) =>
      !(namespace === 'pid' && joined.pid !== undefined) && !(namespace === 'ipc' && joined.ipc !== undefined),
  );
  // `clone` makes a pid namespace while the process is in the host's user namespace, so only the host's root mounts its proc.
  const proc = context.newSlot();
  const container: Step[] = [
    {
      op: 'new-mount',
      side: 'container',
      fsType: 'proc',
      options: [{ kind: 'string', key: 'source', value: 'proc' }],
      attributes: ['nosuid', 'nodev', 'noexec'],
      slot: proc,
    },
  ];
  const shm = joined.ipc === undefined ? null : context.newSlot();
  if (shm !== null) {
    // A mount is cloned by whoever is in its mount namespace.
    const slot = slots.get(joined.ipc ?? 0) ?? 0;
    container.push(
      { op: 'join-namespaces', side: 'container', slot, namespaces: ['mount'] },
      { op: 'clone-tree', side: 'container', at: { path: '/dev/shm' }, slot: shm },
      { op: 'join-namespaces', side: 'container', namespaces: ['mount'] },
    );
  }
  if (!own.user) return { host, cloned: alone, container, proc, sharesUser: false, shm };
  const [slot = 0] = slots.values();
  const made = alone.filter((namespace) => namespace !== 'user' && namespace !== 'pid');
  container.push({ op: 'join-namespaces', side: 'container', slot, namespaces: ['user'] });
  if (made.length > 0) container.push({ op: 'unshare', side: 'container', namespaces: made });
  return { host, cloned: alone.filter((namespace) => namespace === 'pid'), container, proc, sharesUser: true, shm };
}
