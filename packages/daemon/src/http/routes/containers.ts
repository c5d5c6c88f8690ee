/** /containers of the Docker Engine API. */
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import {
  type ContainerCreateBody,
  ContainerCreateBodySchema,
  ContainerCreateResponseSchema,
  ContainerInspectResponseSchema,
  ContainerPruneResponseSchema,
  ContainerSummarySchema,
  ContainerTopResponseSchema,
  type ContainerWaitResponse,
  ContainerWaitResponseSchema,
} from '@tsd/shared/api-containers';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { parseFilters } from '@tsd/shared/filters';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import {
  attachClient,
  DEFAULT_DETACH_KEYS,
  findAttachable,
  parseDetachKeys,
} from '../../containers/attach-container.ts';
import type { ContainerDeps } from '../../containers/container-deps.ts';
import { LIST_FILTERS } from '../../containers/container-filter.ts';
import { containerLog } from '../../containers/container-log.ts';
import { createContainer } from '../../containers/create-container.ts';
import { inspectContainer } from '../../containers/inspect-container.ts';
import { killContainer } from '../../containers/kill-container.ts';
import { listContainers } from '../../containers/list-containers.ts';
import type { WaitingClient } from '../../containers/pending-attaches.ts';
import { pruneContainers } from '../../containers/prune-containers.ts';
import { removeContainer } from '../../containers/remove-container.ts';
import { renameContainer } from '../../containers/rename-container.ts';
import { resizeContainer } from '../../containers/resize-container.ts';
import { restartContainer } from '../../containers/restart-container.ts';
import { startContainer } from '../../containers/start-container.ts';
import { stopContainer } from '../../containers/stop-container.ts';
import { topContainer } from '../../containers/top-container.ts';
import { waitContainer } from '../../containers/wait-container.ts';
import { compareVersions } from '../api-version.ts';
import { type HijackedConnection, hijack } from '../hijack.ts';
import { queryFlag, queryInteger, queryText } from '../query-values.ts';

const IdParams = Type.Object({ id: Type.String({ minLength: 1 }) });
type Id = { Params: Static<typeof IdParams> };

/** Query parameters are all optional text; what they mean is read by query-values.ts. */
function queryOf<Name extends string>(...names: readonly Name[]) {
  const properties = Object.fromEntries(names.map((name) => [name, Type.Optional(Type.String())]));
  return Type.Object(properties as Record<Name, ReturnType<typeof Type.Optional<ReturnType<typeof Type.String>>>>);
}

type Query<Name extends string> = { Querystring: { readonly [N in Name]?: string } };

