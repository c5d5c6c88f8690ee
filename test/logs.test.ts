/** A million lines arrive complete: through run, through logs, and when the daemon dies in the middle. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { TSDCTL } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';

const LINES = 1_000_000;
const HALF = LINES / 2;

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

const expected = digest(execFileSync('seq', ['1', String(LINES)], { maxBuffer: 1 << 28 }));

function digest(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes of a container's log, rotated files included. */
function logBytes(id: string): number {
  const directory = join(daemon.dataRoot, 'containers', id, 'log');
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

t.test('through run', async (t) => {
  const { code, stdout } = await tsdctl('run', '--rm', '--network', 'none', 'busybox', 'seq', '1', String(LINES));
  t.equal(code, 0);
  t.equal(stdout.split('\n').length - 1, LINES);
  t.equal(digest(stdout), expected);
});

t.test('through run to a reader that is slow to begin', async (t) => {
  const command = `'${TSDCTL}' -H unix://${daemon.socketPath} run --rm --network none busybox seq 1 ${LINES} | { sleep 2; sha256sum; }`;
  const out = execFileSync('sh', ['-c', command], { encoding: 'utf8' });
  t.equal(out.split(' ')[0], expected, 'back-pressure, and no byte lost');
});

t.test('through logs', async (t) => {
  const id = await tsdctl.output('run', '-d', '--network', 'none', 'busybox', 'seq', '1', String(LINES));
  t.equal(await tsdctl.output('wait', id), '0');
  const { stdout } = await tsdctl('logs', id);
  t.equal(digest(stdout), expected);
  t.equal(await tsdctl.output('logs', '--tail', '2', id), `${LINES - 1}\n${LINES}`);
  await tsdctl('rm', id);
});

t.test('after kill -9 of the daemon in the middle', async (t) => {
  const gate = join(daemon.directory, 'gate');
  mkdirSync(gate);
  execFileSync('mkfifo', [join(gate, 'go')]);
  const script = `seq 1 ${HALF}; cat /gate/go; seq ${HALF + 1} ${LINES}`;
  const args = ['run', '-d', '-v', `${gate}:/gate`, '--network', 'none', 'busybox', 'sh', '-c', script];
  const id = await tsdctl.output(...args);
  const { State } = await daemon.inspect(id);
  await eventually(() => logBytes(id) > 0, { what: 'the log has begun', intervalMs: 1 });
  await daemon.crash();
  await daemon.start();
  const after = await daemon.inspect(id);
  t.equal(after.State.Status, 'running');
  t.equal(after.State.Pid, State.Pid, 'the same process');
  const follower = tsdctl('logs', '-f', id);
  // Opening the gate waits for the one who reads it: not on this thread, which takes the output meanwhile.
  await writeFile(join(gate, 'go'), '');
  t.equal(await tsdctl.output('wait', id), '0');
  t.equal(digest((await tsdctl('logs', id)).stdout), expected, 'logs');
  t.equal(digest((await follower).stdout), expected, 'logs -f from before the second half');
  await tsdctl('rm', id);
});

t.test('an attached client outlives the daemon', async (t) => {
  const gate = join(daemon.directory, 'gate2');
  mkdirSync(gate);
  execFileSync('mkfifo', [join(gate, 'go')]);
  const created = await daemon.api.request('POST', '/containers/create', {
    Image: 'busybox',
    Tty: true,
    Cmd: ['sh', '-c', `stty -onlcr; seq 1 ${HALF}; cat /gate/go; seq ${HALF + 1} ${LINES}`],
    HostConfig: { NetworkMode: 'none', Binds: [`${gate}:/gate`] },
  });
  t.equal(created.status, 201, created.text);
  const { Id } = created.json<{ Id: string }>();
  const { socket, head } = await daemon.api.hijack(`/containers/${Id}/attach?stream=1&stdout=1&stderr=1`);
  const chunks = [head];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise((done) => socket.once('close', done));
  t.equal((await daemon.api.request('POST', `/containers/${Id}/start`)).status, 204);
  await eventually(() => chunks.length > 1, { what: 'output arrives', intervalMs: 1 });
  await daemon.crash();
  // Opening the gate waits for the one who reads it: not on this thread, which takes the output meanwhile.
  await writeFile(join(gate, 'go'), '');
  await closed;
  t.equal(digest(Buffer.concat(chunks)), expected);
  await daemon.start();
  const { State } = await daemon.inspect(Id);
  t.same([State.Status, State.ExitCode], ['exited', 0]);
  await tsdctl('rm', Id);
});

t.test('a log is bounded by its options', async (t) => {
  const options = ['--log-opt', 'max-size=1m', '--log-opt', 'max-file=2'];
  const id = await tsdctl.output('run', '-d', ...options, '--network', 'none', 'busybox', 'seq', '1', '200000');
  t.equal(await tsdctl.output('wait', id), '0');
  t.ok(logBytes(id) <= 2 * 1_100_000, `${logBytes(id)} bytes in all`);
  const last = await tsdctl.output('logs', '--tail', '1', id);
  t.equal(last, '200000');
  await tsdctl('rm', id);
});
