/** What can go wrong between the client and the daemon, in words that tell the user what to do. */
import { CliError } from '../cli-error.ts';
import type { Endpoint } from './endpoint.ts';

/** The daemon refused a request: its status and its own message. */
export class ApiError extends CliError {
  override readonly name = 'ApiError';
  readonly status: number;
  /** The daemon's text alone. */
  readonly detail: string;

  constructor(status: number, detail: string) {
    super(`Error response from daemon: ${detail}`);
    this.status = status;
    this.detail = detail;
  }
}

/** The connection broke while a response was coming. The request may have had its effect. */
export class ConnectionLostError extends CliError {
  override readonly name = 'ConnectionLostError';

  constructor(endpoint: Endpoint, options: ErrorOptions = {}) {
    super(`the connection to the tsd daemon at ${endpoint.url} was lost (did the daemon stop?)`, options);
  }
}

/** No connection could be made. */
export class CannotConnectError extends CliError {
  override readonly name = 'CannotConnectError';
}

/** Explains a failed connect(2) to the daemon's socket. */
export function cannotConnect(error: NodeJS.ErrnoException, endpoint: Endpoint): CannotConnectError {
  const { url, socketPath } = endpoint;
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
      return new CannotConnectError(
        `permission denied while connecting to the tsd daemon at ${url}.\n` +
          'Members of the group "tsd" may use it: run "sudo usermod -aG tsd $USER" and log in again, or use sudo.',
        { cause: error },
      );
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTDIR':
      return new CannotConnectError(
        `Cannot connect to the tsd daemon at ${url}. Is the daemon running?\n` +
          `Start it with "sudo systemctl start tsd", or "sudo bin/tsd" in a checkout; ` +
          'for a daemon on another socket use -H unix:///PATH or TSD_HOST.',
        { cause: error },
      );
    case 'ENAMETOOLONG':
    case 'EINVAL':
      return new CannotConnectError(`the socket path ${socketPath} cannot be used (${error.code})`, { cause: error });
    default:
      return new CannotConnectError(`Cannot connect to the tsd daemon at ${url}: ${error.message}`, { cause: error });
  }
}
