/** GET /events of the Docker Engine API: what happens, as it happens. moby api/server/router/system. */
import { EventMessageSchema } from '@tsd/shared/api-events';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { parseFilters } from '@tsd/shared/filters';
import type { FastifyInstance } from 'fastify';
import { parseUnixTime } from '../../containers/timestamp.ts';
import type { EngineEvents, TimedEvent } from '../../events/engine-events.ts';
import { EVENT_FILTERS, matchesEvent } from '../../events/event-filter.ts';
import { eventMessage } from '../../events/event-message.ts';
import { beginAnswer } from '../begin-answer.ts';
import { queryText } from '../query-values.ts';
import { type Query, queryOf } from './container-schemas.ts';

/** A client that leaves so much unread is cut off: the daemon keeps nothing for it without bound. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
/** setTimeout's longest. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export async function eventRoutes(app: FastifyInstance, { events }: { readonly events: EngineEvents }): Promise<void> {
  app.get<Query<'since' | 'until' | 'filters'>>(
    '/events',
    {
      schema: {
        tags: ['System'],
        summary: 'Tells what happens, one JSON document a line',
        querystring: queryOf('since', 'until', 'filters'),
        response: { 200: EventMessageSchema, default: ErrorResponseSchema },
      },
    },
    async ({ query, log }, reply) => {
      const since = parseUnixTime('since', queryText(query.since));
      const until = parseUnixTime('until', queryText(query.until));
      if (until !== null && since !== null && until < since)
        throw new TsdError('bad_parameter', `since: ${query.since} cannot be after until: ${query.until}`);
      const filters = parseFilters(queryText(query.filters), EVENT_FILTERS);
      const response = beginAnswer(reply, 'application/json');
      const tell = (event: TimedEvent): void => {
        if (!matchesEvent(filters, event)) return;
        response.write(eventMessage(event));
        if (response.writableLength <= MAX_UNREAD_BYTES) return;
        log.warn('a client that does not read its events is cut off');
        response.destroy();
      };
      // Those of the past only where a time is given, as in Docker.
      if (since !== null || until !== null) {
        for (const event of events.recent())
          if (event.timeNs >= (since ?? 0n) && (until === null || event.timeNs <= until)) tell(event);
      }
      const remainingMs = until === null ? null : Number(until / 1_000_000n) - Date.now();
      if (remainingMs !== null && remainingMs <= 0) {
        response.end();
        return reply;
      }
      const stop = events.listen(tell);
      const timer =
        remainingMs === null ? undefined : setTimeout(() => response.end(), Math.min(remainingMs, MAX_DELAY_MS));
      response.once('close', () => {
        stop();
        clearTimeout(timer);
      });
      return reply;
    },
  );
}
