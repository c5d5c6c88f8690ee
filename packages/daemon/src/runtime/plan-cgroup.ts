/** The container's control groups: made and limited by the host's side, entered by the child. */
import { type CgroupTree, cgroupTrees, containerCgroup, treeOf } from '../os/cgroup-layout.ts';
import { cgroupLimits } from './cgroup-limits.ts';
import { deviceProgram } from './device-program.ts';
import type { LaunchContext } from './launch-context.ts';
import type { Slot, Step } from './launch-plan.ts';
import { deviceRules, formatDeviceRule } from './plan-devices.ts';

export interface CgroupSteps {
  /** Host side, before `clone`: what the process is born in. */
  readonly make: readonly Step[];
  /** Host side, after it: what the process enters. */
  readonly makeLater: readonly Step[];
  /** For `clone`: the version 2 cgroup to start in. */
  readonly cloneInto: Slot | undefined;
}

/**
 * Steps that make the cgroups. Version 2 is entered by clone3(2). Version 1 is entered by the child itself, which writes 0
 * into `tasks`: the kernel moves a thread that moves itself without stopping every fork and exit of the host, where writing a
 * pid into cgroup.procs waits for an RCU grace period (measured: 0.02 ms against 4–20 ms).
 */
export function planCgroups(context: LaunchContext): CgroupSteps {
  const { host, hostConfig, id } = context.input;
  const limits = cgroupLimits(hostConfig, host);
  context.warnings.push(...limits.warnings);
  const layout = host.cgroups;
  const rules = deviceRules(context);
  const devices = layout === null ? undefined : treeOf(layout, 'devices');
  if (rules !== null && layout?.version !== 2 && devices === undefined && !context.own.user) {
    context.warnings.push(
      'Your kernel does not support the devices cgroup or the cgroup is not mounted. Access to devices is not limited.',
    );
  }
  if (layout === null) return { make: [], makeLater: [], cloneInto: undefined };
  const make: Step[] = cgroupTrees(layout).map((tree) => ({
    op: 'mkdir',
    side: 'host',
    at: { path: containerCgroup(tree, id) },
    mode: 0o755,
    parents: true,
  }));
  const write = (tree: CgroupTree | undefined, file: string, data: string): void => {
    if (tree === undefined) return;
    make.push({ op: 'write-file', side: 'host', at: { path: `${containerCgroup(tree, id)}/${file}` }, data });
  };
  for (const limit of limits.writes) {
    write(layout.version === 2 ? layout.unified : treeOf(layout, limit.controller), limit.file, limit.value);
  }
  if (rules !== null && devices !== undefined) {
    write(devices, 'devices.deny', 'a');
    for (const rule of rules) write(devices, 'devices.allow', formatDeviceRule(rule));
  }
  if (rules !== null && layout.version === 2) {
    make.push({
      op: 'attach-device-program',
      side: 'host',
      // In a user namespace it is a second lock: no node can be made, none of the image's opened. Where the host does not
      // let the daemon load programs (inside another container, say), it may be missing there.
      ...(context.own.user ? { optional: true } : {}),
      at: { path: containerCgroup(layout.unified, id) },
      program: deviceProgram(rules),
    });
  }
  if (layout.version === 1) return { make: [], makeLater: make, cloneInto: undefined };
  const cloneInto = context.newSlot();
  const path = containerCgroup(layout.unified, id);
  make.push({ op: 'open-path', side: 'host', at: { path }, slot: cloneInto, directory: true });
  return { make, makeLater: [], cloneInto };
}

/**
 * How the child enters its version 1 cgroups: its first steps but those ahead, after which the host's paths are out of its
 * sight, so the host's side opens them.
 */
export function planCgroupEntry(context: LaunchContext): {
  readonly open: readonly Step[];
  readonly enter: readonly Step[];
} {
  const { host, id } = context.input;
  if (host.cgroups?.version !== 1) return { open: [], enter: [] };
  const slots = host.cgroups.trees.map((tree) => ({ path: containerCgroup(tree, id), slot: context.newSlot() }));
  return {
    open: slots.map(({ path, slot }) => ({ op: 'open-path', side: 'host', at: { path }, slot, directory: true })),
    enter: slots.map(({ slot }) => ({ op: 'enter-cgroup', side: 'container', at: { base: slot, path: '' } })),
  };
}

/** The file with the `oom_kill` counter of the container's memory cgroup; null without one. */
export function oomCounterFile(context: LaunchContext): string | null {
  const { host, id } = context.input;
  if (host.cgroups === null) return null;
  if (host.cgroups.version === 2) {
    return host.cgroupFiles.has('memory.events') ? `${containerCgroup(host.cgroups.unified, id)}/memory.events` : null;
  }
  const memory = treeOf(host.cgroups, 'memory');
  return memory === undefined ? null : `${containerCgroup(memory, id)}/memory.oom_control`;
}

/**
 * /sys/fs/cgroup as Docker shows it: version 2 the container's own cgroup; version 1 a tmpfs with each controller's, and
 * links for controllers that share a tree. Read-only unless privileged. Bind mounts of the directories themselves: in the
 * container's cgroup namespace they look like roots, and no new superblock is made.
 */
export function planCgroupMounts(context: LaunchContext, sys: Slot): { host: Step[]; container: Step[] } {
  const { host: facts, id } = context.input;
  const layout = facts.cgroups;
  if (layout === null) return { host: [], container: [] };
  const top = context.newSlot();
  const target = { base: sys, path: 'fs/cgroup' };
  const attributes = context.privileged
    ? (['nosuid', 'nodev', 'noexec'] as const)
    : (['rdonly', 'nosuid', 'nodev', 'noexec'] as const);
  if (layout.version === 2) {
    const source = context.own.cgroup ? containerCgroup(layout.unified, id) : layout.unified.mountPoint;
    return {
      host: [
        { op: 'clone-tree', side: 'host', at: { path: source }, slot: top },
        { op: 'set-mount-attributes', side: 'host', slot: top, set: attributes, propagation: 'private' },
      ],
      container: [{ op: 'attach-mount', side: 'container', slot: top, at: target }],
    };
  }
  const host: Step[] = [
    {
      op: 'new-mount',
      side: 'host',
      fsType: 'tmpfs',
      options: [
        { kind: 'string', key: 'source', value: 'tmpfs' },
        { kind: 'string', key: 'mode', value: '0755' },
      ],
      attributes: ['nosuid', 'nodev', 'noexec'],
      slot: top,
    },
  ];
  const container: Step[] = [{ op: 'attach-mount', side: 'container', slot: top, at: target }];
  for (const tree of layout.trees) {
    const name = tree.mountPoint.slice(tree.mountPoint.lastIndexOf('/') + 1);
    const slot = context.newSlot();
    host.push(
      { op: 'mkdir', side: 'host', at: { base: top, path: name }, mode: 0o755 },
      { op: 'clone-tree', side: 'host', at: { path: containerCgroup(tree, id) }, slot },
    );
    for (const controller of tree.controllers) {
      if (controller !== name && !controller.startsWith('name=')) {
        host.push({ op: 'symlink', side: 'host', at: { base: top, path: controller }, target: name });
      }
    }
    container.push({ op: 'attach-mount', side: 'container', slot, at: { base: top, path: name } });
  }
  container.push({
    op: 'set-mount-attributes',
    side: 'container',
    slot: top,
    set: attributes,
    propagation: 'private',
    recursive: true,
  });
  return { host, container };
}
