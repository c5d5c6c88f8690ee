/** The messages that load, import, pull and push answer with, one JSON object after the other (Docker's jsonmessage). */
import type { ProgressMessage } from '@tsd/shared/api-images';
import type { ApiResponse } from '../api/exchange.ts';
import { CliError } from '../cli-error.ts';
import type { Output } from './output.ts';
import { createProgressDisplay } from './progress-display.ts';

export interface ProgressOptions {
  readonly output: Output;
  /** Shows only errors. */
  readonly quiet?: boolean;
}

/** Shows the messages as they come. Throws CliError for an error among them. */
export async function showProgress(response: ApiResponse, options: ProgressOptions): Promise<void> {
  const show = createProgressDisplay(options.output);
  for await (const message of jsonMessages<ProgressMessage>(response)) {
    const error = message.errorDetail?.message ?? message.error;
    if (error !== undefined) throw new CliError(error);
    // `aux` is for programs.
    if (options.quiet !== true && !('aux' in message)) show(message);
  }
}

/** Splits the body into objects: one a line, or without anything in between. */
export async function* jsonMessages<Message>(response: ApiResponse): AsyncGenerator<Message, void, undefined> {
  for await (const line of bodyLines(response)) yield parseMessage<Message>(line);
}

/** The lines of the body that are not empty, as they come. */
export async function* bodyLines(response: ApiResponse): AsyncGenerator<string, void, undefined> {
  let pending = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.chunks()) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (pending.trim() !== '') yield pending;
}

function parseMessage<Message>(line: string): Message {
  try {
    return JSON.parse(line) as Message;
  } catch (error) {
    throw new CliError(`the daemon sent a progress message that is not JSON: ${line.slice(0, 200)}`, { cause: error });
  }
}
