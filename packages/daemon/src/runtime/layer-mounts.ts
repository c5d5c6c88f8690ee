/**
 * Mounts of layers, shared by all containers: one detached, read-only EROFS mount for each layer, held by descriptor. The
 * launcher of a container inherits the descriptors and clones from them, so that each layer has one page cache however
 * many containers use it. Nothing of this is in the host's mount table, and all of it goes with the daemon's process.
 *
 * Before Linux 6.15 a detached mount cannot be cloned: a lease then has mounts of its own, of the same superblocks, which
 * is what mounting a block device again gives.
 */
import { closeSync, constants } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { LOOP_CONTROL } from '../os/loop-device.ts';
import { type LayerImageMount, mountAgain, mountLayerImage } from '../os/mount.ts';
import { openat2, RESOLVE_BENEATH } from '../os/openat2.ts';
import { getXattr } from '../os/xattr.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import { mountMountPointLayer } from './mount-points.ts';

/** Layers that stay mounted while nobody uses them: mounting costs 0.2 ms, but with the mount goes its page cache. */
const MAX_IDLE_MOUNTS = 64;

export interface LayerLease {
  /** Detached mounts, the bottom layer first. Valid until `release`; clones and inherited descriptors live on. */
  readonly descriptors: readonly number[];
  /** The lowest is the layer of mount points (mount-points.ts). */
  readonly hasMountPoints: boolean;
  /** To be called once the launcher has its copies. Further calls do nothing. */
  release(): void;
}

export interface LayerMounts {
  /**
   * Mounts the layers that are not mounted yet. There may be fewer of them than diff ids: of a layer that occurs
   * several times only the topmost is taken, and what lies below a layer whose root is opaque is left out, for overlayfs
   * does not look for that mark at the root.
   * @throws TsdError not_found: a layer is missing; unavailable: the kernel cannot mount layers.
   */
  acquire(diffIds: readonly string[]): LayerLease;
  /** Closes all mounts, leased ones too. Running containers keep theirs. */
  close(): void;
}

export interface LayerMountsOptions {
  readonly layerStore: LayerStore;
  /** Detached mounts can be cloned (Linux 6.15): leases share them. */
  readonly detachedLayers: boolean;
  /** A layer of mount points is below the image's in each lease; only where leases share mounts. */
  readonly mountPoints: boolean;
}

interface LayerMount extends LayerImageMount {
  readonly diffId: string;
  readonly opaque: boolean;
  users: number;
  /** Its files are gone: to be closed when the last user lets go. */
  removed: boolean;
}

export function createLayerMounts({ layerStore, detachedLayers, mountPoints }: LayerMountsOptions): LayerMounts {
  /** In the order of last use, oldest first. */
  const mounts = new Map<string, LayerMount>();
  const leased = new Set<LayerMount>();
  /** Mounts of single leases. */
  const own = new Set<number>();
  let lowest: number | undefined;

  const mountOf = (diffId: string): LayerMount => {
    const found = mounts.get(diffId) ?? mountLayer(layerStore, diffId, { loopDevices: !detachedLayers });
    mounts.delete(diffId);
    mounts.set(diffId, found);
    return found;
  };

  const letGo = (mount: LayerMount): void => {
    mount.users--;
    if (mount.users > 0) return;
    leased.delete(mount);
    if (mount.removed) closeSync(mount.descriptor);
    closeSurplus();
  };

  const closeSurplus = (): void => {
    const idle = [...mounts.values()].filter((mount) => mount.users === 0);
    for (const mount of idle.slice(0, Math.max(0, idle.length - MAX_IDLE_MOUNTS))) {
      mounts.delete(mount.diffId);
      closeSync(mount.descriptor);
    }
  };

  layerStore.onRemove((diffId) => {
    const mount = mounts.get(diffId);
    if (mount === undefined) return;
    mounts.delete(diffId);
    if (mount.users === 0) closeSync(mount.descriptor);
    else mount.removed = true;
  });

  return {
    acquire(diffIds) {
      const used: LayerMount[] = [];
      const descriptors: number[] = [];
      let released = false;
      const release = (): void => {
        if (released) return;
        released = true;
        // After `close` the descriptors are gone and their numbers may be others'.
        for (const descriptor of descriptors) if (own.delete(descriptor)) closeSync(descriptor);
        for (const mount of used) if (leased.has(mount)) letGo(mount);
      };
      try {
        for (const diffId of distinctLayers(diffIds)) {
          const mount = mountOf(diffId);
          mount.users++;
          leased.add(mount);
          used.push(mount);
        }
        if (mountPoints && detachedLayers) {
          lowest ??= mountMountPointLayer();
          descriptors.push(lowest);
        }
        const bottom = used.findLastIndex((mount) => mount.opaque);
        for (const mount of used.slice(Math.max(0, bottom))) {
          const descriptor = detachedLayers ? mount.descriptor : again(mount);
          descriptors.push(descriptor);
          if (!detachedLayers) own.add(descriptor);
        }
        return { descriptors, hasMountPoints: mountPoints && detachedLayers, release };
      } catch (error) {
        release();
        throw error;
      }
    },
    close() {
      for (const mount of new Set([...mounts.values(), ...leased])) closeSync(mount.descriptor);
      for (const descriptor of own) closeSync(descriptor);
      if (lowest !== undefined) closeSync(lowest);
      lowest = undefined;
      mounts.clear();
      leased.clear();
      own.clear();
    },
  };
}

/**
 * Overlayfs refuses a directory that occurs twice (ELOOP), and images often hold the same empty layer several times. The
 * lower ones change nothing: all that they add or hide the topmost adds or hides as well.
 */
function distinctLayers(diffIds: readonly string[]): string[] {
  return [...new Set(diffIds.toReversed())].reverse();
}

function mountLayer(layerStore: LayerStore, diffId: string, options: { readonly loopDevices: boolean }): LayerMount {
  if (!layerStore.has(diffId))
    throw new TsdError('not_found', `layer ${diffId} is missing from the data root; load or pull the image again`);
  let descriptor = -1;
  try {
    const mount = mountLayerImage(layerStore.files(diffId), options);
    descriptor = mount.descriptor;
    const root = openat2({ dirFd: descriptor, path: '.', flags: constants.O_DIRECTORY, resolve: RESOLVE_BENEATH });
    try {
      const opaque = getXattr(root, 'trusted.overlay.opaque', 16)?.toString() === 'y';
      return { ...mount, diffId, opaque, users: 0, removed: false };
    } finally {
      closeSync(root);
    }
  } catch (error) {
    if (descriptor >= 0) closeSync(descriptor);
    throw mountError(error, diffId);
  }
}

function again(mount: LayerMount): number {
  try {
    return mountAgain(mount);
  } catch (error) {
    throw mountError(error, mount.diffId);
  }
}

function mountError(error: unknown, diffId: string): unknown {
  if (!(error instanceof Error && 'code' in error) || error instanceof TsdError) return error;
  const noLoop = 'path' in error && error.path === LOOP_CONTROL;
  const reason = noLoop
    ? `this kernel needs loop devices for it (modprobe loop): ${error.message}`
    : error.code === 'ENODEV'
      ? 'the kernel has no EROFS (CONFIG_EROFS_FS)'
      : error.message;
  return new TsdError('unavailable', `cannot mount layer ${diffId}: ${reason}`, { cause: error });
}
