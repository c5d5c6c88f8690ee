/** The client through the real daemon: terminals, signals, pipes, detaching, daemons that restart, errors. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { repository, run, runOnTerminal, TSDCTL } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { busyboxArchive } from './support/images.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
const { tsdctl } = daemon;
const host = `unix://${daemon.socketPath}`;
const NONE = ['--network', 'none'] as const;

/** A client whose input and signals the test decides. */
function startTsdctl(...args: string[]): {
  child: ReturnType<typeof spawn>;
  stdout: () => string;
  stderr: () => string;
  said: (text: string) => Promise<unknown>;
} {
  const child = spawn(TSDCTL, ['-H', host, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on('error', () => undefined);
  const said = (text: string): Promise<unknown> =>
    eventually(() => stdout.includes(text), { what: `${args.join(' ')} says ${text}` });
  return { child, stdout: () => stdout, stderr: () => stderr, said };
}

t.test('an image from a file and from a pipe', async (t) => {
  t.match(await tsdctl('load', '-i', busyboxArchive()), {
    code: 0,
    stdout: 'Loaded image: busybox:latest\n',
    stderr: '',
  });
  const archive = readFileSync(busyboxArchive());
  const piped = await tsdctl.with({ input: archive }, 'load');
  t.match(piped, { code: 0, stdout: 'Loaded image: busybox:latest\n' });
  const refused = await tsdctl.with({ input: archive.subarray(0, archive.length / 2) }, 'load');
  t.equal(refused.code, 1);
  t.match(refused.stderr, /^tsdctl: /);

  const saved = join(daemon.directory, 'saved.tar');
  const before = await tsdctl.output('images', '-q', '--no-trunc');
  t.equal((await tsdctl('save', '-o', saved, 'busybox')).code, 0);
  t.ok(statSync(saved).size > 1_000_000);
  const streamed = await run('sh', ['-c', `"${TSDCTL}" -H "${host}" save busybox | cmp - "${saved}"`]);
  t.equal(streamed.code, 0, `a file and a pipe get the same: ${streamed.stderr}`);
  await tsdctl('rmi', 'busybox');
  t.equal(await tsdctl.output('images', '-q'), '');
  t.equal((await tsdctl('load', '-q', '-i', saved)).code, 0);
  t.equal(await tsdctl.output('images', '-q', '--no-trunc'), before, 'the same image');
});

t.test('stdin: a pipe, its end, and a container that does not read', async (t) => {
  const input = Array.from({ length: 200_000 }, (_, line) => `line ${line}\n`).join('');
  const copied = await tsdctl.with({ input }, 'run', '--rm', '-i', ...NONE, 'busybox', 'cat');
  t.equal(copied.code, 0);
  t.equal(digest(copied.stdout), digest(input));
  const counted = await tsdctl.with({ input }, 'run', '--rm', '-i', ...NONE, 'busybox', 'wc', '-l');
  t.equal(counted.stdout.trim(), '200000');
  const open = startTsdctl('run', '--rm', '-i', ...NONE, 'busybox', 'echo', 'done');
  t.same(await once(open.child, 'close'), [0, null], 'an open stdin does not keep the client');
  t.equal(open.stdout(), 'done\n');
  const without = await tsdctl.with({ input: 'x' }, 'run', '--rm', ...NONE, 'busybox', 'cat');
  t.match(without, { code: 0, stdout: '' }, 'without -i stdin is not attached');
});

t.test('the streams stay apart and the exit code is the container’s', async (t) => {
  const script = 'echo out; echo err >&2; exit 42';
  t.match(await tsdctl('run', '--rm', ...NONE, 'busybox', 'sh', '-c', script), {
    code: 42,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  t.equal((await tsdctl('run', '--rm', ...NONE, 'busybox', 'sh', '-c', 'sleep 9 & kill -9 $!; wait $!')).code, 137);
  t.equal((await tsdctl('run', '--rm', ...NONE, 'busybox', 'no-such-program')).code, 127);
  t.equal((await tsdctl('run', '--rm', ...NONE, 'busybox', '/etc')).code, 126);
  const missing = await tsdctl('run', '--rm', '127.0.0.1:1/no-such-image');
  t.equal(missing.code, 125);
  t.match(missing.stderr, /Unable to find image '127.0.0.1:1\/no-such-image:latest' locally.*connection refused/s);
  t.equal(await tsdctl.output('ps', '-aq'), '', 'nothing is left');
});

t.test('a terminal: its size, raw input, the exit code', async (t) => {
  const shell = await runOnTerminal('sh', [
    '-c',
    `stty rows 33 columns 111; exec "${TSDCTL}" -H "${host}" run --rm -it --network none busybox sh -c 'tty; stty size; exit 5'`,
  ]);
  t.equal(shell.code, 5);
  // script(1) shows ^@ where its own input ends, at any moment.
  t.equal(shell.stdout.replace('^@', ''), '/dev/pts/0\r\n33 111\r\n');
  const refused = await tsdctl('run', '--rm', '-it', ...NONE, 'busybox', 'sh');
  t.match(refused, { code: 1, stderr: 'tsdctl: the input device is not a TTY\n' });
});

t.test('the detach keys leave the container running', async (t) => {
  const terminal = spawn('script', [
    '--quiet',
    '--return',
    '--flush',
    '--command',
    `'${TSDCTL}' -H '${host}' run -it --name detached --network none busybox sh`,
    '/dev/null',
  ]);
  let shown = '';
  terminal.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  await eventually(() => shown.includes('# '), { what: 'the prompt' });
  terminal.stdin.write('\x10\x11');
  t.same(await once(terminal, 'close'), [0, null]);
  t.equal((await daemon.inspect('detached')).State.Status, 'running');
  await tsdctl('rm', '-f', 'detached');
});

t.test('signals go to the container', async (t) => {
  const script = 'trap "echo got TERM; exit 7" TERM; trap "echo got INT" INT; echo ready; while :; do sleep 0.1; done';
  const client = startTsdctl('run', '--rm', ...NONE, 'busybox', 'sh', '-c', script);
  await client.said('ready');
  client.child.kill('SIGINT');
  await client.said('got INT');
  client.child.kill('SIGTERM');
  t.same(await once(client.child, 'close'), [7, null]);
  t.equal(client.stdout(), 'ready\ngot INT\ngot TERM\n');

  const unproxied = startTsdctl('run', '--name', 'alone', '--sig-proxy=false', ...NONE, 'busybox', 'sh', '-c', script);
  await unproxied.said('ready');
  unproxied.child.kill('SIGTERM');
  t.same(await once(unproxied.child, 'close'), [null, 'SIGTERM']);
  t.equal((await daemon.inspect('alone')).State.Status, 'running');
  await tsdctl('rm', '-f', 'alone');
});

t.test('create, start -a -i, attach', async (t) => {
  const id = await tsdctl.output('create', '-i', '--name', 'cat', ...NONE, 'busybox', 'cat');
  t.match(id, /^[0-9a-f]{64}$/);
  t.match(await tsdctl.with({ input: 'once\n' }, 'start', '-ai', 'cat'), { code: 0, stdout: 'once\n' });
  t.equal(await tsdctl.output('start', 'cat'), 'cat');
  const attached = startTsdctl('attach', 'cat');
  attached.child.stdin?.write('hello\n');
  await attached.said('hello');
  attached.child.stdin?.end();
  t.same(await once(attached.child, 'close'), [0, null]);
  t.match(await tsdctl('attach', 'cat'), {
    code: 1,
    stderr: /You cannot attach to a stopped container, start it first/,
  });
  await tsdctl('rm', 'cat');
});

t.test('the daemon is killed: run and logs -f go on', async (t) => {
  const script = 'i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; [ $((i%10)) = 0 ] && sleep 0.5; done; exit 9';
  const expected = Array.from({ length: 30 }, (_, index) => `line ${index + 1}\n`).join('');
  const client = startTsdctl('run', '--name', 'survivor', ...NONE, 'busybox', 'sh', '-c', script);
  await client.said('line 10');
  const follower = startTsdctl('logs', '-f', 'survivor');
  await follower.said('line 10');
  await daemon.crash();
  await daemon.start();
  t.same(await once(client.child, 'close'), [9, null]);
  t.equal(client.stdout(), expected);
  if (follower.child.exitCode === null) await once(follower.child, 'close');
  t.equal(follower.child.exitCode, 0, follower.stderr());
  t.equal(follower.stdout(), expected, 'the followed log is whole');
  await tsdctl('rm', 'survivor');
});

t.test('no daemon: what to do about it', async (t) => {
  await daemon.shutDown();
  const nobody = await tsdctl('ps');
  t.equal(nobody.code, 1);
  t.match(nobody.stderr, /^tsdctl: Cannot connect to the tsd daemon at unix:.*Is the daemon running\?\nStart it with/);
  await daemon.start();
});

t.test('permission: said plainly to a user who has none', async (t) => {
  const script = `exec "${TSDCTL}" -H "${host}" ps`;
  const denied = await run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', 'sh', '-c', script]);
  if (/Permission denied|not installed/.test(denied.stderr) && !/tsd daemon/.test(denied.stderr)) {
    t.pass(`not shown: other users cannot read this checkout (${repository})`);
    return;
  }
  t.equal(denied.code, 1);
  t.match(
    denied.stderr,
    /^tsdctl: permission denied while connecting to the tsd daemon at .*\nMembers of the group "tsd"/,
  );
});

t.test('formats', async (t) => {
  const id = await tsdctl.output(
    'run',
    '-d',
    '--name',
    'fmt',
    '-l',
    'a=b',
    '-m',
    '64m',
    ...NONE,
    'busybox',
    'sleep',
    '1000',
  );
  t.equal(
    await tsdctl.output('ps', '--format', '{{.Names}} {{.State}} {{.Label "a"}} {{.Image}}'),
    'fmt running b busybox',
  );
  t.equal(await tsdctl.output('ps', '-q', '--no-trunc', '--filter', 'label=a=b'), id);
  t.equal(await tsdctl.output('ps', '-q', '--filter', 'label=a=c'), '');
  t.match(
    await tsdctl.output('ps', '--format', 'table {{.ID}}\\t{{.Names}}'),
    /^CONTAINER ID {3}NAMES\n[0-9a-f]{12} {3}fmt$/,
  );
  t.equal(
    await tsdctl.output('inspect', '-f', '{{.HostConfig.Memory}} {{json .Config.Cmd}}', 'fmt'),
    '67108864 ["sleep","1000"]',
  );
  t.equal(
    await tsdctl.output('inspect', '-f', '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}', 'fmt'),
    'a=b;',
  );
  t.match(JSON.parse(await tsdctl.output('images', '--format', 'json')), { Repository: 'busybox', Tag: 'latest' });
  t.match(await tsdctl.output('top', 'fmt'), /^root .*sleep 1000/m, 'as the container numbers them');
  t.match(await tsdctl.output('info'), /^ Containers: 1$/m);
  const started = process.hrtime.bigint();
  t.equal(await tsdctl.output('stop', '-t', '0', 'fmt'), 'fmt');
  t.ok(process.hrtime.bigint() - started < 5_000_000_000n);
  t.equal(await tsdctl.output('container', 'prune', '-f').then((text) => text.split('\n')[1]), id);
});

t.test('--cidfile and --rm -d', async (t) => {
  const file = join(daemon.directory, 'cid');
  const id = await tsdctl.output('run', '-d', '--rm', '--cidfile', file, ...NONE, 'busybox', 'true');
  t.equal(readFileSync(file, 'utf8'), id);
  t.ok(existsSync(file));
  await eventually(async () => (await tsdctl.output('ps', '-aq')) === '', { what: 'the container is removed' });
});

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
