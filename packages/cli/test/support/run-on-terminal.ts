/** Programs on a terminal of their own (util-linux script(1)), with somebody who types. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  /** What is typed once a text has appeared behind what was typed before. */
  readonly typed?: readonly (readonly [shown: string, keys: string])[];
  /** Hears all that is on the screen so far whenever something comes. */
  readonly onShown?: (shown: string) => void;
}

export interface TerminalResult {
  readonly exitCode: number | null;
  /** All that the terminal showed. */
  readonly shown: string;
}

/** The command line of the client from its sources. */
export const TSDCTL_COMMAND = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  '--',
  join(import.meta.dirname, '../../src/main.ts'),
] as const;

export async function runOnTerminal(
  command: readonly string[],
  options: TerminalOptions = {},
): Promise<TerminalResult> {
  const { env = {}, columns = 120, typed = [], onShown } = options;
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const child = spawn(
    'script',
    [
      '--quiet',
      '--return',
      '--flush',
      '--echo',
      'always',
      '--command',
      `stty cols ${columns} rows 40; ${quoted}`,
      '/dev/null',
    ],
    { env: { PATH: process.env['PATH'] ?? '', ...env } },
  );
  const waiting = [...typed];
  let shown = '';
  let seen = 0;
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    shown += text;
    onShown?.(shown);
    const next = waiting[0];
    if (next === undefined || !shown.slice(seen).includes(next[0])) return;
    seen = shown.length;
    waiting.shift();
    child.stdin.write(next[1]);
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, shown };
}
