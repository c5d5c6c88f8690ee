/** POST /containers/prune: removes what does not run. */
import type { ContainerPruneResponse } from '@tsd/shared/api-containers';
import { TsdError } from '@tsd/shared/errors';
import { type Filters, matchesLabels } from '@tsd/shared/filters';
import { parseDurationMs } from '@tsd/shared/units';
import type { ContainerDeps } from './container-deps.ts';
import { containerSize } from './container-size.ts';
import { isRunning } from './lifecycle.ts';
import { type RemoveDeps, removeLocked } from './remove-container.ts';
import { timestampOfNs } from './timestamp.ts';

const PRUNE_FILTERS: ReadonlySet<string> = new Set(['label', 'label!', 'until']);

/**
 * Removes the containers that do not run and match.
 *
 * @throws TsdError `bad_parameter` for an unknown filter or a time that is none
 */
export async function pruneContainers(
  deps: RemoveDeps & Pick<ContainerDeps, 'images'>,
  filters: Filters,
): Promise<ContainerPruneResponse> {
  for (const key of filters.keys()) {
    if (!PRUNE_FILTERS.has(key)) throw new TsdError('bad_parameter', `invalid filter '${key}'`);
  }
  const until = untilFilter(filters.get('until') ?? []);
  const removed: string[] = [];
  let reclaimedBytes = 0;
  for (const { id } of deps.store.list()) {
    await deps.locks.run(id, async () => {
      const record = deps.store.byId(id);
      if (record === undefined || isRunning(record.status) || record.status === 'restarting') return;
      if (until !== null && record.createdAt >= until) return;
      if (!matchesLabels(filters, record.config.Labels)) return;
      const { SizeRw } = await containerSize(deps, record);
      await removeLocked(deps, record);
      removed.push(id);
      reclaimedBytes += SizeRw;
    });
  }
  deps.events.publish({
    type: 'container',
    action: 'prune',
    id: '',
    attributes: { reclaimed: String(reclaimedBytes) },
  });
  return { ContainersDeleted: removed.length === 0 ? null : removed, SpaceReclaimed: reclaimedBytes };
}

/** A Unix time, an RFC 3339 time, or a Go duration before now; as timestamp.ts writes it. */
export function untilFilter(values: readonly string[]): string | null {
  const [value] = values;
  if (value === undefined) return null;
  if (values.length > 1) throw new TsdError('bad_parameter', 'more than one until filter specified');
  const ms = /^\d+(\.\d+)?$/.test(value)
    ? Number(value) * 1000
    : /^\d{4}-\d{2}-\d{2}/.test(value)
      ? Date.parse(value)
      : Date.now() - parseDurationMs(value, 'until');
  if (!Number.isFinite(ms)) throw new TsdError('bad_parameter', `until: "${value}" is neither a time nor a duration`);
  return timestampOfNs(BigInt(Math.round(ms)) * 1_000_000n);
}
