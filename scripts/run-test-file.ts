/** Runs one test file in a process of its own and reads its TAP. */
import { spawn } from 'node:child_process';
import { Parser, type Result } from 'tap-parser';

export interface FileOutcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** `name: reason` of every skipped test, at any depth. */
  readonly skips: readonly string[];
  /** What to print about each failure. */
  readonly failures: readonly string[];
  readonly durationMs: number;
}

export interface RunOptions {
  /** The file is killed, with its process group, when it takes longer. */
  readonly timeoutMs: number;
  /** Command that runs the file; the file's path is its last argument. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** Told the pid of the file's process, for those who look at what it leaves behind. */
  readonly onStart?: (pid: number) => void;
}

/**
 * Runs a file and returns what it said. The tests counted are the top-level ones of the file; skipped
 * ones count at any depth. A file that prints no
 * tests, exits with an error although all its tests passed, or runs out of time is a failure of its own.
 */
export function runTestFile(file: string, options: RunOptions): Promise<FileOutcome> {
  const startedAt = performance.now();
  const [program, ...args] = options.command;
  const child = spawn(program, [...args, file], {
    cwd: options.cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    // tap ends a file after 30 s by itself; the limit of files is this runner's, that of single tests theirs.
    env: { ...process.env, TAP_TIMEOUT: String(options.timeoutMs / 1000) },
  });
  const pid = child.pid;
  if (pid !== undefined) options.onStart?.(pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  }, options.timeoutMs);

  const stderr: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const tally = { passed: 0, failed: 0 };
  const skips: string[] = [];
  const failures: string[] = [];
  const parser = new Parser({ strict: false });
  watch(parser, skips, failures);
  parser.on('assert', (result: Result) => {
    if (result.skip !== false || result.todo !== false) return;
    if (result.ok) tally.passed += 1;
    else tally.failed += 1;
  });
  child.stdout.pipe(parser);

  return new Promise((resolve) => {
    let exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
    let summary: { planSkip: string | undefined; count: number } | undefined;
    const finish = (): void => {
      if (exit === undefined || summary === undefined) return;
      clearTimeout(timer);
      const said = Buffer.concat(stderr).toString();
      if (summary.planSkip !== undefined && summary.count === 0 && exit.code === 0) {
        skips.push(summary.planSkip);
      } else if (timedOut) {
        tally.failed += 1;
        failures.push(`ran out of time after ${options.timeoutMs / 1000} s`);
      } else if (summary.count === 0) {
        tally.failed += 1;
        failures.push(`ended without a test: ${describeExit(exit)}`);
      } else if (exit.code !== 0 && tally.failed === 0) {
        tally.failed += 1;
        failures.push(`all its tests passed, but it ended with ${describeExit(exit)}`);
      }
      if (tally.failed > 0 && said.trim() !== '') failures.push(`stderr:\n${said.trimEnd()}`);
      resolve({ file, ...tally, skipped: skips.length, skips, failures, durationMs: performance.now() - startedAt });
    };
    child.on('error', (error) => {
      failures.push(error.message);
      exit = { code: 127, signal: null };
      summary ??= { planSkip: undefined, count: 0 };
      finish();
    });
    child.on('exit', (code, signal) => {
      exit = { code, signal };
      finish();
    });
    parser.on('complete', (results) => {
      // The parser makes up a plan of its own for a file that says nothing.
      const planned = results.plan.skipAll && results.plan.skipReason !== 'no tests found';
      const planSkip = planned ? results.plan.skipReason || 'no reason given' : undefined;
      summary = { planSkip, count: results.count };
      finish();
    });
  });
}

/** Collects skips and failing leaves of a parser and of all its subtests. */
function watch(parser: Parser, skips: string[], failures: string[]): void {
  let failedBelow = 0;
  parser.on('child', (child: Parser) => {
    watch(child, skips, failures);
    child.on('complete', (results) => {
      failedBelow = results.fail;
    });
  });
  parser.on('assert', (result: Result) => {
    if (result.skip !== false) {
      skips.push(`${result.fullname}: ${result.skip === true ? 'no reason given' : result.skip}`);
    } else if (result.todo !== false) {
      skips.push(`${result.fullname}: to do`);
    }
    const isSummaryOfSubtest = failedBelow > 0;
    failedBelow = 0;
    if (result.ok || result.todo !== false || isSummaryOfSubtest) return;
    failures.push(`${result.fullname}${describe(result.diag)}`);
  });
}

function describeExit(exit: { code: number | null; signal: NodeJS.Signals | null }): string {
  return exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
}

/** What of a failed assertion's diagnostics helps: the difference, or else the stack. */
function describe(diagnostics: unknown): string {
  const { diff, stack, at, ...rest } = (diagnostics ?? {}) as Readonly<Record<string, unknown>>;
  const { fileName, lineNumber } = (at ?? {}) as Readonly<Record<string, unknown>>;
  const place = typeof fileName === 'string' ? ` (${fileName}:${lineNumber})` : '';
  const { handles: _, source: __, tapCaught: ___, ...others } = rest as Record<string, unknown>;
  const detail = diff ?? stack ?? (Object.keys(others).length > 0 ? JSON.stringify(others) : '');
  return `${place}\n${String(detail).trimEnd().replace(/^/gm, '  ')}`.trimEnd();
}
