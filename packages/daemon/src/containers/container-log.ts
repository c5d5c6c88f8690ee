/** What of a container's log a client asks for: the parameters of GET /containers/{id}/logs. */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerFiles } from './container-paths.ts';
import type { Log } from './log.ts';
import { logDetails } from './log-details.ts';
import { type ReadLogOptions, readLog } from './read-log.ts';
import { parseUnixTime, timestampOfNs } from './timestamp.ts';

export interface LogRequest {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  /** Put the attributes that the log options name before each line. */
  readonly details: boolean;
  /** Unix times with up to nine decimals; empty or 0 for no bound. */
  readonly since: string;
  readonly until: string;
  /** A number of lines; anything else means all, as in Docker. */
  readonly tail: string;
  readonly signal?: AbortSignal;
}

export interface ContainerLog {
  /** Docker's frames; otherwise the bare output of a terminal. */
  readonly multiplexed: boolean;
  readonly content: AsyncGenerator<Buffer, void, undefined>;
}

/**
 * Opens the log. Reading begins with the first use of `content`.
 *
 * @throws TsdError `not_found`, `bad_parameter` where no stream is chosen or a time is none, `not_implemented` for a
 *   container without a log
 */
export function containerLog(
  deps: Pick<ContainerDeps, 'log' | 'roots' | 'running' | 'store'>,
  reference: string,
  request: LogRequest,
): ContainerLog {
  if (!request.stdout && !request.stderr) {
    throw new TsdError('bad_parameter', 'Bad parameters: you must choose at least one stream');
  }
  const record = deps.store.lookup(reference);
  requireReadableLog(record);
  // Nothing is ever added to the log of a container that does not run.
  const ended = request.follow ? deps.running.get(record.id)?.ended : undefined;
  const multiplexed = !record.config.Tty;
  const options: ReadLogOptions = {
    stdout: request.stdout,
    stderr: request.stderr,
    since: parseTime('since', request.since),
    until: parseTime('until', request.until),
    timestamps: request.timestamps,
    details: request.details ? `${logDetails(record)} ` : '',
    multiplexed,
    tail: /^\d+$/.test(request.tail) ? Number(request.tail) : null,
    followUntil: ended ?? null,
    onGap: tellGap(deps.log, record.id),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  };
  return { multiplexed, content: readLog(containerFiles(deps.roots, record.id).logFile, options) };
}

/** @throws TsdError `not_implemented` for a container without a log */
export function requireReadableLog({ hostConfig }: Pick<ContainerRecord, 'hostConfig'>): void {
  if (hostConfig.LogConfig.Type === 'none') {
    throw new TsdError('not_implemented', 'configured logging driver does not support reading');
  }
}

/** Says what a reader of a container's log missed. */
export function tellGap(log: Log, containerId: string): (files: number) => void {
  return (files) =>
    log.warn({ containerId, files }, 'a reader of the log was too slow: rotation deleted what it had not read');
}

function parseTime(name: string, text: string): string | null {
  const ns = parseUnixTime(name, text);
  return ns === null ? null : timestampOfNs(ns);
}
