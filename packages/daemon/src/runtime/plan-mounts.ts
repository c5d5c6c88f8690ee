/** Everything that is mounted beneath the container's root. */
import { hostId, type LaunchContext } from './launch-context.ts';
import type { FsOption, MountAttribute, Slot, Step } from './launch-plan.ts';
import { MOUNT_POINTS } from './mount-points.ts';
import { planCgroupMounts } from './plan-cgroup.ts';
import { planDeviceLinks, planDeviceNodes, planDevicesElsewhere } from './plan-devices.ts';
import type { PlannedJoins } from './plan-joins.ts';
import { planUserMounts, wantedMounts } from './plan-user-mounts.ts';

export interface MountSteps {
  /** Host side, after the id maps: detached mounts. */
  readonly host: readonly Step[];
  /**
   * Container side, in its own mount namespace while that is still like the host's, after the id maps: detached mounts of what
   * belongs to its other namespaces. In a user namespace a new proc or sysfs needs one that is all in sight.
   */
  readonly own: readonly Step[];
  /** Container side, with the root attached. */
  readonly container: readonly Step[];
  readonly proc: Slot;
  /** Null where the user mounted something of their own on /sys. */
  readonly sys: Slot | null;
}

const SAFE: readonly MountAttribute[] = ['nosuid', 'nodev', 'noexec'];
const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

function option(key: string, value: string | number): FsOption {
  return { kind: 'string', key, value: String(value) };
}

/** The ids are the user namespace's. */
function ownedByRoot(): FsOption[] {
  return [option('uid', 0), option('gid', 0)];
}

/** What tells programs that they are in a container. Optional: an image's /etc may be anything. */
function planMarks(context: LaunchContext): Step[] {
  return context.input.missingMarks.flatMap((path): Step[] => {
    const name = MOUNT_POINTS.get(path);
    const step = { side: 'container', optional: true, at: { base: context.rootSlot, path } } as const;
    if (name?.kind === 'symlink') return [{ op: 'symlink', ...step, target: name.target }];
    if (name?.kind !== 'file') return [];
    return [{ op: 'mknod', ...step, type: 'file', mode: name.mode, major: 0, minor: 0 }];
  });
}

/** /etc/hosts, /etc/hostname and /etc/resolv.conf: files of the container's own, unless the user mounts there. */
function planNameFiles(
  context: LaunchContext,
  taken: (target: string) => boolean,
): { host: Step[]; container: Step[] } {
  const { paths } = context.input;
  const host: Step[] = [];
  const container: Step[] = [];
  const files = [
    [paths.hosts, '/etc/hosts'],
    [paths.hostname, '/etc/hostname'],
    [paths.resolvConf, '/etc/resolv.conf'],
  ] as const;
  for (const [source, target] of files) {
    if (source === null || taken(target)) continue;
    const slot = context.newSlot();
    host.push(
      { op: 'clone-tree', side: 'host', at: { path: source }, slot },
      { op: 'set-mount-attributes', side: 'host', slot, propagation: 'private' },
    );
    container.push({
      op: 'attach-mount',
      side: 'container',
      slot,
      at: { base: context.rootSlot, path: target },
      create: 'file',
    });
  }
  return { host, container };
}

