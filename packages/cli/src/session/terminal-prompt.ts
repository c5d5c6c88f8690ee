/** Questions on the terminal of stdin; an answer can be kept off the screen. */
import { isatty, ReadStream } from 'node:tty';
import { CliError } from '../cli-error.ts';
import { displayWidth } from '../output/display-width.ts';
import type { Output } from '../output/output.ts';

export interface TerminalPrompt {
  /** Shows the question and resolves with the line that the user types. Throws CliError where the user gives up. */
  ask(question: string, options?: { readonly secret?: boolean }): Promise<string>;
  /** Puts the terminal back as it was. */
  close(): void;
}

/** What a shell shows for a program that SIGINT ended. */
const EXIT_CODE_SIGINT = 130;

export function stdinIsTerminal(): boolean {
  return isatty(0);
}

/** The terminal is in raw mode until `close`, so that nothing that is typed ahead is shown. */
export function openTerminalPrompt(output: Output): TerminalPrompt {
  const stream = new ReadStream(0);
  stream.setRawMode(true);
  stream.setEncoding('utf8');
  const typed: AsyncIterator<string> = stream[Symbol.asyncIterator]();
  /** What was typed behind the end of a line. */
  let ahead: string[] = [];
  const nextKey = async (): Promise<string> => {
    while (ahead.length === 0) {
      const { done, value } = await typed.next();
      if (done === true) return END_OF_INPUT;
      ahead = [...value];
    }
    return ahead.shift() ?? '';
  };

  return {
    async ask(question, { secret = false } = {}) {
      output.write(question);
      const line: string[] = [];
      for (;;) {
        const key = await nextKey();
        if (key === '\r' || key === '\n' || key === END_OF_INPUT) break;
        if (key === '\x03') {
          output.write('\n');
          throw new CliError('cancelled', { exitCode: EXIT_CODE_SIGINT });
        }
        const removed = key === '\x7f' || key === '\b' ? line.splice(-1) : key === '\x15' ? line.splice(0) : undefined;
        if (removed !== undefined) {
          if (!secret) output.write('\b \b'.repeat(displayWidth(removed.join(''))));
        } else if (key >= ' ') {
          line.push(key);
          if (!secret) output.write(key);
        }
      }
      output.write('\n');
      return line.join('');
    },
    close() {
      if (stream.destroyed) return;
      stream.setRawMode(false);
      stream.destroy();
    },
  };
}

/** Ctrl-D. */
const END_OF_INPUT = '\x04';
