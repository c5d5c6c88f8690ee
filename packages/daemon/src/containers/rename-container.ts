/** Renames containers. */
import { parseContainerName } from '@tsd/shared/container-name';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from './container-deps.ts';

/** @throws TsdError `not_found`, `bad_parameter`, `conflict` when another container has the name */
export function renameContainer(deps: Pick<ContainerDeps, 'store'>, reference: string, newName: string): void {
  if (newName === '') throw new TsdError('bad_parameter', 'Neither old nor new names may be empty');
  const record = deps.store.lookup(reference);
  const name = parseContainerName(newName);
  if (name === record.name) {
    throw new TsdError('bad_parameter', 'Renaming a container with the same name as its current name');
  }
  deps.store.update(record.id, { name });
}
