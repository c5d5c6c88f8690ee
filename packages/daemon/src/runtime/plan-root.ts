/** The root file system: the image's layers, idmapped, under an overlay whose upper directory is the container's own. */
import { hostId, type LaunchContext } from './launch-context.ts';
import type { FsOption, MountAttribute, Slot, Step } from './launch-plan.ts';

const SAFE: readonly MountAttribute[] = ['nosuid', 'nodev', 'noexec'];

/** Host side, before `clone`: the container's writable directories, which are there already at a restart. */
export function planUpperDirectories(context: LaunchContext): Step[] {
  const owner = hostId(context, 0);
  const { upper, work } = context.input.paths;
  return [
    { op: 'mkdir', side: 'host', at: { path: upper }, mode: 0o755, parents: true, uid: owner, gid: owner },
    { op: 'mkdir', side: 'host', at: { path: work }, mode: 0o700, parents: true },
  ];
}

/**
 * Container side, ahead: a mount namespace of its own whose root is an empty directory, so that nothing of the host's is left
 * in it. (It is not made by `clone`, which may be long before the plan: it would keep the host's mounts busy.) Leaving the old
 * root waits for all processors (RCU), which is why it is not done last; the container's root is attached above this one.
 *
 * @param first steps in the host's mount namespace
 * @param before steps with all of the host's mounts in sight
 */
export function planEmptyRoot(context: LaunchContext, first: readonly Step[], before: readonly Step[]): Step[] {
  const slot = context.newSlot();
  const options: FsOption[] = [
    { kind: 'string', key: 'source', value: 'tmpfs' },
    { kind: 'string', key: 'size', value: '4k' },
    { kind: 'string', key: 'mode', value: '0555' },
  ];
  const steps: Step[] = [
    ...first,
    { op: 'unshare', side: 'container', namespaces: ['mount'] },
    { op: 'set-root-propagation', side: 'container', propagation: 'private' },
    ...before,
    { op: 'new-mount', side: 'container', fsType: 'tmpfs', options, attributes: ['rdonly', ...SAFE], slot },
    { op: 'attach-mount', side: 'container', slot, at: { path: '/' } },
    { op: 'pivot-root', side: 'container', slot },
  ];
  return steps.map((step) => ({ ...step, ahead: true }));
}

/** The child's user namespace in a slot, for idmapped mounts. Host side, after the id maps are written. */
export function planUserNamespaceSlot(context: LaunchContext): { steps: Step[]; slot: Slot | null } {
  if (!context.own.user) return { steps: [], slot: null };
  const slot = context.newSlot();
  return { steps: [{ op: 'open-child-namespace', side: 'host', namespace: 'user', slot }], slot };
}

/**
 * Host side, after `clone`: the overlay, detached, in the context's root slot. The host's side makes it, because an overlay
 * made inside a user namespace cannot read `trusted.overlay.opaque`. The upper directory is not idmapped: its files carry
 * the container's host ids, so that nothing in it belongs to a user of the host.
 */
export function planRootMount(context: LaunchContext, userNamespace: Slot | null): Step[] {
  const { host, layerCount, paths } = context.input;
  const steps: Step[] = [];
  const layers: Slot[] = [];
  for (let layer = 0; layer < layerCount; layer += 1) {
    // Where detached mounts can be cloned the layers' own are shared by all containers; otherwise they are this one's.
    const slot = userNamespace !== null && host.layers.detachedLayers ? context.newSlot() : layer;
    if (slot !== layer) steps.push({ op: 'clone-tree', side: 'host', at: { base: layer, path: '' }, slot });
    if (userNamespace !== null) steps.push({ op: 'set-mount-attributes', side: 'host', slot, idmap: userNamespace });
    layers.push(slot);
  }
  // Device nodes in an image are not for use; only who may make nodes in the container anyway gets to open them.
  const attributes: MountAttribute[] = context.capabilities.includes('CAP_MKNOD') && !context.own.user ? [] : ['nodev'];
  if (layerCount === 0) {
    // overlayfs needs a lower layer; an image without any is the upper directory alone.
    return [
      { op: 'clone-tree', side: 'host', at: { path: paths.upper }, slot: context.rootSlot },
      { op: 'set-mount-attributes', side: 'host', slot: context.rootSlot, set: attributes, propagation: 'private' },
    ];
  }
  // overlayfs takes the topmost layer first.
  layers.reverse();
  if (!host.layers.detachedLayers) {
    const { upper, work } = paths;
    steps.push({ op: 'new-overlay-by-path', side: 'host', layers, upper, work, attributes, slot: context.rootSlot });
    return steps;
  }
  const upper = context.newSlot();
  const work = context.newSlot();
  steps.push(
    { op: 'open-path', side: 'host', at: { path: paths.upper }, slot: upper, directory: true },
    { op: 'open-path', side: 'host', at: { path: paths.work }, slot: work, directory: true },
  );
  const options: FsOption[] = [
    { kind: 'string', key: 'source', value: 'overlay' },
    ...layers.map((slot): FsOption => ({ kind: 'slot', key: 'lowerdir+', slot })),
    { kind: 'slot', key: 'upperdir', slot: upper },
    { kind: 'slot', key: 'workdir', slot: work },
    // With an index the directories belong to one mount at a time, and an ended supervisor may hold the last one yet.
    { kind: 'string', key: 'index', value: 'off' },
    // Defaults of the kernel's configuration. What is in the upper directory must be whole, for commit and for other kernels.
    { kind: 'string', key: 'redirect_dir', value: 'off' },
    { kind: 'string', key: 'metacopy', value: 'off' },
  ];
  steps.push({
    op: 'new-mount',
    side: 'host',
    fsType: 'overlay',
    options,
    attributes,
    slot: context.rootSlot,
  });
  return steps;
}
