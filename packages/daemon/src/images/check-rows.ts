/** Reports what is wrong with the database's rows and mends what can be. */
import type { Database } from '../storage/database.ts';
import {
  checkDatabase,
  type ImageFault,
  mendConfiguration,
  mendLayerReferences,
  mendManifest,
  mendSize,
} from './check-database.ts';
import { type CheckRun, mended, unmended } from './check-run.ts';
import type { ImageStore } from './image-store.ts';
import { MAX_JSON_BYTES } from './parse-json.ts';
import { type RepairDeps, remoteSources, tryEach } from './repair-layer.ts';

export interface CheckRowsDeps extends Pick<RepairDeps, 'registry'> {
  readonly db: Database;
  readonly store: Pick<ImageStore, 'references' | 'manifests'>;
}

type Outcome = { repaired: boolean; remedy: string } | null;

export async function checkRows(deps: CheckRowsDeps, run: CheckRun): Promise<void> {
  const faults = await checkDatabase(deps.db, run.signal);
  for (const { table, problem } of faults.database) {
    const remedy = 'stop tsd and restore tsd.db from a backup';
    run.problem({ kind: 'database', id: table, problem }, run.repair ? unmended(remedy) : null);
  }
  for (const fault of faults.images) {
    const { problem, outcome } = await mendImage(deps, run, fault);
    if (outcome?.repaired !== true && fault.kind !== 'size') run.faultyImages.set(fault.imageId, problem);
    run.problem({ kind: 'image', id: fault.imageId, problem }, outcome);
  }
  for (const manifest of faults.manifests) {
    const outcome = run.repair ? await restoreManifest(deps, run, manifest) : null;
    run.problem({ kind: 'manifest', id: manifest.digest, problem: 'is damaged' }, outcome);
  }
  for (const { id, imageId } of faults.containers) {
    const remedy = `pull or load image ${imageId} again, or remove the container`;
    run.problem(
      { kind: 'container', id, problem: `its image ${imageId} is gone` },
      run.repair ? unmended(remedy) : null,
    );
  }
}

async function mendImage(
  deps: CheckRowsDeps,
  run: CheckRun,
  fault: ImageFault,
): Promise<{ problem: string; outcome: Outcome }> {
  switch (fault.kind) {
    case 'size': {
      if (run.repair) mendSize(deps.db, fault);
      return { problem: 'its size is not the sum of its layers', outcome: run.repair ? mended('corrected') : null };
    }
    case 'layers': {
      const problem = 'its layers are not those of its configuration';
      if (!run.repair) return { problem, outcome: null };
      const isMended = mendLayerReferences(deps.db, fault);
      return { problem, outcome: isMended ? mended('corrected') : unmended('pull or load it again') };
    }
    case 'configuration':
      return {
        problem: 'its configuration is damaged',
        outcome: run.repair ? await restoreConfiguration(deps, run, fault.imageId) : null,
      };
  }
}

/** The configuration is a blob in every repository that has the image; a kept manifest says how large it is. */
async function restoreConfiguration(deps: CheckRowsDeps, run: CheckRun, imageId: string): Promise<Outcome> {
  const descriptor = deps.store
    .manifests(imageId)
    .map(({ bytes }) => configDescriptor(bytes))
    .find((found) => found?.digest === imageId);
  if (descriptor == null) return unmended('no registry is known to have it: pull or load it again');
  const sources = remoteSources(deps, [], [imageId], async (repository) =>
    mendConfiguration(
      deps.db,
      imageId,
      await repository.readBlob(descriptor, { signal: run.signal, maxBytes: MAX_JSON_BYTES }),
    ),
  );
  const restored = await tryEach(sources, run.signal);
  if ('from' in restored) return mended(`fetched again from ${restored.from}`);
  return unmended(`pull or load it again (${restored.reasons.join('; ')})`);
}

/** What a manifest that may be damaged says of the configuration; null where it says nothing. */
function configDescriptor(manifest: Buffer): { digest: string; sizeBytes: number; mediaType: string } | null {
  try {
    const { config } = JSON.parse(manifest.toString()) as { config?: Record<string, unknown> };
    const { digest, size, mediaType } = config ?? {};
    if (typeof digest !== 'string' || typeof size !== 'number' || typeof mediaType !== 'string') return null;
    return { digest, sizeBytes: size, mediaType };
  } catch {
    return null;
  }
}

/** A push needs it to send exactly what was pulled; nothing else does. */
async function restoreManifest(
  deps: CheckRowsDeps,
  run: CheckRun,
  { digest, imageId }: { readonly digest: string; readonly imageId: string },
): Promise<Outcome> {
  const sources = remoteSources(deps, [], [imageId], async (repository) =>
    mendManifest(deps.db, digest, await repository.getManifest(digest, run.signal)),
  );
  const restored = await tryEach(sources, run.signal);
  if ('from' in restored) return mended(`fetched again from ${restored.from}`);
  mendManifest(deps.db, digest, null);
  return mended(`forgotten: a push of the image makes a new one (${restored.reasons.join('; ')})`);
}
