/**
 * The test runner: `node scripts/run-tests.ts [--checks] [--unit] [--package NAME] [--c] [--integration] [FILE…]`.
 * `--unit` runs the unit tests of every package, `--package` those of one.
 *
 * Unit files run side by side; integration files one at a time, each followed by a comparison of the host with its state
 * before. The last line is `N passed, N failed`, with `, N skipped` where tests were skipped.
 */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { becomeSubreaper, findLeaks, readHostState, reapOrphans, removeLeftovers } from '../test/support/leaks.ts';
import { runCommand } from './run-command.ts';
import { type FileOutcome, type RunOptions, runTestFile } from './run-test-file.ts';

const root = resolve(import.meta.dirname, '..');
const UNIT_TIMEOUT_MS = 120_000;
const INTEGRATION_TIMEOUT_MS = 1_200_000;
const REAP_INTERVAL_MS = 50;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    unit: { type: 'boolean' },
    c: { type: 'boolean' },
    integration: { type: 'boolean' },
    checks: { type: 'boolean' },
    package: { type: 'string' },
  },
});

const outcomes: FileOutcome[] = [];
const own = new Set<number>();
const files = positionals.map((file) => relative(root, resolve(file)));
/** Those of packages/launcher run real containers without the daemon. */
const isIntegration = (file: string): boolean => /^(test|packages\/launcher)\//.test(file);

if (values.checks) {
  heading('format, lint, import rules, types');
  for (const [name, command] of [
    ['format and lint', ['npm', 'run', '--silent', 'lint']],
    ['import rules', ['npm', 'run', '--silent', 'imports']],
    ['types', ['scripts/turbo', 'run', 'types', '--continue', '--output-logs=errors-only']],
  ] as const) {
    report(await runCommand(name, command, root));
  }
}

const unitPattern = `packages/${values.package ?? '{shared,daemon,cli}'}/test/**/*.test.ts`;
const unitFiles = values.unit || values.package ? sources(unitPattern) : files.filter((file) => !isIntegration(file));
if (unitFiles.length > 0) {
  heading('unit tests');
  await inParallel(unitFiles, async (file) => report(await runTestFile(file, nodeOptions(UNIT_TIMEOUT_MS))));
}

if (values.c) {
  heading('C tests');
  report(await runCommand('packages/launcher (make test)', ['make', '-C', 'packages/launcher', 'test'], root));
}

const integrationFiles = values.integration
  ? [...sources('packages/launcher/test/*.test.ts'), ...sources('test/*.test.ts')]
  : files.filter(isIntegration);
if (integrationFiles.length > 0) {
  heading('integration tests');
  if (process.getuid?.() !== 0) {
    console.error('The integration tests make containers, so they need root: run this as root (sudo npm test).');
    process.exit(1);
  }
  becomeSubreaper();
  const reaper = setInterval(() => reapOrphans(own), REAP_INTERVAL_MS);
  for (const file of integrationFiles) report(await runWatched(file));
  clearInterval(reaper);
}

const sum = (key: 'passed' | 'failed' | 'skipped'): number => outcomes.reduce((total, one) => total + one[key], 0);
const failed = sum('failed');
if (outcomes.length === 0) console.log('No test was found.');
const broken = outcomes.filter((one) => one.failed > 0);
if (broken.length > 0) console.log(`\nFailed: ${broken.map(({ file }) => file).join(', ')}`);
console.log(`\n${sum('passed')} passed, ${failed} failed${sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : ''}`);
process.exit(failed > 0 || outcomes.length === 0 ? 1 : 0);

function sources(pattern: string): string[] {
  return globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') }).sort();
}

function nodeOptions(timeoutMs: number): RunOptions {
  return { timeoutMs, command: [process.execPath, '--disable-warning=ExperimentalWarning'], cwd: root };
}

/** Runs one integration file and compares the host afterwards: a leak is one more failure. */
async function runWatched(file: string): Promise<FileOutcome> {
  const before = readHostState();
  const outcome = await runTestFile(file, {
    ...nodeOptions(INTEGRATION_TIMEOUT_MS),
    onStart: (pid) => own.add(pid),
  });
  own.clear();
  const leaks = await findLeaks(before, own);
  if (leaks.length === 0) return outcome;
  await removeLeftovers(before, own);
  return {
    ...outcome,
    failed: outcome.failed + 1,
    failures: [...outcome.failures, `left the host changed:\n  ${leaks.join('\n  ')}`],
  };
}

async function inParallel(items: readonly string[], work: (item: string) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

function heading(text: string): void {
  console.log(`\n${text}`);
}

function report(outcome: FileOutcome): void {
  outcomes.push(outcome);
  const mark = outcome.failed > 0 ? '✗' : outcome.passed > 0 ? '✓' : '-';
  const counts = `${outcome.passed} passed${outcome.failed > 0 ? `, ${outcome.failed} failed` : ''}`;
  console.log(`  ${mark} ${outcome.file}: ${counts} (${(outcome.durationMs / 1000).toFixed(1)} s)`);
  for (const skip of outcome.skips) console.log(`    skipped: ${skip}`);
  for (const failure of outcome.failures) console.log(`    ${failure.replaceAll('\n', '\n    ')}`);
}
