/** Runs a command that is one test by its exit code. */
import { spawn } from 'node:child_process';
import type { FileOutcome } from './run-test-file.ts';

/**
 * Runs `command` and counts it as a single test, or as what it says in a last line `N passed, N failed`. Lines that begin
 * with `skipped: ` are reasons to skip. Its output is shown only when it fails.
 */
export function runCommand(name: string, command: readonly [string, ...string[]], cwd: string): Promise<FileOutcome> {
  const startedAt = performance.now();
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const text = Buffer.concat(output).toString();
      const summary = /(?:^|\n)(\d+) passed, (\d+) failed[^\n]*\n?$/.exec(text);
      const passed = Number(summary?.[1] ?? 0);
      const failed = Number(summary?.[2] ?? 0);
      const skips = [...text.matchAll(/^skipped: (.*)$/gm)].map(([, reason = '']) => reason);
      const ok = code === 0;
      resolve({
        file: name,
        passed: ok && summary === null ? 1 : passed,
        failed: ok ? failed : Math.max(failed, 1),
        skipped: skips.length,
        skips,
        failures: ok && failed === 0 ? [] : [`${signal ?? `exit code ${code}`}\n${text.trimEnd()}`],
        durationMs: performance.now() - startedAt,
      });
    });
  });
}
