/** /system/df of the Docker Engine API. */
import { DiskUsageSchema, ErrorResponseSchema } from '@tsd/shared/api-system';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { type DiskUsageDeps, diskUsage } from '../../containers/disk-usage.ts';
import { compareVersions } from '../api-version.ts';
import type { QueryValue } from '../query-values.ts';

const Query = Type.Object({ type: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) });

export async function diskUsageRoutes(app: FastifyInstance, deps: DiskUsageDeps): Promise<void> {
  app.get<{ Querystring: { type?: QueryValue } }>(
    '/system/df',
    {
      schema: {
        tags: ['System'],
        summary: 'What images, containers and kept compressed layers take on the disk',
        querystring: Query,
        response: { 200: DiskUsageSchema, default: ErrorResponseSchema },
      },
    },
    async (request) => {
      // Older clients get everything, whatever they ask.
      const { type } = compareVersions(request.apiVersion, '1.42') < 0 ? {} : request.query;
      return diskUsage(deps, type === undefined ? [] : [type].flat());
    },
  );
}