export async function containerRoutes(app: FastifyInstance, deps: ContainerDeps): Promise<void> {
  registerQueries(app, deps);
  registerCreate(app, deps);
  registerLifecycle(app, deps);
  registerRemoval(app, deps);
  registerWait(app, deps);
  registerLogs(app, deps);
  registerAttach(app, deps);
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
    async ({ params, query }) => await inspectContainer(deps, params.id, { size: queryFlag(query.size) }),
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
    async (request, reply) =>
      reply.code(201).send(createContainer(inRequest(deps, request), request.body, request.query)),
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

function registerWait(app: FastifyInstance, deps: ContainerDeps): void {
  app.post<Id & Query<'condition'>>(
    '/containers/:id/wait',
    {
      schema: describe("Waits for a container's end", ContainerWaitResponseSchema, {
        params: IdParams,
        querystring: queryOf('condition'),
      }),
    },
    async ({ params, query }, reply) => {
      const gone = abortWhenGone(reply);
      const { result } = waitContainer(deps, params.id, query.condition, gone);
      // Docker's client starts the container only when it has these headers: from now on no exit is missed.
      const response = beginAnswer(reply, 'application/json');
      try {
        const { exitCode, error } = await result;
        const body: ContainerWaitResponse = {
          StatusCode: exitCode,
          ...(error === '' ? {} : { Error: { Message: error } }),
        };
        response.end(`${JSON.stringify(body)}\n`);
      } catch (error) {
        if (!gone.aborted) throw error;
      }
      return reply;
    },
  );
}

function registerLogs(app: FastifyInstance, deps: ContainerDeps): void {
  type LogQuery = Query<'follow' | 'stdout' | 'stderr' | 'since' | 'until' | 'timestamps' | 'tail' | 'details'>;
  app.get<Id & LogQuery>(
    '/containers/:id/logs',
    {
      schema: describe("Gets a container's output", Type.Unsafe<string>({ type: 'string', format: 'binary' }), {
        params: IdParams,
        querystring: queryOf('follow', 'stdout', 'stderr', 'since', 'until', 'timestamps', 'tail', 'details'),
      }),
    },
    async (request, reply) => {
      const { params, query } = request;
      const gone = abortWhenGone(reply);
      const log = containerLog(deps, params.id, {
        stdout: queryFlag(query.stdout),
        stderr: queryFlag(query.stderr),
        follow: queryFlag(query.follow),
        timestamps: queryFlag(query.timestamps),
        since: queryText(query.since),
        until: queryText(query.until),
        tail: queryText(query.tail),
        signal: gone,
      });
      const framed = log.multiplexed && compareVersions(request.apiVersion, '1.42') >= 0;
      const response = beginAnswer(reply, `application/vnd.docker.${framed ? 'multiplexed' : 'raw'}-stream`);
      try {
        await pipeline(log.content, response);
      } catch (error) {
        if (!gone.aborted) request.log.error({ err: error }, 'a log could not be read to its end');
        response.destroy();
      }
      return reply;
    },
  );
}

function registerAttach(app: FastifyInstance, deps: ContainerDeps): void {
  type AttachQuery = Query<'detachKeys' | 'logs' | 'stream' | 'stdin' | 'stdout' | 'stderr'>;
  app.post<Id & AttachQuery>(
    '/containers/:id/attach',
    {
      schema: describeEmpty(
        "Attaches to a container's streams; the connection is taken out of HTTP",
        { querystring: queryOf('detachKeys', 'logs', 'stream', 'stdin', 'stdout', 'stderr') },
        101,
      ),
    },
    async (request, reply) => {
      const { query } = request;
      const { id, config } = findAttachable(deps, request.params.id);
      const keys = queryText(query.detachKeys);
      const detachKeys = config.Tty ? (keys === '' ? DEFAULT_DETACH_KEYS : parseDetachKeys(keys)) : new Uint8Array();
      const streams = {
        stdin: queryFlag(query.stdin) && config.OpenStdin,
        stdout: queryFlag(query.stdout),
        stderr: queryFlag(query.stderr),
        detachKeys,
      };
      const connection = await hijack(request, reply);
      try {
        await connection.respond({ multiplexed: !config.Tty });
        if (queryFlag(query.logs)) await replayLog(deps, id, connection, streams);
        if (queryFlag(query.stream)) await attachClient(deps, id, waitingClient(connection, streams));
        else connection.close();
      } catch (error) {
        // There is no HTTP answer any more: the connection's end is all that can be told.
        request.log.debug({ containerId: id, err: error }, 'a client was not attached');
        connection.close();
      }
      return reply;
    },
  );
}

interface AttachStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly detachKeys: Uint8Array;
}

/** What the container wrote before the client attached. */
async function replayLog(
  deps: ContainerDeps,
  id: string,
  connection: HijackedConnection,
  { stdout, stderr }: AttachStreams,
): Promise<void> {
  const log = containerLog(deps, id, {
    stdout,
    stderr,
    follow: false,
    timestamps: false,
    since: '',
    until: '',
    tail: 'all',
    signal: connection.gone,
  });
  for await (const chunk of log.content) await connection.write(chunk);
}

function waitingClient(connection: HijackedConnection, streams: AttachStreams): WaitingClient {
  return {
    gone: connection.gone,
    detach() {
      const { descriptor, initialInput, release } = connection.detach();
      return { request: { descriptor, initialInput, ...streams }, release };
    },
    close: () => connection.close(),
  };
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

/** Sends the status line and the headers at once; the body follows when there is something to say. */
function beginAnswer(reply: FastifyReply, type: string): ServerResponse {
  reply.hijack();
  reply.raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), 'content-type': type });
  reply.raw.flushHeaders();
  return reply.raw;
}

function abortWhenGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => controller.abort(new Error('the client has closed the connection')));
  return controller.signal;
}

function describe(summary: string, answer: TSchema, parts: object, status = 200): object {
  return { tags: ['Container'], summary, ...parts, response: { [status]: answer, default: ErrorResponseSchema } };
}

function describeEmpty(summary: string, parts: object, status = 204): object {
  return describe(summary, Type.Null(), { params: IdParams, ...parts }, status);
}
