/** GET /containers/{id}/stats of the Docker Engine API. moby api/server/router/container and daemon/stats.go. */
import { ContainerStatsSchema } from '@tsd/shared/api-container-stats';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance } from 'fastify';
import type { ContainerStore } from '../../containers/container-store.ts';
import type { StatsCollector } from '../../containers/stats-collector.ts';
import { abortWhenGone } from '../abort-when-gone.ts';
import { compareVersions } from '../api-version.ts';
import { beginAnswer } from '../begin-answer.ts';
import { queryFlag } from '../query-values.ts';
import { describe, type Id, IdParams, type Query, queryOf } from './container-schemas.ts';

/** A client that leaves so much unread misses what comes meanwhile. */
const MAX_UNREAD_BYTES = 64 * 1024;

export interface StatsRouteDeps {
  readonly store: Pick<ContainerStore, 'lookup'>;
  readonly stats: StatsCollector;
}

export async function containerStatsRoutes(app: FastifyInstance, { store, stats }: StatsRouteDeps): Promise<void> {
  app.get<Id & Query<'stream' | 'one-shot'>>(
    '/containers/:id/stats',
    {
      schema: describe('Tells what a container uses, one JSON document a second', ContainerStatsSchema, {
        params: IdParams,
        querystring: queryOf('stream', 'one-shot'),
      }),
    },
    async ({ params, query, apiVersion }, reply) => {
      const { id } = store.lookup(params.id);
      const stream = queryFlag(query.stream, true);
      const oneShot = compareVersions(apiVersion, '1.41') >= 0 && queryFlag(query['one-shot']);
      if (stream && oneShot) throw new TsdError('bad_parameter', 'cannot have stream=true and one-shot=true');
      if (!stream) {
        const line = oneShot ? stats.now(id).line : await nextLine(stats, id, abortWhenGone(reply));
        return await reply.type('application/json').send(line);
      }
      const response = beginAnswer(reply, 'application/json');
      const stop = stats.watch(id, {
        update({ line }) {
          if (response.writableLength <= MAX_UNREAD_BYTES) response.write(line);
        },
        removed: () => void response.end(),
      });
      response.once('close', stop);
      return reply;
    },
  );
}

/** Resolves with the first from which the use of the processors can be told: a second's, or that of a container that does not run. */
function nextLine(stats: StatsCollector, id: string, gone: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const stop = stats.watch(id, {
      update({ line, spansInterval }) {
        if (!spansInterval) return;
        stop();
        resolve(line);
      },
      removed: () => reject(new TsdError('not_found', `No such container: ${id}`)),
    });
    gone.addEventListener('abort', () => {
      stop();
      reject(gone.reason);
    });
  });
}
