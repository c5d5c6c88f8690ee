/** /containers of the Docker Engine API. */
import {
  type ContainerCreateBody,
  ContainerCreateBodySchema,
  ContainerCreateResponseSchema,
  ContainerInspectResponseSchema,
  ContainerPruneResponseSchema,
  ContainerSummarySchema,
  ContainerTopResponseSchema,
} from '@tsd/shared/api-containers';
import { TsdError } from '@tsd/shared/errors';
import { parseFilters } from '@tsd/shared/filters';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { bindWarnings } from '../../containers/bind-warnings.ts';
import type { ContainerDeps } from '../../containers/container-deps.ts';
import { LIST_FILTERS } from '../../containers/container-filter.ts';
import { createContainer } from '../../containers/create-container.ts';
import { inspectContainer } from '../../containers/inspect-container.ts';
import { killContainer } from '../../containers/kill-container.ts';
import { listContainers } from '../../containers/list-containers.ts';
import { pruneContainers } from '../../containers/prune-containers.ts';
import { removeContainer } from '../../containers/remove-container.ts';
import { renameContainer } from '../../containers/rename-container.ts';
import { resizeContainer } from '../../containers/resize-container.ts';
import { restartContainer } from '../../containers/restart-container.ts';
import { startContainer } from '../../containers/start-container.ts';
import { stopContainer } from '../../containers/stop-container.ts';
import { topContainer } from '../../containers/top-container.ts';
import { compareVersions } from '../api-version.ts';
import { queryFlag, queryInteger, queryText } from '../query-values.ts';
import { describe, describeEmpty, type Id, IdParams, type Query, queryOf } from './container-schemas.ts';
import { registerStreams } from './container-streams.ts';

export async function containerRoutes(app: FastifyInstance, deps: ContainerDeps): Promise<void> {
  registerQueries(app, deps);
  registerCreate(app, deps);
  registerLifecycle(app, deps);
  registerRemoval(app, deps);
  registerStreams(app, deps);
}

function registerQueries(app: FastifyInstance, deps: ContainerDeps): void {
  app.get<Query<'all' | 'limit' | 'size' | 'filters'>>(
    '/containers/json',
    {
      schema: describe('Lists containers', Type.Array(ContainerSummarySchema), {
        querystring: queryOf('all', 'limit', 'size', 'filters'),
      }),
    },
    async ({ query }) =>
      await listContainers(deps, {
        all: queryFlag(query.all),
        // Docker's client says -1 for no limit.
        limit: Math.max(queryInteger(query.limit, 'limit') ?? 0, 0),
        size: queryFlag(query.size),
        filters: parseFilters(queryText(query.filters), LIST_FILTERS),
      }),
  );
  app.get<Id & Query<'size'>>(
    '/containers/:id/json',
    {
      schema: describe('Shows a container', ContainerInspectResponseSchema, {
        params: IdParams,
        querystring: queryOf('size'),
      }),
    },
    async ({ params, query, apiVersion }) =>
      await inspectContainer(deps, params.id, {
        size: queryFlag(query.size),
        oldAliases: compareVersions(apiVersion, '1.45') < 0,
      }),
  );
  app.get<Id & Query<'ps_args'>>(
    '/containers/:id/top',
    {
      schema: describe("Lists a container's processes", ContainerTopResponseSchema, {
        params: IdParams,
        querystring: queryOf('ps_args'),
      }),
    },
    async ({ params, query }) => await topContainer(deps, params.id, query.ps_args),
  );
}

function registerCreate(app: FastifyInstance, deps: ContainerDeps): void {
  app.post<Query<'name' | 'platform'> & { Body: ContainerCreateBody }>(
    '/containers/create',
    {
      schema: describe(
        'Creates a container',
        ContainerCreateResponseSchema,
        { querystring: queryOf('name', 'platform'), body: ContainerCreateBodySchema },
        201,
      ),
    },
    async (request, reply) => {
      const more = await bindWarnings(deps, request.body);
      const created = createContainer(inRequest(deps, request), request.body, request.query);
      return reply.code(201).send({ ...created, Warnings: [...created.Warnings, ...more] });
    },
  );
}

