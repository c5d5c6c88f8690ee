/** The API server: Fastify on Unix sockets, with Docker's versions, headers, leniency and errors. */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createNetServer, type Server as NetServer } from 'node:net';
import { arch } from 'node:process';
import swagger from '@fastify/swagger';
import { TsdError } from '@tsd/shared/errors';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import type { Config } from '../config.ts';
import { API_VERSION, checkVersion, MIN_API_VERSION, splitVersion } from './api-version.ts';
import { compileValidator, registerBodyParsers } from './body-parsing.ts';
import { sendError } from './error-answer.ts';
import { type ListeningSocket, listenOnSocket } from './listen-socket.ts';
import { routePath } from './request-path.ts';
import { findEndpoint } from './unimplemented-endpoints.ts';
import { isUpgradable, routeUpgrades } from './upgrade.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The version in the path; API_VERSION for a path without one. */
    apiVersion: string;
  }
}

/** Declares the routes of one resource, without the version prefix. */
export type RouteModule = (app: FastifyInstance) => Promise<void>;

export interface ServerDeps {
  readonly config: Pick<Config, 'sockets' | 'group'>;
  readonly log: FastifyBaseLogger;
  /** The daemon's own version, for the Server header and /openapi.json. */
  readonly version: string;
  readonly routes: readonly RouteModule[];
  /** Called after each answer. */
  readonly onAnswered?: () => void;
}

type ValidatorFactory = NonNullable<
  NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>['buildValidator']
>;

export interface ApiServer {
  readonly app: FastifyInstance;
  /** Listens on every configured socket. Throws conflict where another daemon does. */
  listen(): Promise<void>;
  /** Accepts nothing new, cuts waits and attached clients, lets other requests end for `graceMs`, then closes all. */
  close(graceMs?: number): Promise<void>;
}

/** Docker's registry headers (X-Registry-Config) can be long; bytes. */
const MAX_HEADER_BYTES = 256 * 1024;
const CLOSE_GRACE_MS = 5000;

/** Builds the server; it listens only with `listen()`. */
export async function createServer(deps: ServerDeps): Promise<ApiServer> {
  const { log } = deps;
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    exposeHeadRoutes: false,
    forceCloseConnections: false,
    requestIdHeader: false,
    routerOptions: { maxParamLength: 8192 },
    // Given as factories, so that Fastify does not load the compilers of its own.
    schemaController: {
      compilersFactory: {
        // The type asks for a factory of Ajv's.
        buildValidator: (() => compileValidator) as unknown as ValidatorFactory,
        // Response schemas document; they must not drop or convert fields.
        buildSerializer: () => () => (value) => JSON.stringify(value),
      },
    },
    rewriteUrl: (request) => routePath(request.method ?? 'GET', request.url ?? '/'),
    serverFactory: (handler) => createHttp(handler),
    clientErrorHandler(error, socket) {
      if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
        socket.destroy();
        return;
      }
      const body = JSON.stringify({ message: `malformed HTTP request: ${error.message}` });
      socket.end(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    },
  });

  app.decorateRequest('apiVersion', API_VERSION);
  app.setErrorHandler(sendError);
  registerBodyParsers(app);

  const commonHeaders = {
    'api-version': API_VERSION,
    'docker-experimental': 'false',
    ostype: 'linux',
    server: `tsd/${deps.version} (linux)`,
  };
  const running = new Set<FastifyReply>();
  let closing = false;
  app.addHook('onRequest', async (request, reply) => {
    running.add(reply);
    reply.raw.once('close', () => running.delete(reply));
    reply.headers(commonHeaders);
    const { version } = splitVersion(request.originalUrl);
    if (version === null) return;
    checkVersion(version);
    request.apiVersion = version;
  });
  app.addHook('onSend', async (_request, reply) => {
    // Docker's clients see the type without a charset.
    const type = reply.getHeader('content-type');
    if (type === 'application/json; charset=utf-8') reply.header('content-type', 'application/json');
    if (closing) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, reply) => {
    deps.onAnswered?.();
    const line = {
      method: request.method,
      url: request.originalUrl,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 100) / 100,
    };
    if (request.url === '/_ping') request.log.debug(line, 'request');
    else request.log.info(line, 'request');
  });
  app.setNotFoundHandler((request, reply) => {
    const endpoint = findEndpoint(request.method, request.url.split('?', 1)[0] ?? '');
    if (endpoint === null) return reply.code(404).send({ message: 'page not found' });
    throw new TsdError('not_implemented', `${endpoint} of the Docker API is not supported by tsd yet`);
  });

  await app.register(swagger, {
    exposeHeadRoutes: true,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'tsd',
        version: API_VERSION,
        description: `The part of the Docker Engine API that tsd ${deps.version} serves on its Unix socket. Every path can also carry a version prefix, /v${MIN_API_VERSION} to /v${API_VERSION}.`,
      },
    },
  });
  for (const routes of deps.routes) await app.register(async (scope) => routes(scope));
  await app.register(async (scope) => {
    scope.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  });
  await app.ready();

  const main = app.server;
  const closeUpgraded = routeUpgrades(main, app.routing);
  const closeEndless = (): void => {
    closing = true;
    closeUpgraded();
    // Written to by hand and not ended: a wait or a followed log, which may take for ever.
    for (const { raw, sent } of running) if (sent && !raw.writableEnded) raw.destroy();
  };
  return { app, ...createListeners(deps, main, closeEndless) };
}

function createHttp(handler: (request: never, response: never) => void): HttpServer {
  return createHttpServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      // An image may take longer to upload than any limit, and idle clients cost nothing on a local socket.
      requestTimeout: 0,
      keepAliveTimeout: 0,
      shouldUpgradeCallback: isUpgradable,
    },
    handler as never,
  );
}

function createListeners(
  deps: ServerDeps,
  main: HttpServer,
  closeEndless: () => void,
): Pick<ApiServer, 'listen' | 'close'> {
  const servers: NetServer[] = [];
  const sockets: ListeningSocket[] = [];
  return {
    async listen() {
      for (const [index, path] of deps.config.sockets.entries()) {
        // Further sockets feed the same HTTP server.
        const server =
          index === 0 ? main : createNetServer({ allowHalfOpen: true }, (socket) => main.emit('connection', socket));
        sockets.push(await listenOnSocket(server, path, deps.config.group));
        servers.push(server);
        deps.log.info({ socket: path, apiVersion: API_VERSION, architecture: arch }, 'listening');
      }
    },
    async close(graceMs = CLOSE_GRACE_MS) {
      for (const socket of sockets) socket.remove();
      const closed = Promise.all(
        servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      );
      main.closeIdleConnections();
      closeEndless();
      const force = setTimeout(() => main.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(force);
    },
  };
}