/** /dev and what is in it. */
function planDev(
  context: LaunchContext,
  joinedShm: Slot | null,
  taken: (target: string) => boolean,
): { host: Step[]; own: Step[]; container: Step[] } {
  const { config, hostConfig } = context.input;
  if (taken('/dev')) return { host: [], own: [], container: [] };
  const dev = context.newSlot();
  const pts = context.newSlot();
  const owner = hostId(context, 0);
  const host: Step[] = [
    {
      op: 'new-mount',
      side: 'host',
      fsType: 'tmpfs',
      options: [
        option('source', 'tmpfs'),
        option('mode', '0755'),
        option('size', '65536k'),
        option('uid', owner),
        option('gid', owner),
      ],
      attributes: ['nosuid', 'strictatime'],
      slot: dev,
    },
    ...planDeviceNodes(context, dev),
  ];
  const own: Step[] = [
    {
      op: 'new-mount',
      side: 'container',
      fsType: 'devpts',
      options: [
        option('source', 'devpts'),
        { kind: 'flag', key: 'newinstance' },
        option('ptmxmode', '0666'),
        option('mode', '0620'),
        option('gid', 5),
      ],
      attributes: ['nosuid', 'noexec'],
      slot: pts,
    },
  ];
  const container: Step[] = [
    {
      op: 'attach-mount',
      side: 'container',
      slot: dev,
      at: { base: context.rootSlot, path: '/dev' },
      create: 'directory',
    },
    { op: 'attach-mount', side: 'container', slot: pts, at: { base: dev, path: 'pts' }, create: 'directory' },
    ...planDeviceLinks(dev),
  ];
  const attach = (name: string, slot: Slot): void => {
    container.push({ op: 'attach-mount', side: 'container', slot, at: { base: dev, path: name }, create: 'directory' });
  };
  if (!taken('/dev/shm') && hostConfig.IpcMode !== 'none') {
    const slot = joinedShm ?? context.newSlot();
    if (joinedShm !== null) {
      own.push({ op: 'set-mount-attributes', side: 'container', slot, set: SAFE, propagation: 'private' });
    } else if (context.own.ipc) {
      const size = hostConfig.ShmSize || DEFAULT_SHM_BYTES;
      own.push({
        op: 'new-mount',
        side: 'container',
        fsType: 'tmpfs',
        // Done ahead, the child is not yet the container's root.
        options: [option('source', 'shm'), option('mode', '1777'), option('size', size), ...ownedByRoot()],
        attributes: SAFE,
        slot,
      });
    } else {
      host.push({ op: 'clone-tree', side: 'host', at: { path: '/dev/shm' }, slot });
      host.push({ op: 'set-mount-attributes', side: 'host', slot, set: SAFE, propagation: 'private' });
    }
    attach('shm', slot);
  }
  if (!taken('/dev/mqueue')) {
    const slot = context.newSlot();
    const side = context.own.ipc ? 'container' : 'host';
    const mount: Step = {
      op: 'new-mount',
      side,
      fsType: 'mqueue',
      options: [option('source', 'mqueue')],
      attributes: SAFE,
      slot,
    };
    (side === 'host' ? host : own).push(mount);
    attach('mqueue', slot);
  }
  if (config.Tty === true) {
    const { rows, columns } = context.input.consoleSize ?? { rows: 0, columns: 0 };
    const slot = context.newSlot();
    container.push(
      { op: 'open-pty', side: 'container', root: context.rootSlot, rows, columns },
      // The first terminal of a new devpts is number 0.
      { op: 'clone-tree', side: 'container', at: { base: pts, path: '0' }, slot },
      { op: 'attach-mount', side: 'container', slot, at: { base: dev, path: 'console' }, create: 'file' },
    );
  }
  return { host, own, container };
}

/**
 * All mounts, in Docker's order: the kernel's own first, the user's by depth afterwards. A file system that belongs to a
 * namespace is mounted by the side that is in it: the child for the container's own, the host's side for the host's.
 * @throws TsdError for a user's mount that cannot be.
 */
export function planMounts(context: LaunchContext, userNamespace: Slot | null, joins: PlannedJoins): MountSteps {
  const wanted = wantedMounts(context);
  const targets = new Set(wanted.map((mount) => mount.target));
  const taken = (target: string): boolean => targets.has(target);
  const host: Step[] = [];
  const own: Step[] = [];
  const container: Step[] = [];
  const add = (steps: Partial<MountSteps> & Pick<MountSteps, 'host' | 'container'>): void => {
    host.push(...steps.host);
    own.push(...(steps.own ?? []));
    container.push(...steps.container);
  };
  const attach = (slot: Slot, path: string): void => {
    container.push({
      op: 'attach-mount',
      side: 'container',
      slot,
      at: { base: context.rootSlot, path },
      create: 'directory',
    });
  };
  const kernelMount = (fsType: string, isOwn: boolean, attributes: readonly MountAttribute[], target: string): Slot => {
    const slot = context.newSlot();
    const side = isOwn ? 'container' : 'host';
    const mount: Step = { op: 'new-mount', side, fsType, options: [option('source', fsType)], attributes, slot };
    (isOwn ? own : host).push(mount);
    attach(slot, target);
    return slot;
  };
  if (joins.proc !== null) attach(joins.proc, '/proc');
  const proc = joins.proc ?? kernelMount('proc', context.own.pid, SAFE, '/proc');
  add(planDev(context, joins.shm, taken));
  let sys: Slot | null = null;
  if (!taken('/sys')) {
    sys = kernelMount('sysfs', context.own.net, context.privileged ? SAFE : [...SAFE, 'rdonly'], '/sys');
    if (!taken('/sys/fs/cgroup')) add(planCgroupMounts(context, sys));
  }
  add(planNameFiles(context, taken));
  container.push(...planMarks(context));
  for (const steps of planUserMounts(context, userNamespace, wanted)) add(steps);
  add(planDevicesElsewhere(context));
  return { host, own, container, proc, sys };
}
