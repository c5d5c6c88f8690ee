/** Copies a log response to stdout and stderr. */
import type { ApiResponse, QueryValue } from '../api/api-client.ts';
import type { Output } from '../output/output.ts';
import { createOutputSplitter } from './attach-session.ts';
import type { ExitStatusOptions } from './exit-status.ts';

export interface CopyLogsOptions extends ExitStatusOptions {
  readonly stdout: Output;
  readonly path: string;
  readonly query: Readonly<Record<string, QueryValue>>;
}

/** Resolves at the end of the log (of a followed one: when the container has ended). Throws ApiError, CliError. */
export async function copyLogs(options: CopyLogsOptions): Promise<void> {
  const { client, stdout, stderr } = options;
  const response: ApiResponse = await client.request({ method: 'GET', path: options.path, query: options.query });
  const multiplexed = response.headers.get('content-type')?.includes('multiplexed-stream') === true;
  const output = createOutputSplitter({ stream: { multiplexed }, stdout, stderr });
  for await (const chunk of response.chunks()) if (!output.push(chunk)) await output.drained();
  await output.finish();
}
