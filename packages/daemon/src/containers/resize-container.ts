/** Tells a container's terminal its size. */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';

/** @throws TsdError `not_found`, `bad_parameter` for a size that no terminal has, `conflict` when it is not running */
export async function resizeContainer(
  deps: Pick<ContainerDeps, 'events' | 'running' | 'store'>,
  reference: string,
  size: { readonly rows: number; readonly columns: number },
): Promise<void> {
  for (const [name, value] of Object.entries(size)) {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
      throw new TsdError('bad_parameter', `invalid resize ${name}: ${value}: from 0 to 65535`);
    }
  }
  const record = deps.store.lookup(reference);
  const running = deps.running.require(record.id);
  // Docker ignores the size of what has no terminal.
  if (record.config.Tty) await running.supervisor.resize(size.rows, size.columns);
  publishContainerEvent(deps, record, 'resize', { height: String(size.rows), width: String(size.columns) });
}
