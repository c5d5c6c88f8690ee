/**
 * Measures the launcher alone: `make measure` (as root). Plan in, `true` in a container with every namespace, exit out; and
 * the supervisor's memory. Prints a table of medians.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LaunchPlan } from '../../daemon/src/runtime/launch-plan.ts';
import { encodePlan } from '../../daemon/src/runtime/launcher-protocol.ts';
import { cannotRun, containerPlan, createBench, launch, plainPlan } from './harness.ts';

const RUNS = 200;
const build = join(import.meta.dirname, '../build');
const reason = cannotRun();
if (reason !== false) {
  console.log(`not measured: ${reason}`);
  process.exit(0);
}

const bench = createBench();
try {
  const cgroups = ['memory', 'pids', 'cpu', 'blkio'].map((name) => `/sys/fs/cgroup/${name}/tsd-launcher-measure`);
  const full = containerPlan(bench, ['true']);
  const rows: readonly [string, LaunchPlan][] = [
    ['exec only', plainPlan(bench, ['true'])],
    ['all namespaces, overlay, /proc, /sys, /dev', full],
    ['the same with init', containerPlan(bench, ['true'], { init: true })],
    ['the same with a terminal', containerPlan(bench, ['true'], { tty: true })],
    ['the same without a log', containerPlan(bench, ['true'], { supervisor: { log: null } })],
  ];
  console.log(
    `${'plan'.padEnd(46)} ${'least ms'.padStart(10)} ${'median ms'.padStart(10)} ${'p90 ms'.padStart(10)} ${'processor'.padStart(10)}`,
  );
  for (const [name, plan] of rows) print(name, plan);
  if (readFileSync('/proc/mounts', 'utf8').includes(' cgroup ')) {
    execFileSync('mkdir', ['-p', ...cgroups]);
    const entered = containerPlan(bench, ['true'], { cgroups });
    const steps = entered.steps.filter((step) => !(step.op === 'mkdir' && step.at.path.startsWith('/sys/fs/cgroup')));
    print('the same in four version 1 cgroups', { ...entered, steps });
    execFileSync('rmdir', cgroups);
  }

  const launched = await launch(containerPlan(bench, ['sleep', '1000']));
  const pid = await launched.started;
  const supervisor = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1];
  const status = readFileSync(`/proc/${supervisor}/status`, 'utf8');
  console.log(
    `\nsupervisor: ${status
      .match(/^(VmRSS|RssAnon|RssFile|RssShmem):\s+\d+ kB/gm)
      ?.join(', ')
      .replaceAll('\t', '')}`,
  );
  await launched.connection.signal(9);
  await launched.exited;
} finally {
  bench.remove();
}

function print(name: string, plan: LaunchPlan): void {
  const file = join(bench.directory, 'plan');
  writeFileSync(file, encodePlan(plan));
  const text = execFileSync(join(build, 'test/drive'), [join(build, 'tsd-launch'), file, String(RUNS)], {
    encoding: 'utf8',
  });
  const lines = text
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map((microseconds) => Number(microseconds) / 1000));
  const column = (index: number, share: number): string => {
    const sorted = lines.map((line) => line[index] ?? Number.NaN).sort((a, b) => a - b);
    return (sorted[Math.floor(sorted.length * share)] ?? Number.NaN).toFixed(2).padStart(10);
  };
  console.log(`${name.padEnd(46)} ${column(0, 0)} ${column(0, 0.5)} ${column(0, 0.9)} ${column(2, 0.5)}`);
}
