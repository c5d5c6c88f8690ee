/** Follows the streams of GET /containers/{id}/stats of several containers at once. */
import type { ContainerStats } from '@tsd/shared/api-container-stats';
import type { ContainerSummary } from '@tsd/shared/api-containers';
import type { EventMessage } from '@tsd/shared/api-events';
import { encodeFilters } from '@tsd/shared/filters';
import type { ApiClient } from '../api/api-client.ts';
import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import { bodyLines } from '../output/progress-messages.ts';
import { type StatsFigures, statsFigures } from '../output/stats-figures.ts';

export interface StatsRow {
  /** As the user named it. */
  readonly container: string;
  readonly id: string;
  readonly name: string;
  /** Null where nothing has come lately. */
  readonly figures: StatsFigures | null;
}

export interface StatsWatch {
  rows(): StatsRow[];
  /** Resolves when none of the named containers is left; rejects when the daemon does not answer any more. */
  readonly ended: Promise<void>;
}

/** Figures older than this are not shown, as in Docker. */
const STALE_MS = 2000;

/** Of these containers. Resolves when there are figures of each, or none come. Rejects where one is not there. */
export async function watchNamedStats(client: ApiClient, names: readonly string[]): Promise<StatsWatch> {
  const streams = createStreams(client);
  await allOrErrors([...new Set(names)].map((name) => streams.follow(name)));
  return streams;
}

/**
 * Of all containers that run, or of all, and of those that come. Resolves when there are figures of those that are there
 * already.
 */
export async function watchAllStats(client: ApiClient, all: boolean): Promise<StatsWatch> {
  const streams = createStreams(client);
  // First the events, then the list: nothing that starts in between is missed.
  const filters = new Map([
    ['type', ['container']],
    ['event', all ? ['create', 'start'] : ['start', 'die']],
  ]);
  const events = await client.request({ method: 'GET', path: '/events', query: { filters: encodeFilters(filters) } });
  const ids = await listContainerIds(client, all);
  await Promise.all(ids.map((id) => streams.follow(shortId(id)).catch(unlessGone)));
  const followEvents = async (): Promise<void> => {
    for await (const line of bodyLines(events)) {
      const { Action, Actor } = JSON.parse(line) as EventMessage;
      const id = shortId(Actor.ID);
      if (Action === 'die') streams.hide(id);
      else streams.follow(id).catch(unlessGone).catch(fail);
    }
    throw new ApiError(200, 'the events have ended');
  };
  let fail: (error: unknown) => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  followEvents().catch(fail);
  return { rows: streams.rows, ended };
}

/** The figures of these containers, or of all, once; a container that is removed meanwhile is left out unless it was named. */
export async function readStatsOnce(client: ApiClient, names: readonly string[], all: boolean): Promise<StatsRow[]> {
  const read = async (container: string): Promise<StatsRow> => {
    const stats = await client.json<ContainerStats>({
      method: 'GET',
      path: statsPath(container),
      query: { stream: 0 },
    });
    return statsRow(container, stats);
  };
  if (names.length > 0) return await allOrErrors([...new Set(names)].map(read));
  const ids = await listContainerIds(client, all);
  const rows = await Promise.all(ids.map((id) => read(shortId(id)).catch(unlessGone)));
  return rows.filter((row) => row !== undefined);
}

interface Streams extends StatsWatch {
  /** Shows the container. Resolves when there are figures of it, when none have come for a while, or when it is gone already. */
  follow(container: string): Promise<void>;
  /** Its stream goes on, and it is shown again when it is followed again. */
  hide(container: string): void;
}

interface Followed {
  row: StatsRow;
  updatedAtMs: number;
}

function createStreams(client: ApiClient): Streams {
  const open = new Map<string, Followed>();
  /** In the order in which they are shown. */
  const shown = new Set<string>();
  let resolveEnded: () => void = () => undefined;
  let rejectEnded: (error: unknown) => void = () => undefined;
  const ended = new Promise<void>((resolve, reject) => {
    resolveEnded = resolve;
    rejectEnded = reject;
  });
  // Whoever follows hears of a failure too.
  ended.catch(() => undefined);

  const read = async (container: string, first: () => void): Promise<void> => {
    const followed: Followed = { row: { container, id: '', name: '', figures: null }, updatedAtMs: 0 };
    open.set(container, followed);
    try {
      const request = { method: 'GET', path: statsPath(container), query: { stream: true } } as const;
      for await (const line of bodyLines(await client.request(request))) {
        followed.row = statsRow(container, JSON.parse(line) as ContainerStats);
        followed.updatedAtMs = performance.now();
        first();
      }
    } finally {
      open.delete(container);
      shown.delete(container);
    }
    if (open.size === 0) resolveEnded();
  };
  return {
    ended,
    follow(container) {
      shown.add(container);
      if (open.has(container)) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, STALE_MS);
        const begun = (): void => {
          clearTimeout(timer);
          resolve();
        };
        read(container, begun).then(begun, (error: unknown) => {
          clearTimeout(timer);
          reject(error);
          rejectEnded(error);
        });
      });
    },
    hide: (container) => void shown.delete(container),
    rows() {
      const nowMs = performance.now();
      return [...shown].flatMap((container) => {
        const followed = open.get(container);
        if (followed === undefined) return [];
        const { row, updatedAtMs } = followed;
        return nowMs - updatedAtMs > STALE_MS ? { ...row, figures: null } : row;
      });
    },
  };
}

/** Throws all errors as one, each a line. */
async function allOrErrors<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (errors.length > 1 && errors.every((error) => error instanceof CliError))
    throw new CliError(errors.map(({ message }) => message).join('\n'));
  if (errors.length > 0) throw errors[0];
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function listContainerIds(client: ApiClient, all: boolean): Promise<string[]> {
  const list = await client.json<ContainerSummary[]>({ method: 'GET', path: '/containers/json', query: { all } });
  return list.map(({ Id }) => Id);
}

function statsRow(container: string, stats: ContainerStats): StatsRow {
  return { container, id: stats.id, name: stats.name.replace(/^\//, ''), figures: statsFigures(stats) };
}

const statsPath = (container: string): string => `/containers/${segment(container)}/stats`;
const shortId = (id: string): string => id.slice(0, 12);

function unlessGone(error: unknown): undefined {
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
}
