/** The /networks endpoints of the Docker Engine API. */

import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import {
  type NetworkConnectBody,
  NetworkConnectBodySchema,
  type NetworkCreateBody,
  NetworkCreateBodySchema,
  NetworkCreateResponseSchema,
  type NetworkDisconnectBody,
  NetworkDisconnectBodySchema,
  NetworkPruneResponseSchema,
  NetworkSchema,
} from '@tsd/shared/api-networks';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { parseFilters } from '@tsd/shared/filters';
import type { FastifyInstance } from 'fastify';
import { type Static, type TSchema, Type } from 'typebox';
import { untilFilter } from '../../containers/prune-containers.ts';
import { timestampNow } from '../../containers/timestamp.ts';
import { createNetwork } from '../../networks/create-network.ts';
import { containersOf, inspectNetwork } from '../../networks/inspect-network.ts';
import { listNetworks, NETWORK_LIST_FILTERS } from '../../networks/list-networks.ts';
import type { NetworkRecord } from '../../networks/network.ts';
import type { NetworkDeps } from '../../networks/network-deps.ts';
import { pruneNetworks, removeNetwork } from '../../networks/remove-network.ts';
import { compareVersions } from '../api-version.ts';
import { type QueryValue, queryText } from '../query-values.ts';

export interface NetworkRoutesDeps extends NetworkDeps {
  /** Containers' side of a connection: while they run, at once; otherwise from their next start. */
  connectContainer(container: string, network: NetworkRecord, config: EndpointSettings): Promise<void>;
  /** `network` is a name or id: the network may be gone, while a stopped container is still configured for it. */
  disconnectContainer(container: string, network: string): Promise<void>;
}

const FiltersQuery = Type.Object({ filters: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) });
type FiltersQuery = { filters?: QueryValue };

const InspectQuery = Type.Object({ scope: Type.Optional(Type.String()), verbose: Type.Optional(Type.String()) });
const IdParams = Type.Object({ id: Type.String({ minLength: 1 }) });
type IdParams = Static<typeof IdParams>;

const PRUNE_FILTERS: ReadonlySet<string> = new Set(['label', 'label!', 'until']);

export async function networkRoutes(app: FastifyInstance, deps: NetworkRoutesDeps): Promise<void> {
  registerQueries(app, deps);
  registerChanges(app, deps);
  registerConnections(app, deps);
}

function registerQueries(app: FastifyInstance, deps: NetworkRoutesDeps): void {
  app.get<{ Querystring: FiltersQuery }>(
    '/networks',
    { schema: describe('Lists networks', { querystring: FiltersQuery, answer: Type.Array(NetworkSchema) }) },
    async (request) => {
      const networks = listNetworks(deps, parseFilters(queryText(request.query.filters), NETWORK_LIST_FILTERS));
      if (compareVersions(request.apiVersion, '1.28') >= 0) return networks;
      return networks.map((network) => ({ ...network, Containers: containersOf(deps, deps.store.lookup(network.Id)) }));
    },
  );
  app.get<{ Params: IdParams; Querystring: Static<typeof InspectQuery> }>(
    '/networks/:id',
    { schema: describe('Shows a network', { params: IdParams, querystring: InspectQuery, answer: NetworkSchema }) },
    async ({ params, query }) => {
      if (query.scope && query.scope !== 'local') throw new TsdError('not_found', `network ${params.id} not found`);
      return inspectNetwork(deps, params.id);
    },
  );
}

function registerChanges(app: FastifyInstance, deps: NetworkRoutesDeps): void {
  app.post<{ Body: NetworkCreateBody }>(
    '/networks/create',
    {
      schema: describe('Creates a network', {
        body: NetworkCreateBodySchema,
        status: 201,
        answer: NetworkCreateResponseSchema,
      }),
    },
    async (request, reply) => reply.code(201).send(await createNetwork(deps, request.body, timestampNow())),
  );
  app.delete<{ Params: IdParams }>(
    '/networks/:id',
    { schema: describe('Removes a network', { params: IdParams, status: 204, answer: Type.Null() }) },
    async ({ params }, reply) => {
      await removeNetwork(deps, params.id);
      return reply.code(204).send();
    },
  );
  app.post<{ Querystring: FiltersQuery }>(
    '/networks/prune',
    {
      schema: describe('Removes networks that no running container is in', {
        querystring: FiltersQuery,
        answer: NetworkPruneResponseSchema,
      }),
    },
    async ({ query }) => {
      const filters = parseFilters(queryText(query.filters), PRUNE_FILTERS);
      return pruneNetworks(deps, filters, untilFilter(filters.get('until') ?? []));
    },
  );
}

function registerConnections(app: FastifyInstance, deps: NetworkRoutesDeps): void {
  app.post<{ Params: IdParams; Body: NetworkConnectBody }>(
    '/networks/:id/connect',
    {
      schema: describe('Connects a container to a network', {
        params: IdParams,
        body: NetworkConnectBodySchema,
        answer: Type.Null(),
      }),
    },
    async ({ params, body }, reply) => {
      await deps.connectContainer(body.Container, deps.store.lookup(params.id), body.EndpointConfig ?? {});
      return reply.code(200).send();
    },
  );
  app.post<{ Params: IdParams; Body: NetworkDisconnectBody }>(
    '/networks/:id/disconnect',
    {
      schema: describe('Disconnects a container from a network', {
        params: IdParams,
        body: NetworkDisconnectBodySchema,
        answer: Type.Null(),
      }),
    },
    async ({ params, body }, reply) => {
      // `Force` is for endpoints whose container is gone: here they go with it.
      await deps.disconnectContainer(body.Container, params.id);
      return reply.code(200).send();
    },
  );
}

interface Description {
  readonly params?: TSchema;
  readonly querystring?: TSchema;
  readonly body?: TSchema;
  readonly status?: number;
  readonly answer: TSchema;
}

function describe(summary: string, { status = 200, answer, ...parts }: Description) {
  return { tags: ['Network'], summary, ...parts, response: { [status]: answer, default: ErrorResponseSchema } };
}
