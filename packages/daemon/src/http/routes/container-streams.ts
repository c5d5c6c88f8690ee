/** The endpoints of /containers that answer over time: wait, logs and attach. */
import { pipeline } from 'node:stream/promises';
import { type ContainerWaitResponse, ContainerWaitResponseSchema } from '@tsd/shared/api-containers';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { attachBehindLog, type ReplayClient } from '../../containers/attach-behind-log.ts';
import {
  attachClient,
  DEFAULT_DETACH_KEYS,
  findAttachable,
  parseDetachKeys,
} from '../../containers/attach-container.ts';
import type { ContainerDeps } from '../../containers/container-deps.ts';
import { containerLog, requireReadableLog } from '../../containers/container-log.ts';
import { waitContainer } from '../../containers/wait-container.ts';
import { abortWhenGone } from '../abort-when-gone.ts';
import { compareVersions } from '../api-version.ts';
import { beginAnswer } from '../begin-answer.ts';
import { type HijackedConnection, hijack } from '../hijack.ts';
import { queryFlag, queryText } from '../query-values.ts';
import { describe, describeEmpty, type Id, IdParams, type Query, queryOf } from './container-schemas.ts';

export function registerStreams(app: FastifyInstance, deps: ContainerDeps): void {
  registerWait(app, deps);
  registerLogs(app, deps);
  registerAttach(app, deps);
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
        details: queryFlag(query.details),
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
      const record = findAttachable(deps, request.params.id);
      const { id, config } = record;
      const keys = queryText(query.detachKeys);
      const detachKeys = config.Tty ? (keys === '' ? DEFAULT_DETACH_KEYS : parseDetachKeys(keys)) : new Uint8Array();
      const streams = {
        stdin: queryFlag(query.stdin) && config.OpenStdin,
        stdout: queryFlag(query.stdout),
        stderr: queryFlag(query.stderr),
        detachKeys,
      };
      const withLog = queryFlag(query.logs) && (streams.stdout || streams.stderr);
      if (withLog) requireReadableLog(record);
      const connection = await hijack(request, reply);
      const client = replayClient(connection, streams);
      try {
        await connection.respond({ multiplexed: !config.Tty });
        if (queryFlag(query.stream)) {
          await (withLog ? attachBehindLog(deps, record, client) : attachClient(deps, id, client));
        } else {
          if (withLog) await replayLog(deps, id, connection, streams);
          connection.close();
        }
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
    details: false,
    since: '',
    until: '',
    tail: 'all',
    signal: connection.gone,
  });
  for await (const chunk of log.content) await connection.write(chunk);
}

function replayClient(connection: HijackedConnection, streams: AttachStreams): ReplayClient {
  return {
    stdout: streams.stdout,
    stderr: streams.stderr,
    gone: connection.gone,
    write: connection.write,
    detach() {
      const { descriptor, initialInput, release } = connection.detach();
      return { request: { descriptor, initialInput, ...streams }, release };
    },
    close: () => connection.close(),
  };
}
