/** Renames containers. */
import { parseContainerName } from '@tsd/shared/container-name';
import { TsdError } from '@tsd/shared/errors';
import { attachedEndpoints } from './attach-networks.ts';
import { bridged, namedEndpoint } from './attached-endpoints.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';

/** @throws TsdError `not_found`, `bad_parameter`, `conflict` when another container has the name */
export function renameContainer(
  deps: Pick<ContainerDeps, 'events' | 'networks' | 'store'>,
  reference: string,
  newName: string,
): void {
  if (newName === '') throw new TsdError('bad_parameter', 'Neither old nor new names may be empty');
  const record = deps.store.lookup(reference);
  const name = parseContainerName(newName);
  if (name === record.name) {
    throw new TsdError('bad_parameter', 'Renaming a container with the same name as its current name');
  }
  const renamed = deps.store.update(record.id, { name });
  for (const endpoint of bridged(attachedEndpoints(deps, record.id))) {
    deps.networks.directory.put(namedEndpoint(renamed, endpoint));
  }
  publishContainerEvent(deps, renamed, 'rename', { oldName: `/${record.name}` });
}
