/** Checks one kept blob or one layer against its digest, and repairs it. It is pinned meanwhile. */
import type { BlobStore } from '../storage/blob-store.ts';
import type { CheckThread } from '../storage/check-thread.ts';
import type { Database } from '../storage/database.ts';
import { DEFAULT_LAYER_LIMITS } from '../storage/layer-limits.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import { imagesOn, mendLayerCounts } from './check-database.ts';
import { type CheckRun, mended, unmended } from './check-run.ts';
import type { KeptBlob } from './compressed-forms.ts';
import type { ImageStore } from './image-store.ts';
import { type ImageUsers, shortContainerId } from './image-users.ts';
import type { LayerRecord } from './layer-records.ts';
import { type RepairDeps, restoreBlob, restoreLayer } from './repair-layer.ts';

export interface CheckContentsDeps extends RepairDeps {
  readonly db: Database;
  readonly store: ImageStore;
  readonly layerStore: LayerStore;
  readonly blobStore: BlobStore;
  readonly imageUsers: ImageUsers;
}

/** Progress is told by `thread`, in bytes. */
export async function checkBlob(
  deps: CheckContentsDeps,
  run: CheckRun,
  { digest, diffId }: KeptBlob,
  thread: CheckThread,
): Promise<void> {
  const { db, store, blobStore } = deps;
  await store.layers.hold(async (pin) => {
    await pin([digest, diffId]);
    const findForm = () => store.compressedForms(diffId).find((form) => form.digest === digest && form.kept);
    if (findForm() === undefined) return;
    const problem = await thread.checkFile({ path: blobStore.path(digest), digest });
    // A prune may have given it up meanwhile.
    const form = findForm();
    if (problem === null || form === undefined) return;
    const found = { kind: 'blob', id: digest, problem } as const;
    if (!run.repair) return run.problem(found, null);
    const restored = await restoreBlob(deps, form, imagesOn(db, diffId), run.signal);
    if ('from' in restored) return run.problem(found, mended(`fetched again from ${restored.from}`));
    store.setKept(digest, false);
    run.problem(found, mended(`no longer kept: a push compresses the layer again (${restored.reasons.join('; ')})`));
  });
  if (run.repair) await store.layers.discard([], [digest]);
}

export async function checkLayer(
  deps: CheckContentsDeps,
  run: CheckRun,
  record: LayerRecord,
  thread: CheckThread,
): Promise<void> {
  const { db, store, layerStore } = deps;
  const { diffId } = record;
  await store.layers.hold(async (pin) => {
    await pin([diffId, ...store.compressedForms(diffId).map(({ digest }) => digest)]);
    const imageIds = imagesOn(db, diffId);
    if (imageIds.length === 0) return;
    // An earlier check may have found no right one, or no space to write it.
    if (run.repair) await layerStore.bringBack(diffId);
    const erofsPath = layerStore.imagePath(diffId);
    const imagePath = `${erofsPath}.new`;
    const { tar, image, remade, counts } = await thread.checkLayer({
      tar: { path: layerStore.tarPath(diffId), digest: diffId },
      erofsPath,
      limits: DEFAULT_LAYER_LIMITS,
      imageMode: layerStore.imageMode,
      remakeAt: run.repair ? imagePath : null,
    });
    if (counts !== null && !sameCounts(counts, record)) {
      if (run.repair) mendLayerCounts(db, diffId, counts);
      const problem = 'the database has other sizes than the tar';
      run.problem({ kind: 'layer', id: diffId, problem }, run.repair ? mended('corrected') : null);
    }
    const problem = tar !== null ? `layer.tar ${tar}` : image !== null ? `layer.erofs ${image}` : null;
    if (problem === null) {
      run.soundLayers.add(diffId);
      return;
    }
    const found = { kind: 'layer', id: diffId, problem } as const;
    const reason = `layer ${diffId} is damaged: ${problem}`;
    const fault = (): void => {
      for (const imageId of imageIds) run.faultyImages.set(imageId, reason);
    };
    if (!run.repair) {
      fault();
      return run.problem(found, null);
    }
    if (remade === true) {
      await layerStore.replaceImage(diffId, imagePath);
      run.soundLayers.add(diffId);
      return run.problem(found, mended(`made again from the tar${restartHint(deps, imageIds)}`));
    }
    // The tar is right, and this tsd would not take it in: no reason to lose what an earlier one made of it.
    if (tar === null && remade === false) return run.problem(found, unmended('left as it is'));
    // First the mark: boot takes images without layers for half removed, unless they are marked.
    for (const imageId of imageIds) {
      if (store.get(imageId)?.broken === null) run.markedImages.add(imageId);
      store.setBroken(imageId, reason);
    }
    await layerStore.setAside(diffId);
    const reasons: readonly string[] = typeof remade === 'string' ? [remade] : [];
    const restored = tar === null ? { reasons } : await restoreLayer(deps, diffId, imageIds, run.signal);
    if ('from' in restored) {
      run.soundLayers.add(diffId);
      return run.problem(found, mended(`brought in again from ${restored.from}${restartHint(deps, imageIds)}`));
    }
    fault();
    run.problem(found, unmended(`set aside as damaged (${restored.reasons.join('; ')})`));
  });
}

function sameCounts(counts: Omit<LayerRecord, 'diffId'>, record: LayerRecord): boolean {
  return (
    counts.tarSizeBytes === record.tarSizeBytes &&
    counts.contentSizeBytes === record.contentSizeBytes &&
    counts.entryCount === record.entryCount
  );
}

/** A container that runs has the old files open. */
function restartHint({ imageUsers }: CheckContentsDeps, imageIds: readonly string[]): string {
  const running = imageIds.flatMap(imageUsers).filter((container) => container.running);
  if (running.length === 0) return '';
  return `; these containers use the damaged files until they are restarted: ${running.map(({ id }) => shortContainerId(id)).join(', ')}`;
}
