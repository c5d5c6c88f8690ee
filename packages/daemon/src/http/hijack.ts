/**
 * Takes a client's connection out of HTTP (attach, exec): the raw descriptor goes to the container's supervisor, and the
 * daemon is not in the data path. With `Upgrade` the answer is 101, without it a bare 200, exactly as dockerd's.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isPeerGone } from '../os/peer-gone.ts';
import { createSocketPair } from '../os/socket-pair.ts';
import { API_VERSION, compareVersions } from './api-version.ts';
import { descriptorOf, endReading, startReading, upgradeOf } from './upgrade.ts';

/** Input kept for a container that has not started yet, bytes; more stays in the client's socket. */
const MAX_HELD_INPUT_BYTES = 64 * 1024;
/** The largest body of an upgraded request (exec/start has a small JSON), bytes. */
const MAX_BODY_BYTES = 64 * 1024;
/** A client that has ended its input, or sent more than is held, gives no event when it goes: look this often. */
const UNREAD_CHECK_MS = 1000;

/** A connection taken out of HTTP and not yet handed over: it is held here while its container is created or started. */
export interface HijackedConnection {
  /** The request's body (Content-Length), which is not input. */
  readonly body: Buffer;
  /** Aborts when the client goes away while the connection is held. */
  readonly gone: AbortSignal;
  /** Writes the response head: after this the stream is raw. Resolves when the kernel has it. */
  respond(options: { readonly multiplexed: boolean }): Promise<void>;
  /** Writes to the client before the connection is handed over; waits until the kernel has it. Rejects if it is gone. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the holding and gives the descriptor. Throws conflict if the client is gone. */
  detach(): DetachedConnection;
  /** Closes the connection: the container will not start. */
  close(): void;
}

export interface DetachedConnection {
  /** A connected stream socket, non-blocking. Pass it on (SCM_RIGHTS) before `release`. */
  readonly descriptor: number;
  /** What the client had sent before, in order; bytes behind it are still in the socket. */
  readonly initialInput: Buffer;
  /** Closes the daemon's own descriptor without shutdown(2): whoever has a duplicate goes on. */
  release(): void;
}

/**
 * Takes over the connection behind a request. Refuse (throw) before calling this: afterwards there is no HTTP answer.
 * Throws bad_parameter for a body that is too large, conflict if the client has gone.
 */
export async function hijack(request: FastifyRequest, reply: FastifyReply): Promise<HijackedConnection> {
  const upgrade = upgradeOf(request.raw);
  const chunkedInput = upgrade === null && request.headers['transfer-encoding'] !== undefined;
  const socket = request.raw.socket;
  const bodyBytes = upgrade?.bodyBytes ?? 0;
  if (!(bodyBytes >= 0 && bodyBytes <= MAX_BODY_BYTES)) {
    throw new TsdError('bad_parameter', `the body of an upgraded request may have at most ${MAX_BODY_BYTES} bytes`);
  }
  if (upgrade === null && !chunkedInput && !request.raw.complete) await finished(request.raw.resume());
  const holder = holdInput(socket, upgrade?.head ?? Buffer.alloc(0), chunkedInput);
  const body = await holder.take(bodyBytes);
  reply.hijack();
  if (upgrade === null) socket.on('error', () => socket.destroy());
  else reply.raw.detachSocket(socket);
  request.log.info(
    { method: request.method, url: request.originalUrl, upgraded: upgrade !== null },
    'connection taken out of HTTP',
  );

  return {
    body,
    gone: holder.gone,
    async respond({ multiplexed }) {
      await writeAll(socket, responseHead(request, upgrade !== null, multiplexed));
    },
    async write(chunk) {
      await writeAll(socket, chunk);
    },
    detach() {
      const initialInput = holder.release();
      if (chunkedInput) return pump(request, socket);
      const descriptor = descriptorOf(socket);
      if (descriptor === null || holder.gone.aborted)
        throw new TsdError('conflict', 'the client has closed the connection');
      return { descriptor, initialInput, release: () => socket.destroy() };
    },
    close() {
      holder.release();
      socket.destroy();
    },
  };
}

