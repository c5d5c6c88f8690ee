/** The log of a running container: complete, fast, rotated, and never in the process' way. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { attach, cannotRun, createBench, createClient, launch, plainPlan, readLog, unframe, until } from './harness.ts';

const LINES = 1_000_000;
const ENOSPC = 28;

/** What `seq LINES` prints. */
function sequence(last: number): string {
  return `${Array.from({ length: last }, (_, i) => i + 1).join('\n')}\n`;
}

t.test('the log', { skip: cannotRun() }, async (t) => {
  const bench = createBench();
  t.teardown(() => bench.remove());

  await t.test('and a client get 1,000,000 lines complete, quickly', async (t) => {
    const client = createClient();
    const startedAt = performance.now();
    const log = { file: bench.logFile, maxBytes: 0, maxFiles: 1 };
    const launched = await launch(plainPlan(bench, ['seq', String(LINES)], { log }), { attach: [{ client }] });
    const report = await launched.exited;
    const output = unframe(await client.ended).stdout;
    const seconds = (performance.now() - startedAt) / 1000;
    t.comment(
      `${LINES} lines in ${seconds.toFixed(2)} s, the process itself ${Number(report.finishedAtNs - report.startedAtNs) / 1e9} s`,
    );
    const expected = sequence(LINES);
    t.ok(output === expected, 'the client got all of them');
    t.ok(readLog([bench.logFile]) === expected, 'so did the log');
    t.ok(seconds < 5, 'in a time that leaves room for slow machines');
    rmSync(bench.logFile);
  });

  await t.test('goes on where the container was started before', async (t) => {
    for (const word of ['one', 'two']) await (await launch(plainPlan(bench, ['printf', `${word}\\n`]))).exited;
    t.equal(readLog([bench.logFile]), 'one\ntwo\n');
    rmSync(bench.logFile);
  });

  await t.test('is rotated by size and count', async (t) => {
    const log = { file: bench.logFile, maxBytes: 100_000, maxFiles: 3 };
    await (await launch(plainPlan(bench, ['seq', '20000'], { log }))).exited;
    const names = readdirSync(bench.directory).filter((name) => name.startsWith('container.log'));
    t.same(names.sort(), ['container.log', 'container.log.1', 'container.log.2']);
    for (const name of names) t.ok(readFileSync(join(bench.directory, name)).length <= 100_000, name);
    const text = readLog([`${bench.logFile}.2`, `${bench.logFile}.1`, bench.logFile]);
    t.ok(sequence(20_000).endsWith(`\n${text}`), 'the last part, without a gap');
    t.ok(text.length > 20_000);
    const [first] = readFileSync(bench.logFile, 'latin1').split('\n');
    t.match(first, /Z stdout P:file-\d+ $/, 'a later file says which one it is');
    for (const name of names) rmSync(join(bench.directory, name));
  });

  await t.test('holds bytes as they are', async (t) => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    writeFileSync(join(bench.directory, 'bytes'), Buffer.concat([bytes, Buffer.alloc(40_000, 0xff), bytes]));
    await (await launch(plainPlan(bench, ['cat', join(bench.directory, 'bytes')]))).exited;
    const records = readFileSync(bench.logFile, 'latin1').split('\n').slice(0, -1);
    const text = records
      .map((record) => record.slice(record.indexOf(' ', 38) + 1) + (record[38] === 'F' ? '\n' : ''))
      .join('');
    t.ok(Buffer.from(text, 'latin1').equals(readFileSync(join(bench.directory, 'bytes'))));
    t.same(
      records.map((record) => record.slice(38).split(' ')[0]),
      ['F', 'P', 'P', 'F', 'P:end'],
    );
    rmSync(bench.logFile);
  });

  await t.test('that cannot be written does not hold the process up, and is told of', async (t) => {
    const small = join(bench.directory, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tsd-launcher-test', small]);
    t.teardown(() => execFileSync('umount', [small]));
    const file = join(small, 'container.log');
    const client = createClient();
    const script = 'seq 5000; echo full; read go; echo again; echo more';
    const launched = await launch(
      plainPlan(bench, ['sh', '-c', script], { log: { file, maxBytes: 0, maxFiles: 1 }, openStdin: true }),
      { attach: [{ client, stdin: true }] },
    );
    await until(client, 'full\n');
    const records = readLog([file]).split('\n').length;
    t.ok(records > 500 && records < 5000, 'only whole records');
    execFileSync('truncate', ['-s', '0', file]);
    client.socket.write('go\n');
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    // The client may have seen `full` before it went to the log.
    t.match(readLog([file]), /^(full\n)?again\nmore\n$/);
    t.equal(unframe(await client.ended).stdout, `${sequence(5000)}full\nagain\nmore\n`, 'the client lost nothing');
    const warnings = launched.messages.filter((message) => message.type === 'warning');
    t.match(warnings[0], { step: null, errno: ENOSPC, detail: 'the log cannot be written; records are being lost' });
    t.match(warnings.at(-1), { step: null, detail: /^records lost from the log: [1-9]\d+$/ });
  });

  await t.test('that keeps one file goes on in a new one', async (t) => {
    const client = createClient();
    const script = 'seq 400; read go; seq 4000';
    const log = { file: bench.logFile, maxBytes: 20_000, maxFiles: 1 };
    const launched = await launch(plainPlan(bench, ['sh', '-c', script], { log, openStdin: true }), {
      attach: [{ client, stdin: true }],
    });
    await until(client, '\n400\n');
    const reader = openSync(bench.logFile, 'r');
    t.teardown(() => closeSync(reader));
    const before = readFileSync(reader, 'latin1');
    client.socket.write('go\n');
    await launched.exited;
    const after = Buffer.alloc(20_001);
    const length = readSync(reader, after, 0, after.length, 0);
    t.ok(length <= 20_000);
    t.ok(after.toString('latin1', 0, length).startsWith(before), 'whoever has the old one open can finish it');
    t.match(readLog([bench.logFile]), /\n4000\n$/);
    t.ok(readFileSync(bench.logFile).length <= 20_000);
    t.same(
      readdirSync(bench.directory).filter((name) => name.startsWith('container.log')),
      ['container.log'],
    );
    rmSync(bench.logFile);
  });

  await t.test('can be none', async (t) => {
    const client = createClient();
    const launched = await launch(plainPlan(bench, ['echo', 'x'], { log: null }));
    await launched.started;
    await attach(launched.connection, { client }).catch(() => undefined);
    await launched.exited;
    t.notOk(readdirSync(bench.directory).includes('container.log'));
  });
});
