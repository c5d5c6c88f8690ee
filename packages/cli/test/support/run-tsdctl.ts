/** Runs the client: inside of the test's process, or as a process of its own where descriptors and signals matter. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { runProgram } from '../../src/program.ts';
import { captureOutput } from './capture-output.ts';

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process. It must not read stdin. */
export async function runInProcess(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<RunResult> {
  const stdout = captureOutput();
  const stderr = captureOutput();
  const exitCode = await runProgram({ argv, env, stdout, stderr });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

/** Starts the client from its sources. */
export function startTsdctl(argv: readonly string[], env: Record<string, string> = {}): ChildProcessWithoutNullStreams {
  const main = join(import.meta.dirname, '../../src/main.ts');
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--', main, ...argv], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
}

/** Gives the client its whole input and waits for its end. */
export async function runTsdctl(
  argv: readonly string[],
  options: { readonly input?: string; readonly env?: Record<string, string> } = {},
): Promise<RunResult> {
  const child = startTsdctl(argv, options.env);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return {
    exitCode: exitCode ?? -1,
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  };
}
