/** The last step: finding the program, its errors as Docker's clients expect them, and `init`. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { LaunchPlan } from '../../daemon/src/runtime/launch-plan.ts';
import {
  cannotRun,
  containerPlan,
  createBench,
  createClient,
  LaunchFailure,
  launch,
  notThisBuild,
  plainPlan,
  unframe,
  until,
} from './harness.ts';

const ENOENT = 2;
const ENOEXEC = 8;
const EACCES = 13;
const EISDIR = 21;

t.test('exec', { skip: cannotRun() }, async (t) => {
  const bench = createBench();
  t.teardown(() => bench.remove());
  const file = (path: string, text: string, mode: number): void => {
    writeFileSync(join(bench.root, path), text);
    chmodSync(join(bench.root, path), mode);
  };
  mkdirSync(join(bench.root, 'opt'));
  mkdirSync(join(bench.root, 'opt/directory'));
  file('opt/data', 'text', 0o644);
  file('opt/no-interpreter', '#!/no/such/shell\n', 0o755);
  file('opt/garbage', '\x00\x01', 0o755);
  file('opt/second', '#!/bin/sh\necho second "$@"\n', 0o755);
  mkdirSync(join(bench.root, 'opt2'));
  file('opt2/data', '#!/bin/sh\necho found data\n', 0o755);

  const failure = async (argv: readonly string[], init = false): Promise<unknown> => {
    const launched = await launch(containerPlan(bench, argv, { init, env: ['PATH=relative::/nowhere:/opt'] }));
    try {
      await launched.started;
    } catch (error) {
      if (error instanceof LaunchFailure) return { errno: error.failure.errno, detail: error.failure.detail };
      throw error;
    }
    return (await launched.exited).code;
  };

  await t.test('fails with the errno and name that say why', async (t) => {
    for (const init of notThisBuild ? [false] : [false, true]) {
      t.same(await failure(['nosuch'], init), { errno: ENOENT, detail: 'nosuch' }, 'not on PATH');
      t.same(await failure(['data'], init), { errno: ENOENT, detail: 'data' }, 'on PATH, but not executable');
      t.same(await failure(['directory'], init), { errno: ENOENT, detail: 'directory' }, 'on PATH, but a directory');
      t.same(await failure([''], init), { errno: ENOENT, detail: '' });
      t.same(await failure(['/opt/nosuch'], init), { errno: ENOENT, detail: '/opt/nosuch' });
      t.same(await failure(['/opt/data'], init), { errno: EACCES, detail: '/opt/data' });
      t.same(await failure(['/opt/directory'], init), { errno: EISDIR, detail: '/opt/directory' });
      t.same(await failure(['no-interpreter'], init), { errno: ENOENT, detail: '/opt/no-interpreter' });
      t.same(await failure(['garbage'], init), { errno: ENOEXEC, detail: '/opt/garbage' });
    }
  });

  const output = async (plan: LaunchPlan): Promise<string> => {
    const client = createClient();
    const launched = await launch(plan, { attach: [{ client }] });
    await launched.exited;
    const { stdout, stderr } = unframe(await client.ended);
    return stdout + stderr;
  };

  await t.test('looks past what cannot be executed', async (t) => {
    const env = ['PATH=/opt:/opt2:/bin', 'X=1'];
    t.equal(await output(containerPlan(bench, ['data'], { env })), 'found data\n');
    t.equal(await output(containerPlan(bench, ['second', 'a', ''], { env })), 'second a \n');
    t.equal(await output(containerPlan(bench, ['env'], { env })), 'PATH=/opt:/opt2:/bin\nX=1\n', 'and only that env');
  });

  await t.test('has an empty stdin where /dev/null is something else', async (t) => {
    const plan = containerPlan(bench, ['sh', '-c', 'readlink /proc/self/fd/0; cat; echo end']);
    const steps = plan.steps.map((step) =>
      step.op === 'attach-mount' && step.at.path === 'dev/null'
        ? ({
            op: 'mknod',
            side: 'container',
            at: { ...step.at },
            type: 'fifo',
            mode: 0o666,
            major: 0,
            minor: 0,
          } as const)
        : step,
    );
    const masked = steps.filter((step) => step.op !== 'mask-path');
    t.match(await output({ ...plan, steps: masked }), /^pipe:\[\d+\]\nend\n$/);
  });

  await t.test('init reaps, passes signals on and ends as its child does', { skip: notThisBuild }, async (t) => {
    const run = (script: string) => launch(containerPlan(bench, ['sh', '-c', script], { init: true }));
    t.match(await (await run('exit 7')).exited, { kind: 'exited', code: 7 });
    t.match(await (await run('kill -9 $$')).exited, { kind: 'exited', code: 137 });
    const client = createClient();
    const plan = containerPlan(
      bench,
      [
        'sh',
        '-c',
        `trap 'echo term; exit 5' TERM; (sleep 0.01 & exec true) ; readlink /proc/1/exe; ls -l /proc/1/fd
         cat /proc/1/cmdline | tr '\\0' ' '; echo; echo ready; while :; do sleep 0.05; done`,
      ],
      { init: true },
    );
    const launched = await launch(plan, { attach: [{ client }] });
    await launched.started;
    await until(client, 'ready\n');
    await launched.connection.signal(15);
    t.match(await launched.exited, { kind: 'exited', code: 5 });
    const { stdout } = unframe(await client.ended);
    t.match(stdout, '/memfd:tsd-launch');
    t.match(stdout, 'tsd-init sh -c');
    t.match(stdout, /\nready\nterm\n$/);
    t.equal(stdout.match(/pipe:/g)?.length, 2, 'pid 1 has no descriptors but stdio');
  });

  await t.test('init leaves no zombies', { skip: notThisBuild }, async (t) => {
    const script = `for i in 1 2 3; do sh -c "true & true &"; done; sleep 0.1; cat /proc/[0-9]*/stat | awk '{print $3}' | grep -c Z; true`;
    t.match(await output(containerPlan(bench, ['sh', '-c', script], { init: true })), /^0\n/);
  });

  await t.test('the process has default signals although the launcher blocks and ignores', async (t) => {
    const plan = plainPlan(bench, ['grep', '-E', 'Sig(Blk|Ign|Cgt|Pnd)|ShdPnd', '/proc/self/status']);
    t.notMatch(await output(plan), /[1-9a-f]$/m);
  });
});
