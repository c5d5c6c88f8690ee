/** A layer store with mounts, in a temporary directory, as on one kernel or another; and what tar(1) makes of the same archive. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { createLayerMounts, type LayerMounts } from '../../packages/daemon/src/runtime/layer-mounts.ts';
import { type LayerSupport, layerSupport } from '../../packages/daemon/src/runtime/layer-support.ts';
import { createLayerStore, type LayerStore } from '../../packages/daemon/src/storage/layer-store.ts';
import { TEMPORARY_PREFIX } from '../support/leaks.ts';
import { describeTree } from './tree-digest.ts';

const [major = 0, minor = 0] = release()
  .split('.')
  .map((part) => Number.parseInt(part, 10));

/** What the kernel that runs this can do. */
export const RUNNING: LayerSupport = layerSupport({ major, minor });

export interface Kernel {
  /** As --assume-kernel takes it. */
  readonly version: string;
  readonly support: LayerSupport;
}

/** One for each way to store and mount layers: those of older kernels work on newer ones too. */
export const KERNELS: readonly Kernel[] = ['6.15', '6.12', '6.1'].flatMap((version) => {
  const [ofMajor = 0, ofMinor = 0] = version.split('.').map(Number);
  if (ofMajor > major || (ofMajor === major && ofMinor > minor)) return [];
  return [{ version, support: layerSupport({ major: ofMajor, minor: ofMinor }) }];
});

export interface Bench {
  readonly directory: string;
  readonly store: LayerStore;
  readonly mounts: LayerMounts;
  /** Makes and returns a directory. */
  make(name: string): string;
  ingest(tar: string | Buffer): Promise<string>;
}

export interface Layers {
  readonly store: LayerStore;
  readonly mounts: LayerMounts;
}

/** A store in an existing directory. */
export function openLayers(directory: string, { imageMode, detachedLayers }: LayerSupport): Layers {
  const store = createLayerStore({ root: join(directory, 'layers'), tmp: join(directory, 'tmp'), imageMode });
  return { store, mounts: createLayerMounts({ layerStore: store, detachedLayers, mountPoints: false }) };
}

/** All of it goes with the test. */
export function bench(tap: Test, support: LayerSupport): Bench {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  const { store, mounts } = openLayers(directory, support);
  tap.teardown(async () => {
    mounts.close();
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    directory,
    store,
    mounts,
    make(name) {
      mkdirSync(join(directory, name));
      return join(directory, name);
    },
    async ingest(tar) {
      const source = typeof tar === 'string' ? createReadStream(tar) : once(tar);
      return (await store.ingest(source)).diffId;
    },
  };
}

export async function* once(piece: Buffer): AsyncGenerator<Buffer> {
  yield piece;
}

export function extract(tar: string, into: string, ...options: string[]): void {
  execFileSync(
    'tar',
    ['-x', '-p', '-f', tar, '-C', into, '--numeric-owner', '--xattrs', '--xattrs-include=*', ...options],
    {
      stdio: ['ignore', 'ignore', 'ignore'],
    },
  );
}

/** Lines of the one that are not in the other, a few of them. */
export function firstDifferences(found: string, wanted: string): string[] {
  const difference = (one: string, other: string, mark: string): string[] => {
    const lines = new Set(other.split('\n'));
    const missing = one.split('\n').filter((line) => !lines.has(line));
    return missing.slice(0, 10).map((line) => `${mark} ${line}`);
  };
  return [...difference(found, wanted, 'found'), ...difference(wanted, found, 'wanted')];
}

/** The layer mounted alone, in each bench, equals what tar extracts; fsck.erofs accepts it. */
export async function compareWithTar(tap: Test, benches: readonly Bench[], tar: string, name: string): Promise<void> {
  const reference = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  try {
    extract(tar, reference);
    const theirs = describeTree(reference);
    for (const { ingest, mounts, store } of benches) {
      const diffId = await ingest(tar);
      const lease = mounts.acquire([diffId]);
      const ours = describeTree('/proc/self/fd/3', lease.descriptors);
      tap.strictSame(firstDifferences(ours, theirs), [], `${name}, ${store.imageMode} mode`);
      lease.release();
      const complaints = fsck(store, diffId);
      if (complaints !== null) tap.equal(complaints, '', `fsck.erofs of ${name}, ${store.imageMode} mode`);
    }
  } finally {
    rmSync(reference, { recursive: true });
  }
}

/** What fsck.erofs says against an image; null where it is not installed or does not know blocks of 512 bytes (before 1.6). */
function fsck(store: LayerStore, diffId: string): string | null {
  const { erofsPath, devicePaths } = store.files(diffId);
  if (fsckVersion === null || (devicePaths.length > 0 && fsckVersion < 1.6)) return null;
  const devices = devicePaths.map((path) => `--device=${path}`);
  const { status, stdout, stderr } = spawnSync('fsck.erofs', [...devices, erofsPath], { encoding: 'utf8' });
  return status === 0 ? '' : `${status}: ${stdout}${stderr}`;
}

const fsckVersion = ((): number | null => {
  const { error, stdout, stderr } = spawnSync('fsck.erofs', ['-V'], { encoding: 'utf8' });
  if (error !== undefined) return null;
  const [, first, second] = /(\d+)\.(\d+)/.exec(stdout + stderr) ?? [];
  return Number(`${first}.${second}`);
})();

/** For the reason of a skip: which images no check by fsck.erofs covers. */
export const FSCK_GAP: string | false =
  fsckVersion === null
    ? 'fsck.erofs (Debian erofs-utils) is not installed'
    : fsckVersion < 1.6 &&
      'fsck.erofs is older than 1.6: images in index mode are checked in the guest of test/guest.test.ts';
