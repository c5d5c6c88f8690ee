/** GET /networks. */
import type { NetworkResource } from '@tsd/shared/api-networks';
import { TsdError } from '@tsd/shared/errors';
import { booleanFilter, type Filters, matchesLabels } from '@tsd/shared/filters';
import { describeNetwork } from './inspect-network.ts';
import { isPredefined, type NetworkRecord } from './network.ts';
import type { NetworkDeps } from './network-deps.ts';

export const NETWORK_LIST_FILTERS: ReadonlySet<string> = new Set([
  'dangling',
  'driver',
  'id',
  'label',
  'name',
  'scope',
  'type',
]);

/**
 * The networks that match: each key of the filters, by any of its values (labels: all).
 *
 * @throws TsdError `bad_parameter` for a value that means nothing
 */
export function listNetworks({ store }: Pick<NetworkDeps, 'store'>, filters: Filters): readonly NetworkResource[] {
  const types = filters.get('type') ?? [];
  for (const type of types)
    if (type !== 'custom' && type !== 'builtin')
      throw new TsdError('bad_parameter', `invalid filter: 'type'='${type}'`);
  const dangling = booleanFilter(filters, 'dangling');
  const anyOf = (key: string, matches: (value: string) => boolean) => {
    const values = filters.get(key) ?? [];
    return values.length === 0 || values.some(matches);
  };
  const isDangling = ({ id, name }: NetworkRecord) =>
    !isPredefined(name) && !store.endpointsOf(id).some(({ attachment }) => attachment !== null);
  return store
    .list()
    .filter((network) => {
      const { id, name, driver, labels } = network;
      return (
        anyOf('id', (value) => id.startsWith(value)) &&
        anyOf('name', (value) => name.includes(value)) &&
        anyOf('driver', (value) => driver === value) &&
        anyOf('scope', (value) => value === 'local') &&
        anyOf('type', (value) => (value === 'builtin') === isPredefined(name)) &&
        matchesLabels(filters, labels) &&
        (dangling === undefined || isDangling(network) === dangling)
      );
    })
    .map(describeNetwork);
}
