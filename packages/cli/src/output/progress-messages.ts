/** The messages that load, import and pull answer with, one JSON object after the other (Docker's jsonmessage). */
import type { ProgressMessage } from '@tsd/shared/api-images';
import type { ApiResponse } from '../api/exchange.ts';
import { CliError } from '../cli-error.ts';
import type { Output } from './output.ts';

export interface ProgressOptions {
  readonly output: Output;
  /** Shows only errors. */
  readonly quiet?: boolean;
  /** Called for every message that is not an error instead of showing it. */
  readonly onMessage?: (message: ProgressMessage) => void;
}

/** Shows the messages as they come. Throws CliError for an error among them. */
export async function showProgress(response: ApiResponse, options: ProgressOptions): Promise<void> {
  for await (const message of jsonMessages(response)) {
    const error = message.errorDetail?.message ?? message.error;
    if (error !== undefined) throw new CliError(error);
    if (options.onMessage !== undefined) options.onMessage(message);
    else if (options.quiet !== true) showMessage(message, options.output);
  }
}

function showMessage(message: ProgressMessage, output: Output): void {
  if (message.stream !== undefined) {
    output.write(message.stream);
    return;
  }
  if (message.status === undefined) return;
  // A line for every step; the counters in between are for terminals only and are shown by the caller's bar.
  const { progressDetail } = message;
  if (progressDetail?.current !== undefined && progressDetail.current > 0) return;
  output.write(message.id === undefined ? `${message.status}\n` : `${message.id}: ${message.status}\n`);
}

/** Splits the body into objects: one a line, or without anything in between. */
export async function* jsonMessages(response: ApiResponse): AsyncGenerator<ProgressMessage, void, undefined> {
  let pending = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.chunks()) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield parseMessage(line);
  }
  if (pending.trim() !== '') yield parseMessage(pending);
}

function parseMessage(line: string): ProgressMessage {
  try {
    return JSON.parse(line) as ProgressMessage;
  } catch (error) {
    throw new CliError(`the daemon sent a progress message that is not JSON: ${line.slice(0, 200)}`, { cause: error });
  }
}
