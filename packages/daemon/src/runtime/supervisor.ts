/** A running container's supervisor (packages/launcher), as the daemon sees it over its control socket. */

/** How the container's first process ended. */
export interface ExitReport {
  readonly kind: 'exited' | 'signalled';
  /** Exit code, or signal number. */
  readonly value: number;
  readonly oomKilled: boolean;
  /** CLOCK_REALTIME, nanoseconds. */
  readonly startedAtNs: bigint;
  readonly finishedAtNs: bigint;
}

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

export interface SupervisorStatus {
  readonly state: 'starting' | 'running' | 'exited';
  readonly pid: number;
  readonly startedAtNs: bigint;
  readonly exit: ExitReport | null;
}

export interface Supervisor {
  /** The container's first process, as the host numbers it. */
  readonly pid: number;
  readonly startedAtNs: bigint;
  /** Resolves when the exit report is durable; rejects where the supervisor goes away without one. */
  readonly exited: Promise<ExitReport>;
  signal(signalNumber: number): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  attach(request: AttachRequest): Promise<void>;
  status(): Promise<SupervisorStatus>;
  /** Closes the control connection; the container goes on. */
  disconnect(): void;
}

/** Reconnects to the supervisor behind a container's control socket, after a restart of the daemon. */
export declare function connectSupervisor(socketPath: string): Promise<Supervisor>;

/** The exit report that a supervisor wrote; null where the file is missing. */
export declare function readExitFile(path: string): ExitReport | null;
