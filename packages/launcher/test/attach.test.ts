/** Attach clients: frames, input, half-close, terminals, detaching, and clients that are slow or gone. */
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { connectUnix } from '../../daemon/src/os/connect-unix.ts';
import {
  attach,
  type Bench,
  cannotRun,
  containerPlan,
  createBench,
  createClient,
  follow,
  hold,
  type Launched,
  launch,
  notThisBuild,
  plainPlan,
  readLog,
  unframe,
  until,
} from './harness.ts';

/** One that is rotated while it is written. */
function smallLog(bench: Bench) {
  return { file: bench.logFile, maxBytes: 20_000, maxFiles: 2 };
}

t.test('attach clients', { skip: cannotRun() }, async (t) => {
  const bench = createBench();
  t.teardown(() => bench.remove());
  const stdin = { openStdin: true, stdinOnce: true };

  await t.test('get every byte from the first on, and those who come later what comes later', async (t) => {
    const [first, both] = [createClient(), createClient()];
    const script = 'echo one; echo problem >&2; read go; echo two; printf end';
    const launched = await launch(plainPlan(bench, ['sh', '-c', script], { openStdin: true }), {
      attach: [
        { client: first, stderr: false },
        { client: both, stdin: true },
      ],
    });
    await until(first, 'one\n');
    await until(both, 'problem\n');
    const late = createClient();
    await attach(launched.connection, { client: late });
    both.socket.write('go\n');
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    t.same(unframe(await first.ended), { stdout: 'one\ntwo\nend', stderr: '' });
    t.same(unframe(await both.ended), { stdout: 'one\ntwo\nend', stderr: 'problem\n' });
    t.same(unframe(await late.ended), { stdout: 'two\nend', stderr: '' });
    t.equal(readLog([bench.logFile]), 'one\ntwo\nend');
    t.equal(readLog([bench.logFile], 'stderr'), 'problem\n');
    await launched.closed;
  });

  await t.test('give input, the initial one first, and end it by half-closing', async (t) => {
    const client = createClient();
    const launched = await launch(plainPlan(bench, ['cat'], { ...stdin, log: null }), {
      attach: [{ client, stdin: true, initialInput: Buffer.from('initial ') }],
    });
    const input = Buffer.alloc(3_000_000, 'abcdefghij');
    client.socket.end(input);
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    const { stdout } = unframe(await client.ended);
    t.equal(stdout, `initial ${input}`);
  });

  await t.test('keep stdin open for the next one, without stdinOnce', async (t) => {
    const client = createClient();
    const launched = await launch(
      plainPlan(bench, ['sh', '-c', 'read a; echo $a; read b; echo $b'], { openStdin: true }),
      {
        attach: [{ client, stdin: true }],
      },
    );
    client.socket.end('first\n');
    await until(client, 'first');
    const second = createClient();
    await attach(launched.connection, { client: second, stdin: true });
    second.socket.write('second\n');
    await launched.exited;
    t.equal(unframe(await client.ended).stdout, 'first\nsecond\n');
    t.equal(unframe(await second.ended).stdout, 'second\n');
  });

  await t.test('that vanish end stdin with stdinOnce, and stop nobody', async (t) => {
    const client = createClient();
    const launched = await launch(plainPlan(bench, ['sh', '-c', 'cat; seq 100000'], stdin), {
      attach: [{ client, stdin: true }],
    });
    client.socket.destroy();
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    t.match(readLog([bench.logFile]), '99999\n100000\n');
  });

  await t.test('whose input the process does not take wait, and are let go at the exit', async (t) => {
    const client = createClient();
    const launched = await launch(plainPlan(bench, ['sh', '-c', 'echo up; read line; echo $line; sleep 0.1'], stdin), {
      attach: [{ client, stdin: true }],
    });
    await until(client, 'up');
    client.socket.on('error', () => undefined);
    client.socket.write(`line\n${'x'.repeat(2_000_000)}`);
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    t.equal(unframe(await client.ended).stdout, 'up\nline\n', 'an end, not a reset');
  });

  await t.test('get a terminal raw, resize it, and detach by keys', async (t) => {
    const client = createClient();
    const script =
      'tty; stty size; trap "stty size" WINCH; test -t 0 && echo is-a-tty; while :; do read x && echo "got $x"; test "$x" = quit && exit 9; done';
    const launched = await launch(
      containerPlan(bench, ['sh', '-c', script], { tty: true, uid: 1000, supervisor: { openStdin: true } }),
      { attach: [{ client, stdin: true, detachKeys: Buffer.from([16, 17]) }] },
    );
    await until(client, 'is-a-tty');
    t.match(client.output().toString(), '/dev/pts/0\r\n24 80\r\nis-a-tty\r\n');
    await launched.connection.resize(50, 132);
    client.socket.write('hello\n');
    await until(client, 'got hello');
    client.socket.write('\n');
    await until(client, '50 132');
    client.socket.write(Buffer.from([0x61, 16]));
    client.socket.write(Buffer.from([17, 0x62]));
    t.match((await client.ended).toString(), /got hello/, 'the detached client reads an end');
    const second = createClient();
    await attach(launched.connection, { client: second, stdin: true });
    second.socket.write('\n');
    await until(second, 'got a');
    second.socket.write('quit\n');
    t.match(await launched.exited, { kind: 'exited', code: 9 });
    t.match((await second.ended).toString(), /got quit\r\n$/);
    t.match(readLog([bench.logFile]), 'got hello\r\n');
  });

  await t.test('of a terminal read all of it to the end', async (t) => {
    for (let i = 0; i < 10; i++) {
      const client = createClient();
      const launched = await launch(containerPlan(bench, ['seq', '20000'], { tty: true, supervisor: { log: null } }), {
        attach: [{ client }],
      });
      await launched.exited;
      const lines = (await client.ended).toString().split('\r\n');
      t.equal(lines.length, 20_001);
    }
  });

  await t.test('that are slow hold the process back and lose nothing', async (t) => {
    const slow = createClient({ paused: true });
    const launched = await launch(plainPlan(bench, ['seq', '300000'], { log: null }), { attach: [{ client: slow }] });
    await launched.started;
    await delay(300);
    t.match(launched.messages.length, 1, 'it is held back, not ended');
    const chunks: Buffer[] = [];
    slow.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await launched.exited;
    await slow.ended;
    const { stdout } = unframe(Buffer.concat(chunks));
    t.equal(stdout.split('\n').length, 300_001);
    t.match(stdout, /\n299999\n300000\n$/);
  });

  await t.test(
    'that take nothing for too long do not hold others up',
    { skip: notThisBuild ? false : 'the shipped build waits 30 s; the one with sanitizers 1 s' },
    async (t) => {
      const [stuck, other] = [createClient({ paused: true }), createClient()];
      const launched = await launch(plainPlan(bench, ['seq', '300000'], { log: null }), {
        attach: [{ client: stuck }, { client: other }],
      });
      await launched.exited;
      t.match(unframe(await other.ended).stdout, /\n300000\n$/);
      stuck.socket.resume();
      t.ok((await stuck.ended).length < 2_000_000, 'it reads an end before all of it came');
    },
  );

  await t.test('that are slow get what is left after the exit was told', async (t) => {
    const slow = createClient({ paused: true });
    const launched: Launched = await launch(plainPlan(bench, ['seq', '45000'], { log: null }), {
      attach: [{ client: slow }],
    });
    await launched.exited;
    await launched.closed;
    const chunks: Buffer[] = [];
    slow.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await slow.ended;
    t.match(unframe(Buffer.concat(chunks)).stdout, /\n45000\n$/);
  });

  await t.test('behind the log get all that it has not, unfinished lines included, when they are let go', async (t) => {
    rmSync(bench.logFile, { force: true });
    const [first, held, other] = [createClient(), createClient(), createClient()];
    const script = 'echo logged; printf unfinished; read go; echo " line"; echo more; read go; echo last';
    const launched = await launch(plainPlan(bench, ['sh', '-c', script], { openStdin: true }), {
      attach: [{ client: first, stdin: true }],
    });
    await until(first, 'unfinished');
    const { position, release } = await hold(launched.connection, { client: held });
    const again = await hold(launched.connection, { client: other, stdout: false });
    t.same(position, { sequence: 0, offset: readFileSync(bench.logFile).length });
    t.same(again.position, position);
    t.equal(readLog([bench.logFile]), 'logged\n');
    first.socket.write('go\n');
    await until(first, 'more\n');
    t.equal(held.output().length, 0, 'it is kept');
    await release();
    await until(held, 'more\n');
    first.socket.write('go\n');
    await launched.exited;
    t.same(unframe(await held.ended), { stdout: 'unfinished line\nmore\nlast\n', stderr: '' });
    await again.release();
    t.same(unframe(await other.ended), { stdout: '', stderr: '' });
    await t.rejects(again.release(), { code: 'ESRCH' }, 'the connection is closed then');
    await launched.closed;
  });

  await t.test('behind the log miss nothing of a process that has ended meanwhile', async (t) => {
    rmSync(bench.logFile, { force: true });
    const [first, held] = [createClient(), createClient()];
    const launched = await launch(
      plainPlan(bench, ['sh', '-c', 'read go; seq 10000; printf end'], { openStdin: true }),
      {
        attach: [{ client: first, stdin: true }],
      },
    );
    await launched.started;
    const later = follow(connectUnix(bench.controlSocket));
    const { position, release } = await hold(later.connection, { client: held });
    t.same(position, { sequence: 0, offset: 0 });
    first.socket.write('go\n');
    await launched.exited;
    await launched.closed;
    await later.exited;
    await release();
    t.match(unframe(await held.ended).stdout, /^1\n2\n.*\n10000\nend$/s);
    await later.closed;
  });

  await t.test('behind the log are disconnected with the daemon that is to let them go', async (t) => {
    const [first, held, left] = [createClient(), createClient(), createClient()];
    const launched = await launch(plainPlan(bench, ['sh', '-c', 'read go; echo out; read go'], { openStdin: true }), {
      attach: [{ client: first, stdin: true }],
    });
    await launched.started;
    const later = follow(connectUnix(bench.controlSocket));
    await hold(later.connection, { client: held });
    const { release } = await hold(launched.connection, { client: left });
    later.connection.close();
    t.equal((await held.ended).length, 0);
    first.socket.write('go\n');
    await until(first, 'out');
    left.socket.destroy();
    first.socket.write('go\n');
    await launched.exited;
    await launched.closed;
    await t.rejects(release(), { code: 'ESRCH' }, 'for one that has gone itself nobody waits');
  });

  await t.test('behind the log hold the process back when much is kept, and lose nothing', async (t) => {
    const [held, other] = [createClient(), createClient()];
    const script = 'read go; seq 200000';
    const launched = await launch(plainPlan(bench, ['sh', '-c', script], { openStdin: true, log: smallLog(bench) }), {
      attach: [{ client: other, stdin: true }],
    });
    await launched.started;
    const { release } = await hold(launched.connection, { client: held });
    other.socket.write('go\n');
    await until(other, '\n10000\n');
    await release();
    await launched.exited;
    const { stdout } = unframe(await held.ended);
    t.equal(stdout.split('\n').length, 200_001);
    t.equal(stdout, unframe(await other.ended).stdout);
  });

  await t.test(
    'behind the log that are not let go for too long do not hold others up',
    { skip: notThisBuild ? false : 'the shipped build waits 30 s; the one with sanitizers 1 s' },
    async (t) => {
      const [held, other] = [createClient(), createClient()];
      const script = 'read go; seq 200000';
      const launched = await launch(plainPlan(bench, ['sh', '-c', script], { openStdin: true, log: smallLog(bench) }), {
        attach: [{ client: other, stdin: true }],
      });
      await launched.started;
      await hold(launched.connection, { client: held });
      other.socket.write('go\n');
      await launched.exited;
      t.match(unframe(await other.ended).stdout, /\n200000\n$/);
      t.equal((await held.ended).length, 0);
    },
  );

  await t.test('behind the log need one, and a process', async (t) => {
    const plan = plainPlan(bench, ['cat'], { openStdin: true, log: null });
    const launched = await launch(plan, { start: false });
    await t.rejects(hold(launched.connection, { client: createClient() }), { code: 'EAGAIN' });
    launched.connection.start();
    await launched.started;
    await t.rejects(hold(launched.connection, { client: createClient() }), { code: 'ENODATA' });
    await launched.connection.signal(9);
    await launched.exited;
  });

  await t.test('must be stream sockets', async (t) => {
    const launched = await launch(plainPlan(bench, ['cat'], { openStdin: true }));
    await launched.started;
    const file = openSync('/dev/null', 'r');
    const { done } = launched.connection.attach(file, {
      stdin: true,
      stdout: true,
      stderr: true,
      detachKeys: Buffer.alloc(0),
      initialInput: Buffer.alloc(0),
    });
    await t.rejects(done, { code: 'ENOTSOCK' });
    closeSync(file);
    await t.rejects(launched.connection.resize(1, 1), { code: 'ENOTTY' });
    await launched.connection.signal(9);
    await launched.exited;
  });
});
