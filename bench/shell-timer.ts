/**
 * How long a command takes at a prompt. A shell of its own starts and times it: to fork this process, with its memory, and to
 * hear of the end through its event loop takes 2 to 5 ms, which are neither engine's.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Reads command lines; answers each with its exit code and the time in µs. What it says on stderr goes to the file $1. */
const LOOP = `while IFS= read -r command; do
  from=$EPOCHREALTIME
  eval "$command" </dev/null >/dev/null 2>"$1"
  code=$? to=$EPOCHREALTIME
  echo "$code $((\${to/./} - \${from/./}))"
done`;

export interface ShellTimer {
  /** Milliseconds from the command to the prompt. Throws with what it said where its exit code is not 0. */
  time(program: string, args: readonly string[]): Promise<number>;
  close(): void;
}

/** One command at a time. */
export function startShellTimer(): ShellTimer {
  const folder = mkdtempSync(join(tmpdir(), 'tsd-bench-shell-'));
  const errors = join(folder, 'stderr');
  const shell = spawn('bash', ['-c', LOOP, 'bash', errors], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  const answers = createInterface({ input: shell.stdout })[Symbol.asyncIterator]();
  return {
    async time(program, args) {
      shell.stdin.write(`${[program, ...args].map(quoted).join(' ')}\n`);
      const answer = await answers.next();
      if (answer.done === true) throw new Error('bash, which times the commands, has ended');
      const [code, microseconds] = answer.value.split(' ').map(Number);
      if (code !== 0) throw new Error(`${program}: exit code ${code}: ${readFileSync(errors, 'utf8')}`);
      return (microseconds ?? Number.NaN) / 1000;
    },
    close() {
      shell.stdin.end();
      rmSync(folder, { recursive: true });
    },
  };
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
