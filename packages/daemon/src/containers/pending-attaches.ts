/**
 * Clients that attached to a container before its start: `docker run` does, so that it misses no byte. They are handed
 * to the supervisor together with the plan, ahead of the process' first instruction.
 */
import type { AttachRequest } from '../runtime/supervisor.ts';

/** A client's connection after the HTTP answer, held in the daemon. */
export interface WaitingClient {
  /** Aborts when the client goes away while it waits. */
  readonly gone: AbortSignal;
  /** Takes the connection out of Node's hands. @throws TsdError `conflict` when the client has gone */
  detach(): AttachedClient;
  /** Closes the connection: the container will not start. */
  close(): void;
}

/** A connection ready to be given to a supervisor. */
export interface AttachedClient {
  readonly request: AttachRequest;
  /** Closes the daemon's copy of the connection. Once; after it the descriptor must not be used. */
  release(): void;
}

export interface PendingAttaches {
  /** Forgets the client by itself when it goes away. */
  add(id: string, client: WaitingClient): void;
  /** Those who still wait for the container; the caller now has them. */
  take(id: string): readonly WaitingClient[];
}

export function createPendingAttaches(): PendingAttaches {
  const clientsById = new Map<string, Set<WaitingClient>>();
  return {
    add(id, client) {
      if (client.gone.aborted) return;
      const clients = clientsById.get(id) ?? new Set();
      clientsById.set(id, clients);
      clients.add(client);
      client.gone.addEventListener(
        'abort',
        () => {
          clients.delete(client);
          if (clients.size === 0 && clientsById.get(id) === clients) clientsById.delete(id);
        },
        { once: true },
      );
    },
    take(id) {
      const clients = clientsById.get(id);
      clientsById.delete(id);
      return clients === undefined ? [] : [...clients].filter((client) => !client.gone.aborted);
    },
  };
}
