/** The supervisor's life: without its daemon, with a new one, at the exit, and with hostile or hasty ones. */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { connectUnix } from '../../daemon/src/os/connect-unix.ts';
import type { Step } from '../../daemon/src/runtime/launch-plan.ts';
import { decodeExitFile, decodeStatus } from '../../daemon/src/runtime/launcher-protocol.ts';
import {
  attach,
  cannotRun,
  containerPlan,
  createBench,
  createClient,
  follow,
  type Launched,
  launch,
  notThisBuild,
  plainPlan,
  unframe,
  until,
} from './harness.ts';

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 500; i++) {
    if (!existsSync(`/proc/${pid}`) || /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return true;
    await delay(10);
  }
  return false;
}

t.test('the supervisor', { skip: cannotRun() }, async (t) => {
  const bench = createBench();
  t.teardown(() => bench.remove());

  await t.test('outlives its daemon, and tells the next one everything', async (t) => {
    const client = createClient();
    const launched = await launch(
      containerPlan(bench, ['sh', '-c', 'echo one; read x; echo $x; exit 4'], { supervisor: { openStdin: true } }),
      { attach: [{ client, stdin: true }] },
    );
    const pid = await launched.started;
    await until(client, 'one');
    launched.connection.close();
    await launched.closed;
    t.equal(statSync(bench.controlSocket).mode & 0o777, 0o600);
    const next = follow(connectUnix(bench.controlSocket));
    const another = follow(connectUnix(bench.controlSocket));
    t.equal(await next.started, pid);
    t.equal(await another.started, pid);
    t.match(decodeStatus(await next.connection.status()), { state: 'running', pid, exit: null });
    client.socket.write('two\n');
    const report = await next.exited;
    t.match(report, { kind: 'exited', code: 4 });
    t.same(await another.exited, report);
    await Promise.all([next.closed, another.closed]);
    t.equal(unframe(await client.ended).stdout, 'one\ntwo\n', 'the client noticed nothing');
    t.same(decodeExitFile(readFileSync(bench.exitFile)), { pid, ...report });
    t.ok(report.startedAtNs < report.finishedAtNs);
    t.notOk(existsSync(bench.controlSocket));
    t.throws(() => connectUnix(bench.controlSocket), { code: 'ENOENT' });
    t.same(
      readdirSync(bench.directory).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });

  await t.test('tells everyone who gets through, however close to the exit', async (t) => {
    const launched = await launch(plainPlan(bench, ['sleep', '0.1']));
    await launched.started;
    const followers: Launched[] = [];
    let told = 0;
    for (;;) {
      try {
        followers.push(follow(connectUnix(bench.controlSocket)));
      } catch (error) {
        t.match(error, { code: /^(ENOENT|ECONNREFUSED|EAGAIN)$/ });
        if (error instanceof Error && 'code' in error && error.code !== 'EAGAIN') break;
      }
      await new Promise(setImmediate);
    }
    for (const { exited } of followers) told += (await exited).kind === 'exited' ? 1 : 0;
    t.equal(told, followers.length);
    t.ok(decodeExitFile(readFileSync(bench.exitFile)), 'and for the others there is the exit file');
    await launched.exited;
  });

  await t.test('writes the exit file where no daemon is there to be told', async (t) => {
    const launched = await launch(plainPlan(bench, ['sh', '-c', 'sleep 0.1; kill -6 $$']));
    const supervisor = parentOf(await launched.started);
    launched.connection.close();
    t.ok(await gone(supervisor));
    t.match(decodeExitFile(readFileSync(bench.exitFile)), { kind: 'signalled', code: 6 });
  });

  await t.test('takes its container with it when it is killed', async (t) => {
    for (const init of notThisBuild ? [false] : [false, true]) {
      const launched = await launch(containerPlan(bench, ['sleep', '1000'], { init }));
      const pid = await launched.started;
      process.kill(parentOf(pid), 'SIGKILL');
      t.ok(await gone(pid), init ? 'with init' : 'without init');
      await launched.closed;
      t.notOk(existsSync(bench.exitFile), 'and nothing says it ended by itself');
      rmSync(bench.controlSocket);
    }
  });

  await t.test('is deaf to signals but SIGKILL, and passes them on when asked', async (t) => {
    const launched = await launch(plainPlan(bench, ['sh', '-c', 'trap "exit 3" USR1; while :; do sleep 0.02; done']));
    const pid = await launched.started;
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGPIPE', 'SIGUSR1'] as const)
      process.kill(parentOf(pid), signal);
    t.match(decodeStatus(await launched.connection.status()), { state: 'running', pid });
    await delay(100);
    await launched.connection.signal(10);
    t.match(await launched.exited, { kind: 'exited', code: 3 });
  });

  await t.test('reaps what the process leaves behind, and does not wait for it', async (t) => {
    const client = createClient();
    const launched = await launch(plainPlan(bench, ['sh', '-c', 'sleep 0.2 & true & sleep 0.05; echo done']), {
      attach: [{ client }],
    });
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    t.equal(unframe(await client.ended).stdout, 'done\n');
  });

  await t.test('cancels a launch whose daemon goes away before it is done', async (t) => {
    const plan = plainPlan(bench, ['true']);
    const [clone, exec] = plan.steps;
    if (clone === undefined || exec === undefined) throw new Error('a plan without steps');
    const launched = await launch({
      ...plan,
      steps: [
        clone,
        ...Array.from(
          { length: 4000 },
          (): Step => ({ op: 'new-mount', side: 'container', fsType: 'tmpfs', options: [], attributes: [], slot: 0 }),
        ),
        exec,
      ],
    });
    while (!existsSync(bench.controlSocket)) await delay(1);
    launched.connection.close();
    for (let i = 0; i < 500 && existsSync(bench.controlSocket); i++) await delay(5);
    t.notOk(existsSync(bench.controlSocket));
    t.notOk(existsSync(bench.exitFile), 'the process never ran');
  });

  await t.test('ends without a trace when START never comes', async (t) => {
    const launched = await launch(plainPlan(bench, ['true']), { start: false });
    t.match(decodeStatus(await launched.connection.status()), { state: 'starting', pid: 0 });
    await t.rejects(launched.connection.signal(15), { code: 'EAGAIN' });
    launched.connection.close();
    await launched.closed;
    t.notOk(existsSync(bench.controlSocket));
  });

  await t.test('closes connections that break the protocol, and nothing else', async (t) => {
    const launched = await launch(plainPlan(bench, ['sleep', '1000']));
    const pid = await launched.started;
    const openFiles = (): number => readdirSync(`/proc/${parentOf(pid)}/fd`).length;
    const before = openFiles();
    for (const bytes of [
      [0, 0, 0, 0],
      [255, 255, 255, 255],
      [1, 0, 0, 0, 1], // START again
      [5, 0, 0, 0, 99, 0, 0, 0, 0],
      [14, 0, 0, 0, 2, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0], // ATTACH without a descriptor
    ]) {
      const socket = new Socket({ fd: connectUnix(bench.controlSocket), readable: true, writable: true });
      socket.resume();
      socket.write(Uint8Array.from(bytes));
      await new Promise((resolve) => socket.once('close', resolve));
    }
    t.match(decodeStatus(await launched.connection.status()), { state: 'running', pid });
    t.equal(openFiles(), before, 'no descriptor stayed behind');
    await launched.connection.signal(9);
    await launched.exited;
  });

  await t.test('turns other users away', async (t) => {
    const launched = await launch(plainPlan(bench, ['sleep', '1000']));
    await launched.started;
    chmodSync(bench.directory, 0o755);
    chmodSync(bench.controlSocket, 0o666);
    const script = `require('net').connect(process.argv[1]).on('data', () => console.log('data')).on('close', () => console.log('closed')).on('error', (e) => console.log(e.code))`;
    const child = spawn(process.execPath, ['-e', script, bench.controlSocket], { uid: 65534, gid: 65534 });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    await new Promise((resolve) => child.on('close', resolve));
    t.equal(text, 'closed\n');
    await launched.connection.signal(9);
    await launched.exited;
  });

  await t.test('counts out-of-memory kills of this life only', async (t) => {
    const counter = join(bench.directory, 'memory.events');
    writeFileSync(counter, 'oom 1\noom_kill 1\n');
    const run = async (script: string): Promise<boolean> => {
      const launched = await launch(plainPlan(bench, ['sh', '-c', script], { oomCounterFile: counter }));
      return (await launched.exited).oomKilled;
    };
    t.equal(await run('true'), false);
    t.equal(await run(`sleep 0.1; echo oom_kill 2 > ${counter}`), true);
  });

  await t.test(
    'sees a real out-of-memory kill',
    { skip: !existsSync('/sys/fs/cgroup/memory') && 'no v1 memory controller' },
    async (t) => {
      const cgroup = '/sys/fs/cgroup/memory/tsd-launcher-test';
      mkdirSync(cgroup);
      writeFileSync(join(cgroup, 'memory.limit_in_bytes'), '16777216');
      const plan = containerPlan(bench, ['sh', '-c', 'exec tail /dev/zero'], {
        supervisor: { oomCounterFile: join(cgroup, 'memory.oom_control') },
      });
      const clone = plan.steps.findIndex((step) => step.op === 'clone');
      const enter = { op: 'enter-cgroup', side: 'container', at: { path: cgroup } } as const;
      const steps = [...plan.steps.slice(0, clone + 1), enter, ...plan.steps.slice(clone + 1)];
      const launched = await launch({ ...plan, steps });
      t.match(await launched.exited, { kind: 'signalled', code: 9, oomKilled: true });
      rmdirSync(cgroup);
    },
  );

  await t.test('stays under 1 MB of memory', { skip: notThisBuild }, async (t) => {
    const launched = await launch(containerPlan(bench, ['sh', '-c', 'seq 200000; sleep 1000']));
    const client = createClient();
    const pid = await launched.started;
    await attach(launched.connection, { client });
    await delay(300);
    const status = readFileSync(`/proc/${parentOf(pid)}/status`, 'utf8');
    const residentKb = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
    t.comment(`VmRSS ${residentKb} kB`);
    t.ok(residentKb > 0 && residentKb <= 1024);
    await launched.connection.signal(9);
    await launched.exited;
  });

  await t.test('leaves no process of its own', async (t) => {
    const here = statSync(bench.directory);
    const left = (): string[] =>
      readdirSync('/proc').filter((name) => {
        if (!/^\d+$/.test(name)) return false;
        try {
          return readdirSync(`/proc/${name}/fd`).some((fd) => {
            const target = statSync(`/proc/${name}/fd/${fd}`, { throwIfNoEntry: false });
            return target?.ino === here.ino && target.dev === here.dev;
          });
        } catch {
          return false; // it ended meanwhile
        }
      });
    // The last one closes its connection before it ends.
    for (let i = 0; i < 500 && left().length > 0; i++) await delay(10);
    t.same(left(), []);
  });
});
