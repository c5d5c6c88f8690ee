/** The filters of GET /containers/json (moby daemon/list.go): each key must match, by any of its values. */
import { TsdError } from '@tsd/shared/errors';
import { booleanFilter, type Filters, matchesLabels } from '@tsd/shared/filters';
import type { PublishedPortRecord } from '../networks/network.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { parseMountRequests } from './container-mounts.ts';
import { CONTAINER_STATUSES } from './lifecycle.ts';
import { containerNetworks } from './network-settings.ts';
import { ExpressionError } from './parse-expression.ts';
import { type RegularExpression, regularExpression } from './regular-expression.ts';

export const LIST_FILTERS: ReadonlySet<string> = new Set([
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'isolation',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
]);

type Predicate = (record: ContainerRecord) => boolean;

export interface ContainerFilter {
  readonly matches: Predicate;
  /** A filter asks for containers that do not run, so that `all` is implied. */
  readonly choosesStatus: boolean;
}

/**
 * @throws TsdError `bad_parameter` for an unknown key or value, `not_found` for the container of `before` or `since`
 */
export function containerFilter(
  deps: Pick<ContainerDeps, 'images' | 'networks' | 'store'>,
  filters: Filters,
): ContainerFilter {
  const predicates: Predicate[] = [];
  const anyOf = (key: string, predicate: (record: ContainerRecord, value: string) => boolean) => {
    const values = filters.get(key);
    if (values === undefined || values.length === 0) return;
    predicates.push((record) => values.some((value) => predicate(record, value)));
  };
  for (const key of filters.keys()) {
    if (!LIST_FILTERS.has(key)) throw new TsdError('bad_parameter', `invalid filter '${key}'`);
  }
  checkValues(filters);

  const patterns = compilePatterns(filters);
  anyOf('id', ({ id }, value) => id.startsWith(value) || patterns.matches(value, id));
  anyOf('name', ({ name }, value) => patterns.matches(value, name) || patterns.matches(value, `/${name}`));
  anyOf('status', ({ status }, value) => status === value);
  anyOf('exited', ({ status, exitCode, startedAt }, value) => {
    return (status === 'exited' || (status === 'created' && startedAt !== null)) && exitCode === Number(value);
  });
  anyOf('health', (_, value) => value === 'none');
  anyOf('isolation', ({ hostConfig }, value) => hostConfig.Isolation === value);
  anyOf('network', (record, value) =>
    Object.entries(containerNetworks(deps, record)).some(
      ([name, { NetworkID }]) => name === value || (NetworkID ?? '').startsWith(value),
    ),
  );
  anyOf('volume', ({ hostConfig }, value) =>
    parseMountRequests(hostConfig).some(
      (mount) => mount.target === value || (mount.type === 'bind' && mount.source === value),
    ),
  );
  anyOf('expose', ({ config }, value) => hasPort(Object.keys(config.ExposedPorts ?? {}), value));
  const published = filters.has('publish') ? deps.networks.store.allPorts() : new Map<string, []>();
  anyOf('publish', (record, value) => hasPort(publishedPorts(record, published.get(record.id) ?? []), value));
  if (filters.has('label')) predicates.push(({ config }) => matchesLabels(filters, config.Labels));
  if (booleanFilter(filters, 'is-task') === true) predicates.push(() => false);
  const ancestors = filters.get('ancestor');
  if (ancestors !== undefined && ancestors.length > 0) {
    const ids = new Set(ancestors.map((reference) => imageIdOf(deps, reference)));
    predicates.push(({ imageId }) => ids.has(imageId));
  }
  for (const reference of filters.get('before') ?? []) {
    const { createdAt } = deps.store.lookup(reference);
    predicates.push((record) => record.createdAt < createdAt);
  }
  for (const reference of filters.get('since') ?? []) {
    const { createdAt } = deps.store.lookup(reference);
    predicates.push((record) => record.createdAt > createdAt);
  }
  return {
    matches: (record) => predicates.every((predicate) => predicate(record)),
    choosesStatus: ['status', 'exited', 'before', 'since'].some((key) => (filters.get(key)?.length ?? 0) > 0),
  };
}

function checkValues(filters: Filters): void {
  for (const status of filters.get('status') ?? []) {
    if (!(CONTAINER_STATUSES as readonly string[]).includes(status)) {
      throw new TsdError('bad_parameter', `invalid filter 'status=${status}'`);
    }
  }
  for (const code of filters.get('exited') ?? []) {
    if (!/^-?\d+$/.test(code)) throw new TsdError('bad_parameter', `invalid filter 'exited=${code}'`);
  }
  for (const health of filters.get('health') ?? []) {
    if (!['starting', 'healthy', 'unhealthy', 'none'].includes(health)) {
      throw new TsdError('bad_parameter', `invalid filter 'health=${health}'`);
    }
  }
}

/** Of all expressions of one request: what a list of a thousand containers takes a second for. */
const MAX_PATTERNS_SIZE = 2000;

/**
 * Docker's filters for ids and names are regular expressions; one that is none is looked for as it is.
 *
 * @throws TsdError `bad_parameter` for expressions that are too large
 */
function compilePatterns(filters: Filters): { matches(pattern: string, text: string): boolean } {
  const compiled = new Map<string, (text: string) => boolean>();
  let size = 0;
  for (const key of ['id', 'name']) {
    for (const value of filters.get(key) ?? []) {
      if (compiled.has(value)) continue;
      const expression = compilePattern(value, key);
      size += expression.size;
      if (size > MAX_PATTERNS_SIZE) throw tooLarge(key, value);
      compiled.set(value, expression.matches);
    }
  }
  return { matches: (pattern, text) => compiled.get(pattern)?.(text) ?? false };
}

function compilePattern(value: string, key: string): RegularExpression {
  const literally = { matches: (text: string) => text.includes(value), size: 0 };
  if (!/[\\^$.|?*+()[\]{}]/.test(value)) return literally;
  try {
    return regularExpression(value);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    if (error.tooLarge) throw tooLarge(key, value);
    return literally;
  }
}

function tooLarge(key: string, value: string): TsdError {
  return new TsdError('bad_parameter', `invalid filter '${key}=${value.slice(0, 100)}': expression too large`);
}

/** The container's ports that are published, also by -P, and the host's that they are published on while it runs. */
function publishedPorts({ hostConfig }: ContainerRecord, rows: readonly PublishedPortRecord[]): readonly string[] {
  return [
    ...Object.keys(hostConfig.PortBindings),
    ...rows.flatMap(({ containerPort, hostPort, protocol }) => [
      `${containerPort}/${protocol}`,
      `${hostPort}/${protocol}`,
    ]),
  ];
}

/** `80`, `80/tcp`, `8000-8080/udp` against ports such as `80/tcp`. */
function hasPort(ports: readonly string[], wanted: string): boolean {
  const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(wanted);
  if (match === null) throw new TsdError('bad_parameter', `invalid filter: "${wanted}" is not a port`);
  const first = Number(match[1]);
  const last = Number(match[2] ?? first);
  const protocol = match[3] ?? 'tcp';
  return ports.some((port) => {
    const [number, type = 'tcp'] = port.split('/');
    return type === protocol && Number(number) >= first && Number(number) <= last;
  });
}

/** An image that does not exist is no ancestor of anything. */
function imageIdOf({ images }: Pick<ContainerDeps, 'images'>, reference: string): string {
  try {
    return images.resolve(reference).id;
  } catch (error) {
    if (error instanceof TsdError && error.code === 'not_found') return '';
    throw error;
  }
}
