/** The client's side of the Docker Engine API on a Unix socket: requests over kept-alive connections, and hijacking. */
import { ApiError, ConnectionLostError } from './api-error.ts';
import type { ApiRequest } from './api-request.ts';
import { Connection, type ConnectionUser } from './connection.ts';
import type { Endpoint } from './endpoint.ts';
import { type ApiResponse, type Exchange, type HijackedStream, runExchange } from './exchange.ts';

export interface ApiClient {
  readonly endpoint: Endpoint;
  /** Sends a request; resolves with the head of the response. Throws ApiError for a status of 400 or more. */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** Sends a request whose body does not matter. */
  send(request: ApiRequest): Promise<number>;
  json<T>(request: ApiRequest): Promise<T>;
  hijack(request: ApiRequest): Promise<HijackedStream>;
  /** Opens a connection ahead of its first request, so that the daemon has accepted it by then. */
  preconnect(): void;
  close(): void;
}

export function createApiClient(endpoint: Endpoint): ApiClient {
  const idle: Connection[] = [];
  const open = new Set<Connection>();

  /** What ends while nobody uses it is not used again. */
  const idleUser = (connection: Connection): ConnectionUser => ({
    data: () => connection.close(),
    end: () => connection.close(),
    error: () => connection.close(),
  });
  const freshConnection = (): Connection => {
    for (const each of open) if (each.closed) open.delete(each);
    const connection = new Connection(endpoint.socketPath);
    open.add(connection);
    return connection;
  };
  const connection = (fresh: boolean): Connection => {
    let kept = fresh ? undefined : idle.pop();
    while (kept?.closed) kept = idle.pop();
    if (kept === undefined) return freshConnection();
    kept.ref();
    return kept;
  };
  const keep = (kept: Connection): void => {
    if (kept.closed || kept.ended) return;
    kept.hand(idleUser(kept));
    kept.unref();
    kept.resume();
    idle.push(kept);
  };

  const exchange = (request: ApiRequest, upgrade: boolean, fresh = false): Promise<Exchange> => {
    const used = connection(fresh);
    const reused = used.bytesRead > 0;
    return runExchange(used, request, upgrade, endpoint, keep).catch((error: unknown) => {
      // The daemon closed a kept-alive connection before it read this request: a safe one is sent again.
      if (error instanceof ConnectionLostError && reused && !fresh && request.method === 'GET') {
        return exchange(request, upgrade, true);
      }
      throw error;
    });
  };

  const request = async (what: ApiRequest): Promise<ApiResponse> => {
    const response = (await exchange(what, false)).response;
    if (response.status >= 400) throw await apiError(response);
    return response;
  };

  return {
    endpoint,
    request,
    async send(what) {
      const response = await request(what);
      await response.text();
      return response.status;
    },
    async json<T>(what: ApiRequest): Promise<T> {
      return (await request(what)).json<T>();
    },
    async hijack(what) {
      const result = await exchange(what, true);
      if (result.hijacked === undefined) {
        if (result.response.status >= 400) throw await apiError(result.response);
        throw new ApiError(result.response.status, 'the daemon did not give the stream');
      }
      return result.hijacked;
    },
    preconnect() {
      keep(freshConnection());
    },
    close() {
      for (const each of open) each.close();
    },
  };
}

async function apiError(response: ApiResponse): Promise<ApiError> {
  const content = await response.text();
  let message = content.trim();
  try {
    const decoded: unknown = JSON.parse(content);
    if (typeof decoded === 'object' && decoded !== null && 'message' in decoded)
      message = String(decoded.message).trim();
  } catch {
    // Not JSON: the text itself is the message.
  }
  return new ApiError(response.status, message === '' ? `status ${response.status} without a message` : message);
}
