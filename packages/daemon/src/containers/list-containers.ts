/** GET /containers/json. */
import type { ContainerSummary } from '@tsd/shared/api-containers';
import type { Filters } from '@tsd/shared/filters';
import { formatAgo, formatDuration } from '@tsd/shared/units';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerFilter } from './container-filter.ts';
import { containerSize } from './container-size.ts';
import { commandLine, mountPoints } from './inspect-container.ts';
import { containerNetworks, listedPorts } from './network-settings.ts';
import { nsOfTimestamp } from './timestamp.ts';

export type ListDeps = Pick<ContainerDeps, 'images' | 'networks' | 'roots' | 'store'>;

export interface ListOptions {
  /** Those that do not run too. */
  readonly all: boolean;
  /** The newest so many, running or not; 0 for no limit. */
  readonly limit: number;
  readonly size: boolean;
  readonly filters: Filters;
}

/**
 * The containers, the newest first.
 *
 * @throws TsdError `bad_parameter` for a filter that does not exist, `not_found` for a container named in one
 */
export async function listContainers(deps: ListDeps, options: ListOptions): Promise<ContainerSummary[]> {
  const { matches, choosesStatus } = containerFilter(deps, options.filters);
  const everyStatus = options.all || options.limit > 0 || choosesStatus;
  const nowMs = Date.now();
  const shownImage = imageNames(deps);
  const shownNetworks = networksAndPorts(deps);
  const summaries: ContainerSummary[] = [];
  for (const record of deps.store.list()) {
    if (!everyStatus && !isListedByDefault(record)) continue;
    if (!matches(record)) continue;
    const size = options.size ? await containerSize(deps, record) : {};
    summaries.push({ ...summary(record, shownImage(record), nowMs), ...shownNetworks(record), ...size });
    if (options.limit > 0 && summaries.length === options.limit) break;
  }
  return summaries;
}

/** Docker lists what runs, and what is just being restarted. */
function isListedByDefault({ status }: ContainerRecord): boolean {
  return status === 'running' || status === 'paused' || status === 'restarting';
}

type OwnSummary = Omit<ContainerSummary, 'NetworkSettings' | 'Ports'>;

function summary(record: ContainerRecord, image: string, nowMs: number): OwnSummary {
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: image,
    ImageID: record.imageId,
    Command: commandText(record),
    Created: Number(nsOfTimestamp(record.createdAt) / 1_000_000_000n),
    Labels: { ...record.config.Labels },
    State: record.status,
    Status: statusText(record, nowMs),
    HostConfig: {
      NetworkMode: record.hostConfig.NetworkMode,
      ...(record.hostConfig.Annotations ? { Annotations: { ...record.hostConfig.Annotations } } : {}),
    },
    Mounts: mountPoints(record),
  };
}

/** Arguments with a blank are shown in quotes (moby container/view.go). */
function commandText(record: ContainerRecord): string {
  const [path = '', ...args] = commandLine(record);
  return [path, ...args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' ');
}

/** moby container/state.go, State.String. */
export function statusText(record: ContainerRecord, nowMs: number): string {
  const since = (timestamp: string | null) =>
    timestamp === null ? nowMs : Number(nsOfTimestamp(timestamp) / 1_000_000n);
  switch (record.status) {
    case 'running':
      return `Up ${formatDuration(nowMs - since(record.startedAt))}`;
    case 'paused':
      return `Up ${formatDuration(nowMs - since(record.startedAt))} (Paused)`;
    case 'restarting':
      return `Restarting (${record.exitCode}) ${formatAgo(since(record.finishedAt), nowMs)}`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'created':
      return 'Created';
    case 'exited':
      return `Exited (${record.exitCode}) ${formatAgo(since(record.finishedAt), nowMs)}`;
  }
}

/** Read once for the whole list. */
function networksAndPorts(
  deps: ListDeps,
): (record: ContainerRecord) => Pick<ContainerSummary, 'NetworkSettings' | 'Ports'> {
  const endpoints = deps.networks.store.allEndpoints();
  const ports = deps.networks.store.allPorts();
  return (record) => ({
    Ports: listedPorts(record, ports.get(record.id) ?? []),
    NetworkSettings: { Networks: containerNetworks(deps, record, endpoints.get(record.id) ?? []) },
  });
}

/** The name that the user gave the image, or its id where the name means another image by now. */
function imageNames(deps: Pick<ContainerDeps, 'images'>): (record: ContainerRecord) => string {
  const idByReference = new Map<string, string>();
  return ({ imageReference, imageId }) => {
    let id = idByReference.get(imageReference);
    if (id === undefined) {
      id = resolveOrEmpty(deps, imageReference);
      idByReference.set(imageReference, id);
    }
    return id === imageId ? imageReference : imageId;
  };
}

function resolveOrEmpty({ images }: Pick<ContainerDeps, 'images'>, reference: string): string {
  try {
    return images.resolve(reference).id;
  } catch (error) {
    if (isUserError(error)) return '';
    throw error;
  }
}

function isUserError(error: unknown): boolean {
  return error instanceof Error && error.name === 'TsdError';
}
