/** A daemon's API on a Unix socket, as far as a test scripts it. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type t from 'tap';

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly headers: IncomingMessage['headers'];
}

export type Handler = (request: RecordedRequest, response: ServerResponse) => void | Promise<void>;
export type UpgradeHandler = (request: RecordedRequest, socket: Socket) => void;

export interface FakeDaemon {
  readonly host: string;
  readonly socketPath: string;
  readonly requests: RecordedRequest[];
  /** How many connections were accepted. */
  connections(): number;
  /** Breaks every connection, as a daemon that is killed. */
  breakConnections(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface FakeDaemonOptions {
  readonly routes: Readonly<Record<string, Handler>>;
  readonly upgrade?: UpgradeHandler;
}

type Tap = typeof t;

/** Starts the server; routes are `METHOD /path` with `*` for one part. It stops with the test. */
export async function startFakeDaemon(t: Pick<Tap, 'teardown'>, options: FakeDaemonOptions): Promise<FakeDaemon> {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  const socketPath = join(folder, 'api.sock');
  const requests: RecordedRequest[] = [];
  const sockets = new Set<Socket>();
  let connectionCount = 0;
  let server: Server;

  const start = async (): Promise<void> => {
    server = createServer((request, response) => {
      void readAll(request).then(async (body) => {
        const recorded = record(request, body);
        requests.push(recorded);
        const handler = findRoute(options.routes, recorded);
        if (handler === undefined)
          answerJson(response, 404, { message: `no route for ${recorded.method} ${recorded.path}` });
        else await handler(recorded, response);
      });
    });
    server.on('connection', (socket: Socket) => {
      connectionCount++;
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      const recorded = record(request, head);
      requests.push(recorded);
      options.upgrade?.(recorded, socket);
    });
    server.listen(socketPath);
    await once(server, 'listening');
  };
  const breakConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    breakConnections();
    await once(server, 'close');
  };
  await start();
  t.teardown(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    host: `unix://${socketPath}`,
    socketPath,
    requests,
    connections: () => connectionCount,
    breakConnections,
    stop,
    start,
  };
}

export function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

/** The head of a hijacked connection. */
export function acceptUpgrade(socket: Socket, contentType = 'application/vnd.docker.multiplexed-stream'): void {
  socket.write(`HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`);
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  try {
    for await (const chunk of request) parts.push(chunk as Buffer);
  } catch {
    // The client went away in the middle of its request; what came is recorded.
  }
  return Buffer.concat(parts);
}

function record(request: IncomingMessage, body: Buffer): RecordedRequest {
  const url = new URL(request.url ?? '/', 'http://tsd');
  return {
    method: request.method ?? '',
    path: decodeURIComponent(url.pathname),
    query: url.searchParams,
    body,
    headers: request.headers,
  };
}

function findRoute(routes: Readonly<Record<string, Handler>>, request: RecordedRequest): Handler | undefined {
  for (const [route, handler] of Object.entries(routes)) {
    const [method = '', path = ''] = route.split(' ');
    const pattern = new RegExp(`^${path.replaceAll('*', '[^/]+')}$`);
    if (method === request.method && pattern.test(request.path)) return handler;
  }
  return undefined;
}
