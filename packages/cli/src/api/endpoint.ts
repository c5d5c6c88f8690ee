/** Where the daemon listens: -H/--host, TSD_HOST, or the default socket. */
import { CliError } from '../cli-error.ts';

export const DEFAULT_SOCKET_PATH = '/run/tsd/tsd.sock';

/** A Unix socket of a daemon; `url` is what messages show. */
export interface Endpoint {
  readonly socketPath: string;
  readonly url: string;
}

/** Reads `unix:///path` or a plain absolute path; undefined or empty means the default. Throws CliError for others. */
export function parseEndpoint(host: string | undefined): Endpoint {
  if (host === undefined || host === '') return endpointOf(DEFAULT_SOCKET_PATH);
  const path = host.startsWith('unix://') ? host.slice('unix://'.length) : host;
  if (path.startsWith('/')) return endpointOf(path);
  throw new CliError(`unable to parse host "${host}": write a Unix socket such as unix://${DEFAULT_SOCKET_PATH}`);
}

function endpointOf(socketPath: string): Endpoint {
  return { socketPath, url: `unix://${socketPath}` };
}
