/** POST /tsd/system/check: verifies, and with `repair` mends, what lies under the data root. */

import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { type CheckMessage, CheckMessageSchema } from '@tsd/shared/api-system-check';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { CheckSystemDeps } from '../../images/check-system.ts';
import { abortWhenGone } from '../abort-when-gone.ts';
import { answerWithProgress } from '../progress-answer.ts';
import { type QueryValue, queryFlag } from '../query-values.ts';

const Query = Type.Object({ repair: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) });

/** One check at a time; a client that goes away ends its check. */
export async function systemCheckRoutes(app: FastifyInstance, deps: CheckSystemDeps): Promise<void> {
  let isRunning = false;
  app.post<{ Querystring: { repair?: QueryValue } }>(
    '/tsd/system/check',
    {
      schema: {
        tags: ['System'],
        summary: 'Checks every blob, layer and row against its digest and reference; with repair, mends',
        querystring: Query,
        response: { 200: CheckMessageSchema, default: ErrorResponseSchema },
      },
    },
    async (request, reply) => {
      if (isRunning) throw new TsdError('conflict', 'a system check is running already: wait for its end');
      isRunning = true;
      try {
        const signal = abortWhenGone(reply);
        const repair = queryFlag(request.query.repair);
        // Rarely needed, and with it comes what would cost an idle daemon memory.
        const { checkSystem } = await import('../../images/check-system.ts');
        return await answerWithProgress<CheckMessage>(reply, (emit) => checkSystem(deps, { repair, signal, emit }));
      } finally {
        isRunning = false;
      }
    },
  );
}
