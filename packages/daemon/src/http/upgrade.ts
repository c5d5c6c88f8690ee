/** Requests with `Connection: Upgrade`: Node hands over the socket, and the request still runs through Fastify. */
import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What an upgraded request brought besides its head. */
export interface Upgrade {
  /** The bytes that arrived with the head: the body first, if there is one, then input. */
  readonly head: Buffer;
  /** Length of the body, bytes; NaN where the header is not a number. */
  readonly bodyBytes: number;
}

const UPGRADES = new WeakMap<IncomingMessage, Upgrade>();

/** Endpoints that become raw streams (API description: ContainerAttach, ExecStart). Others ignore the header. */
const UPGRADABLE = /^(?:\/v[0-9.]+)?\/(?:containers\/[^/?]+\/attach|exec\/[^/?]+\/start)(?:\?|$)/;

/** Node's `shouldUpgradeCallback`: an Upgrade header elsewhere (h2c, websockets) is an ordinary request. */
export function isUpgradable(request: IncomingMessage): boolean {
  return (
    request.method === 'POST' && UPGRADABLE.test(request.url ?? '') && request.headers.upgrade?.toLowerCase() === 'tcp'
  );
}

/**
 * Dispatches upgraded requests into the router, with a response that can still refuse over plain HTTP. Node's server
 * forgets upgraded sockets: the function returned closes those that are left.
 */
export function routeUpgrades(
  server: Server,
  route: (request: IncomingMessage, response: ServerResponse) => void,
): () => void {
  const sockets = new Set<Socket>();
  server.on('upgrade', (request: IncomingMessage, _stream: unknown, head: Buffer) => {
    const socket = request.socket;
    stopReading(socket);
    UPGRADES.set(request, { head, bodyBytes: Number(request.headers['content-length'] ?? 0) });
    // Node does not read the body of an upgraded request; Fastify must not wait for it. dockerd takes what follows a
    // chunked head as input too: dockerode sends that header with a raw stream behind it.
    for (const name of ['content-length', 'content-type', 'transfer-encoding']) delete request.headers[name];
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Nothing else listens for errors once Node's HTTP server has let the socket go.
    socket.on('error', () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.on('finish', () => {
      response.detachSocket(socket);
      socket.destroySoon();
    });
    route(request, response);
  });
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

/** What Node handed over with an upgraded request; null for an ordinary one. */
export function upgradeOf(request: IncomingMessage): Upgrade | null {
  return UPGRADES.get(request) ?? null;
}

/** The libuv handle behind a Unix socket, as far as it is needed here and in hijack.ts. */
interface PipeHandle {
  readonly fd: number;
  /** net.Socket's own note of whether the handle reads. */
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

/** The socket's descriptor; null once it is closed. */
export function descriptorOf(socket: Socket): number | null {
  return handleOf(socket)?.fd ?? null;
}

/** Keeps libuv from reading: what the client sends from now on stays in the kernel. */
export function stopReading(socket: Socket): void {
  socket.pause();
  const handle = handleOf(socket);
  if (handle === null) return;
  handle.reading = false;
  handle.readStop();
}

/** stopReading for good: the stream layer too, which may have a read scheduled, never reads from the descriptor again. */
export function endReading(socket: Socket): void {
  socket._read = () => undefined;
  stopReading(socket);
}

/** Lets libuv read again. The stream layer believes that it never stopped, so it would not do so by itself. */
export function startReading(socket: Socket): void {
  const handle = handleOf(socket);
  if (handle === null) return;
  handle.reading = true;
  handle.readStart();
}

function handleOf(socket: Socket): PipeHandle | null {
  return (socket as Socket & { _handle?: PipeHandle | null })._handle ?? null;
}