interface InputHolder {
  readonly gone: AbortSignal;
  /** Takes the first `bytes` bytes. Throws conflict if the client goes before they are there. */
  take(bytes: number): Promise<Buffer>;
  /** Stops reading and watching; returns what is left. */
  release(): Buffer;
}

/** Reads a bounded amount of input, so that the client's going away is seen, and keeps it. */
function holdInput(socket: Socket, head: Buffer, leaveToParser: boolean): InputHolder {
  const goneController = new AbortController();
  let held = [head];
  let heldBytes = head.length;
  let ended = false;
  let wake: (() => void) | null = null;
  let watch: NodeJS.Timeout | null = null;

  const drain = (): void => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
      held.push(chunk);
      heldBytes += chunk.length;
    }
  };
  const onReadable = (): void => {
    drain();
    if (heldBytes >= MAX_HELD_INPUT_BYTES) {
      socket.off('readable', onReadable);
      endReading(socket);
      watchPeer();
    }
    wake?.();
  };
  const checkPeer = (): void => {
    const descriptor = descriptorOf(socket);
    if (descriptor === null || isPeerGone(descriptor)) socket.destroy();
  };
  const watchPeer = (): void => {
    checkPeer();
    if (!socket.destroyed) watch ??= setInterval(checkPeer, UNREAD_CHECK_MS).unref();
  };
  const onEnd = (): void => {
    ended = true;
    watchPeer();
    wake?.();
  };
  const onClose = (): void => {
    if (watch !== null) clearInterval(watch);
    watch = null;
    ended = true;
    goneController.abort();
    wake?.();
  };

  if (!leaveToParser) {
    // Node's HTTP server reads through these until now; its parser lets go of the handle when `readable` is listened to.
    socket.removeAllListeners('data');
    socket.removeAllListeners('end');
    socket.on('readable', onReadable);
    socket.on('end', onEnd);
    startReading(socket);
  }
  socket.on('close', onClose);
  if (socket.destroyed) onClose();

  return {
    gone: goneController.signal,
    async take(bytes) {
      while (heldBytes < bytes) {
        if (ended) throw new TsdError('conflict', 'the client closed the connection inside the request body');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = null;
      }
      const all = Buffer.concat(held);
      held = [all.subarray(bytes)];
      heldBytes -= bytes;
      return all.subarray(0, bytes);
    },
    release() {
      if (watch !== null) clearInterval(watch);
      socket.off('close', onClose);
      if (!leaveToParser) {
        socket.off('readable', onReadable);
        socket.off('end', onEnd);
        if (!socket.destroyed) {
          drain();
          endReading(socket);
        }
      }
      return Buffer.concat(held);
    },
  };
}

/** A client that sends its input as a chunked body (dockerode without hijack): Node decodes it and pumps both ways. */
function pump(request: FastifyRequest, socket: Socket): DetachedConnection {
  const [descriptor, ours] = createSocketPair();
  const inner = new Socket({ fd: ours, allowHalfOpen: true, readable: true, writable: true });
  inner.on('error', () => inner.destroy());
  inner.pipe(socket);
  request.raw.pipe(inner);
  inner.on('close', () => socket.destroySoon());
  socket.on('close', () => inner.destroy());
  return { descriptor, initialInput: Buffer.alloc(0), release: () => closeSync(descriptor) };
}

/** moby, api/server/router/container postContainersAttach: the head for the client's version. */
function responseHead(request: FastifyRequest, upgraded: boolean, multiplexed: boolean): string {
  if (!upgraded) return 'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n';
  const knowsMultiplexed = compareVersions(request.apiVersion || API_VERSION, '1.42') >= 0;
  const type = multiplexed && knowsMultiplexed ? 'multiplexed-stream' : 'raw-stream';
  return `HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.${type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`;
}

function writeAll(socket: Socket, chunk: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) {
      reject(new TsdError('conflict', 'the client has closed the connection'));
      return;
    }
    socket.write(chunk, (error) => {
      if (error) reject(new TsdError('conflict', `the client has closed the connection: ${error.message}`));
      else resolve();
    });
  });
}
