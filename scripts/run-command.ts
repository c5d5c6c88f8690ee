/** Runs a command that is one test by its exit code. */
import { spawn } from 'node:child_process';
import type { FileOutcome } from './run-test-file.ts';

/**
 * Runs `command` and counts it as a single test, or as the `ok`/`not ok` lines on its output where it prints TAP. Its
 * output is shown only when it fails.
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
      const lines = text.match(/^(not )?ok \d+.*$/gm) ?? [];
      const skips = lines.filter((line) => /# skip/i.test(line));
      const points = lines.filter((line) => !/# (skip|todo)/i.test(line));
      const passed = points.filter((line) => line.startsWith('ok')).length;
      const failed = points.length - passed;
      const ok = code === 0;
      resolve({
        file: name,
        passed: ok && points.length === 0 ? 1 : passed,
        failed: ok ? failed : Math.max(failed, 1),
        skipped: skips.length,
        skips: skips.map((line) => line.replace(/^ok \d+ (- )?/, '')),
        failures: ok && failed === 0 ? [] : [`${signal ?? `exit code ${code}`}\n${text.trimEnd()}`],
        durationMs: performance.now() - startedAt,
      });
    });
  });
}