function registerLifecycle(app: FastifyInstance, deps: ContainerDeps): void {
  app.post<Id & Query<'detachKeys'>>(
    '/containers/:id/start',
    { schema: describeEmpty('Starts a container', { querystring: queryOf('detachKeys') }) },
    async (request, reply) =>
      await answerChange(reply, await startContainer(inRequest(deps, request), request.params.id)),
  );
  app.post<Id & Query<'t' | 'signal'>>(
    '/containers/:id/stop',
    { schema: describeEmpty('Stops a container', { querystring: queryOf('t', 'signal') }) },
    async (request, reply) => {
      const { params, query } = request;
      return await answerChange(reply, await stopContainer(inRequest(deps, request), params.id, stopOptions(query)));
    },
  );
  app.post<Id & Query<'t' | 'signal'>>(
    '/containers/:id/restart',
    { schema: describeEmpty('Stops a container and starts it again', { querystring: queryOf('t', 'signal') }) },
    async (request, reply) => {
      await restartContainer(inRequest(deps, request), request.params.id, stopOptions(request.query));
      return await reply.code(204).send();
    },
  );
  app.post<Id & Query<'signal'>>(
    '/containers/:id/kill',
    { schema: describeEmpty('Sends a signal to a container', { querystring: queryOf('signal') }) },
    async ({ params, query }, reply) => {
      await killContainer(deps, params.id, query.signal);
      return await reply.code(204).send();
    },
  );
  app.post<Id & Query<'name'>>(
    '/containers/:id/rename',
    { schema: describeEmpty('Renames a container', { querystring: queryOf('name') }) },
    async ({ params, query }, reply) => {
      renameContainer(deps, params.id, queryText(query.name));
      return await reply.code(204).send();
    },
  );
  app.post<Id & Query<'h' | 'w'>>(
    '/containers/:id/resize',
    { schema: describeEmpty("Sets the size of a container's terminal", { querystring: queryOf('h', 'w') }, 200) },
    async ({ params, query }, reply) => {
      const rows = queryInteger(query.h, 'h') ?? 0;
      const columns = queryInteger(query.w, 'w') ?? 0;
      await resizeContainer(deps, params.id, { rows, columns });
      return await reply.code(200).send();
    },
  );
}

function registerRemoval(app: FastifyInstance, deps: ContainerDeps): void {
  app.delete<Id & Query<'v' | 'force' | 'link'>>(
    '/containers/:id',
    { schema: describeEmpty('Removes a container', { querystring: queryOf('v', 'force', 'link') }) },
    async (request, reply) => {
      const { params, query } = request;
      if (queryFlag(query.link))
        throw new TsdError('not_implemented', 'link: links between containers are not implemented');
      await removeContainer(inRequest(deps, request), params.id, { force: queryFlag(query.force) });
      return await reply.code(204).send();
    },
  );
  app.post<Query<'filters'>>(
    '/containers/prune',
    {
      schema: describe('Removes the containers that do not run', ContainerPruneResponseSchema, {
        querystring: queryOf('filters'),
      }),
    },
    async ({ query }) => await pruneContainers(deps, parseFilters(queryText(query.filters))),
  );
}

/** What a verb writes to the log for this request carries the request's id. */
function inRequest(deps: ContainerDeps, request: FastifyRequest): ContainerDeps {
  return { ...deps, log: request.log };
}

/** Docker's 304 says that there was nothing to do. */
async function answerChange(reply: FastifyReply, changed: boolean): Promise<FastifyReply> {
  return await reply.code(changed ? 204 : 304).send();
}

function stopOptions(query: { readonly t?: string; readonly signal?: string }) {
  return { signal: query.signal, timeoutSeconds: queryInteger(query.t, 't') ?? undefined };
}
