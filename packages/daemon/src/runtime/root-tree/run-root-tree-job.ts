/** Does one job, synchronously, in a worker thread. */
import { ArchiveWriter } from './archive-writer.ts';
import { SlotWriter } from './byte-slots.ts';
import { createContainerIds } from './container-ids.ts';
import { listChanges } from './list-changes.ts';
import type { RootTreeJob } from './root-tree-job.ts';
import { WalkBudget } from './walk-budget.ts';
import { walkRoot } from './walk-root.ts';
import { type UpperEntry, type UpperTree, walkUpper } from './walk-upper.ts';

/** OCI image-spec, "Whiteouts": names that mean something in a layer. A file of such a name cannot be in one. */
const WHITEOUT_PREFIX = '.wh.';
const OPAQUE_MARKER = '.wh..wh..opq';
const LAYER_IDS = createContainerIds(null);

/** @param send tells of a full slot. @throws TsdError, SystemCallError; WalkCancelled when nobody reads any more */
export function runRootTreeJob(job: RootTreeJob, send: (slot: number, length: number) => void): void {
  const output = new SlotWriter(job.slots, send);
  const budget = new WalkBudget(() => output.isCancelled);
  const ids = createContainerIds(job.idRange);
  const tree = job.upper === null ? null : { upper: job.upper, layers: job.layers, ids };
  if (job.kind === 'changes') {
    writeChanges(tree, output, budget);
    return;
  }
  const archive = new ArchiveWriter(output);
  if (job.kind === 'layer') {
    if (tree !== null) for (const entry of walkUpper(tree, budget)) addToLayer(archive, entry, tree);
  } else {
    const roots = job.upper === null ? job.layers : [job.upper, ...job.layers];
    for (const entry of walkRoot(roots, budget)) archive.add(entry, entry.root === job.upper ? ids : LAYER_IDS);
  }
  archive.end();
}

function addToLayer(archive: ArchiveWriter, entry: UpperEntry, { ids }: UpperTree): void {
  const { path } = entry;
  if (`/${path}`.includes(`/${WHITEOUT_PREFIX}`)) return;
  if (entry.whiteout) {
    archive.addWhiteout(
      path.replace(/[^/]*$/, (name) => WHITEOUT_PREFIX + name),
      entry,
      ids,
    );
    return;
  }
  archive.add(entry, ids);
  if (entry.opaque) archive.addWhiteout(`${path}/${OPAQUE_MARKER}`, entry, ids);
}

/** `null` where there is none, as in Docker. */
function writeChanges(tree: UpperTree | null, output: SlotWriter, budget: WalkBudget): void {
  let separator = '[';
  for (const { path, kind } of tree === null ? [] : listChanges(tree, budget)) {
    const change = { Path: Buffer.from(path, 'latin1').toString(), Kind: kind };
    output.write(Buffer.from(`${separator}${JSON.stringify(change)}`));
    separator = ',';
  }
  output.write(Buffer.from(separator === '[' ? 'null\n' : ']\n'));
  output.flush();
}
