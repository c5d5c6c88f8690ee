/** Copies a container's log to stdout and stderr. */
import { STREAM_STDERR, STREAM_STDOUT } from '@tsd/shared/stream-framing';
import { ConnectionLostError } from '../api/api-error.ts';
import type { QueryValue } from '../api/api-request.ts';
import type { ApiResponse } from '../api/exchange.ts';
import type { Output } from '../output/output.ts';
import { createOutputSplitter } from './attach-session.ts';
import type { ExitStatusOptions } from './exit-status.ts';
import { createLogTracker } from './log-tracker.ts';
import { timestampParameter } from './timestamp-parameter.ts';
import { retryUntilBack } from './wait-for-daemon.ts';

export interface CopyLogsOptions extends ExitStatusOptions {
  readonly stdout: Output;
  readonly path: string;
  readonly query: Readonly<Record<string, QueryValue>>;
}

/** Resolves at the end of the log. Throws ApiError, CliError. */
export async function copyLogs(options: CopyLogsOptions): Promise<void> {
  const { stdout, stderr } = options;
  const { response, multiplexed } = await requestLogs(options, options.query);
  const output = createOutputSplitter({ stream: { multiplexed }, stdout, stderr });
  for await (const chunk of response.chunks()) if (!output.push(chunk)) await output.drained();
  await output.finish();
}

/**
 * Follows the log until the container has ended; a daemon that is restarted meanwhile is waited for, and the log taken
 * up where it was. Throws ApiError, CliError.
 */
export async function followLogs(options: CopyLogsOptions): Promise<void> {
  const tracker = createLogTracker(options.query['timestamps'] === true);
  let { response, multiplexed } = await requestLogs(options, { ...options.query, timestamps: true });
  for (;;) {
    const output = createOutputSplitter({
      stream: { multiplexed },
      stdout: tracked(options.stdout, (text) => tracker.push(STREAM_STDOUT, text)),
      stderr: tracked(options.stderr, (text) => tracker.push(STREAM_STDERR, text)),
    });
    try {
      for await (const chunk of response.chunks()) if (!output.push(chunk)) await output.drained();
      return await output.finish();
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error;
    }
    await output.drained();
    const time = tracker.resume();
    const position = time === null ? {} : { since: timestampParameter(time, Date.now(), 'since'), tail: 'all' };
    const query = { ...options.query, ...position, timestamps: true };
    ({ response, multiplexed } = await retryUntilBack(
      options,
      () => requestLogs(options, query),
      'the rest of the log is there when it is back',
    ));
  }
}

async function requestLogs(
  options: CopyLogsOptions,
  query: CopyLogsOptions['query'],
): Promise<{ response: ApiResponse; multiplexed: boolean }> {
  const response = await options.client.request({ method: 'GET', path: options.path, query });
  const type = response.headers.get('content-type') ?? '';
  return { response, multiplexed: type.includes('multiplexed-stream') };
}

function tracked(output: Output, shown: (text: Uint8Array) => Uint8Array): Output {
  return {
    isTerminal: output.isTerminal,
    columns: output.columns,
    write: (data) => output.write(data),
    push: (data) => output.push(shown(data)),
    drained: () => output.drained(),
  };
}
