/** A running container's supervisor (packages/launcher), as the daemon sees it over its control socket. */
import { readFileSync } from 'node:fs';
import { connectUnix } from '../os/connect-unix.ts';
import {
  type ConnectionEvents,
  type ControlConnection,
  type HeldAttach,
  openControlConnection,
} from './control-connection.ts';
import { decodeExitFile, decodeStatus, type ExitReport, type SupervisorStatus } from './launcher-protocol.ts';

/** A client's connection that is handed to the supervisor: from then on the daemon is not in its data path. */
export interface AttachRequest {
  /** A connected stream socket. The supervisor gets a duplicate: the caller still closes its own. */
  readonly descriptor: number;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Bytes that the client sent before the descriptor was handed over. */
  readonly initialInput: Uint8Array;
  /** Input that detaches the client; empty for none. */
  readonly detachKeys: Uint8Array;
}

export interface Supervisor {
  /** The container's first process, as the host numbers it. */
  readonly pid: number;
  /** CLOCK_REALTIME, nanoseconds since the epoch. */
  readonly startedAtNs: bigint;
  /** Resolves when the exit report is durable; rejects where the connection ends without one (then see `readExitFile`).
   * It stays pending after `disconnect`. */
  readonly exited: Promise<ExitReport>;
  /** kill(2) of the first process. Rejects with SystemCallError ESRCH after the exit. */
  signal(signalNumber: number): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  attach(request: AttachRequest): Promise<void>;
  /**
   * Attaches a client whose output begins exactly where the log's files end now. Nothing is sent to it before `release`: what the
   * log holds up to there can go first. The client is disconnected if this connection ends before.
   *
   * Rejects with SystemCallError ESRCH after the exit, ENODATA where there is no log.
   */
  hold(request: AttachRequest): Promise<HeldAttach>;
  status(): Promise<SupervisorStatus>;
  /** Closes the control connection; the container goes on. */
  disconnect(): void;
}

/** What a connection tells before the process runs. */
export interface LaunchMessages {
  readonly onWarning: (warning: { step: number | null; errno: number; detail: string }) => void;
  readonly onFailed: (failure: { step: number | null; errno: number; detail: string }) => void;
}

/**
 * Follows a connection until STARTED (`started` resolves with the supervisor) or its end (`started` rejects).
 * Takes over the descriptor.
 */
export function followSupervisor(
  descriptor: number,
  messages: LaunchMessages,
): { readonly connection: ControlConnection; readonly started: Promise<Supervisor> } {
  const started = Promise.withResolvers<Supervisor>();
  const exited = Promise.withResolvers<ExitReport>();
  // Whoever awaits it sees the rejection; nobody need await it.
  exited.promise.catch(() => undefined);
  let disconnected = false;
  const events: ConnectionEvents = {
    onMessage: (message) => {
      switch (message.type) {
        case 'warning':
          messages.onWarning(message);
          return;
        case 'failed':
          messages.onFailed(message);
          return;
        case 'exited':
          exited.resolve(message.report);
          return;
        case 'started':
          started.resolve({
            pid: message.pid,
            startedAtNs: message.startedAtNs,
            exited: exited.promise,
            signal: connection.signal,
            resize: connection.resize,
            attach: (request) => connection.attach(request.descriptor, request).done,
            hold: (request) => connection.hold(request.descriptor, request),
            status: async () => decodeStatus(await connection.status()),
            disconnect: () => {
              disconnected = true;
              connection.close();
            },
          });
      }
    },
    onClose: (error) => {
      const reason = new Error('the supervisor closed the connection', error === null ? {} : { cause: error });
      started.reject(reason);
      if (!disconnected) exited.reject(reason);
    },
  };
  const connection = openControlConnection(descriptor, events);
  return { connection, started: started.promise };
}

/**
 * Reconnects to the supervisor behind a container's control socket, after a restart of the daemon.
 * @throws SystemCallError ENOENT or ECONNREFUSED where there is none any more, Error where it closes the connection because
 *   it is about to go: the exit file tells how it ended.
 */
export async function connectSupervisor(socketPath: string): Promise<Supervisor> {
  const silent = (): void => undefined;
  const { started } = followSupervisor(connectUnix(socketPath), { onWarning: silent, onFailed: silent });
  return started;
}

/** The exit report that a supervisor wrote; null where the file is missing or damaged (a power failure). */
export function readExitFile(path: string): ExitReport | null {
  try {
    return decodeExitFile(readFileSync(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
