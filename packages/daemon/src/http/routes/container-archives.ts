/** Export, diff and commit of containers: what reads their root file systems. */
import { CommitQuerySchema, ContainerChangesSchema, IdResponseSchema } from '@tsd/shared/api-container-archives';
import { type ContainerConfig, ContainerConfigSchema } from '@tsd/shared/api-container-config';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { type CommitDeps, commitContainer } from '../../containers/commit-container.ts';
import type { ContainerDeps } from '../../containers/container-deps.ts';
import { readRootTree } from '../../containers/read-root-tree.ts';
import { compileValidator } from '../body-parsing.ts';
import { answerWithBytes } from '../bytes-answer.ts';
import { queryFlag, queryText } from '../query-values.ts';
import { describe, type Id, IdParams } from './container-schemas.ts';

export type ContainerArchiveDeps = ContainerDeps & Pick<CommitDeps, 'imageStore' | 'layerStore'>;

export async function containerArchiveRoutes(app: FastifyInstance, deps: ContainerArchiveDeps): Promise<void> {
  app.get<Id>(
    '/containers/:id/export',
    {
      schema: describe(
        "Exports a container's root file system",
        Type.Unsafe<string>({ type: 'string', format: 'binary' }),
        { params: IdParams },
      ),
    },
    async ({ params }, reply) =>
      await answerWithStream(reply, 'application/x-tar', readRootTree(deps, params.id, 'root')),
  );
  app.get<Id>(
    '/containers/:id/changes',
    { schema: describe("Lists what a container's processes changed", ContainerChangesSchema, { params: IdParams }) },
    async ({ params }, reply) =>
      await answerWithStream(reply, 'application/json', readRootTree(deps, params.id, 'changes')),
  );
  app.post<{ Querystring: Static<typeof CommitQuerySchema> }>(
    '/commit',
    {
      schema: {
        ...describe('Makes an image from a container', IdResponseSchema, { querystring: CommitQuerySchema }, 201),
        tags: ['Image'],
      },
    },
    async (request, reply) => {
      const { query } = request;
      const id = await commitContainer({ ...deps, log: request.log }, queryText(query.container), {
        repository: queryText(query.repo),
        tag: queryText(query.tag),
        author: queryText(query.author),
        comment: queryText(query.comment),
        changes: [query.changes ?? []].flat(),
        pause: queryText(query.pause) === '' || queryFlag(query.pause),
        config: commitConfig(request),
      });
      return await reply.code(201).send({ Id: id });
    },
  );
}

const validateConfig = compileValidator({
  schema: ContainerConfigSchema,
  method: 'POST',
  url: '/commit',
  httpPart: 'body',
});

/** The body is a container configuration, `null` or nothing: Docker's client sends nothing, with any content type. */
function commitConfig(request: FastifyRequest): ContainerConfig | undefined {
  const { body } = request;
  if (body === undefined || body === null) return undefined;
  if (body === request.raw) {
    if (Number(request.headers['content-length']) === 0) return undefined;
    const type = request.headers['content-type'] ?? '';
    throw new TsdError('bad_parameter', `unsupported Content-Type header (${type}): must be 'application/json'`);
  }
  const result = validateConfig(body);
  if (typeof result === 'object' && 'error' in result && result.error !== undefined) throw result.error;
  return body as ContainerConfig;
}

/** What goes wrong before the first piece gets its own status; afterwards only the connection's end can tell of it. */
async function answerWithStream(
  reply: FastifyReply,
  type: string,
  pieces: AsyncGenerator<Uint8Array, void, void>,
): Promise<FastifyReply> {
  const first = await pieces.next();
  reply.header('content-type', type);
  return await answerWithBytes(reply, startingWith(first.done === true ? Buffer.alloc(0) : first.value, pieces));
}

async function* startingWith(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array, void, void>,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return();
  }
}
