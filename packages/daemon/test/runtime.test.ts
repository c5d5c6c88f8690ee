import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { connectUnix } from '../src/os/connect-unix.ts';
import { SystemCallError } from '../src/os/libc.ts';
import { lookupDevices } from '../src/os/lookup-devices.ts';
import { createMemfd, createSealedMemfd } from '../src/os/memfd.ts';
import { processStartTicks } from '../src/os/process-stat.ts';
import { sendDescriptors } from '../src/os/send-descriptor.ts';
import { createSocketPair } from '../src/os/socket-pair.ts';
import { reapProcess, spawnDescriptor } from '../src/os/spawn-launcher.ts';
import { openControlConnection } from '../src/runtime/control-connection.ts';
import { LaunchError } from '../src/runtime/launch-error.ts';
import type { LaunchPlan, Step } from '../src/runtime/launch-plan.ts';
import { processEnvironment } from '../src/runtime/plan-process.ts';
import { type ResolvedUser, resolveUser } from '../src/runtime/resolve-user.ts';
import { readExitFile } from '../src/runtime/supervisor.ts';

const PASSWD = `# users
root:x:0:0:root:/root:/bin/sh
web:x:33:44:web:/srv/www:/bin/false
1234:x:77:78::/odd:
broken
twice:x:5:5::/first:
twice:x:6:6::/second:
huge:x:4294967295:0::/:
`;
const GROUP = 'root:x:0:\nstaff:x:50:web,root\nweb:x:44:\n';

function resolve(
  specification: string,
  additionalGroups: readonly string[] = [],
  files = { passwd: PASSWD, group: GROUP },
): ResolvedUser {
  return resolveUser({ specification, additionalGroups, ...files });
}

t.test('resolveUser', async (t) => {
  t.same(resolve(''), { uid: 0, gid: 0, groups: [0, 50], home: '/root' });
  t.same(resolve('web'), { uid: 33, gid: 44, groups: [44, 50], home: '/srv/www' });
  t.same(resolve('33'), { uid: 33, gid: 44, groups: [44, 50], home: '/srv/www' }, 'by number with an entry');
  t.same(resolve('web:staff'), { uid: 33, gid: 50, groups: [50], home: '/srv/www' }, 'a group replaces them all');
  t.same(resolve('web:7'), { uid: 33, gid: 7, groups: [7], home: '/srv/www' });
  t.same(resolve('1234'), { uid: 1234, gid: 0, groups: [0], home: '/' }, 'a number is never a name');
  t.same(resolve('twice').uid, 5, 'the first entry wins');
  t.same(resolve(':staff'), { uid: 0, gid: 50, groups: [50], home: '/root' });
  t.same(resolve('9', ['staff', '60', '0060']), { uid: 9, gid: 0, groups: [0, 50, 60], home: '/' });
  t.same(
    resolveUser({ specification: '1000:1000', passwd: null, group: null, additionalGroups: [] }),
    { uid: 1000, gid: 1000, groups: [1000], home: '/' },
    'without any files',
  );
  const refused = (specification: string, message: string, groups: readonly string[] = []): void => {
    t.throws(() => resolve(specification, groups), { code: 'bad_parameter', message });
  };
  refused('nobody', 'unable to find user nobody: no matching entries in passwd file');
  refused('web:nobody', 'unable to find group nobody: no matching entries in group file');
  refused('web', 'Unable to find group nobody: no matching entries in group file', ['nobody']);
  refused('-1', 'uids and gids must be in range 0-2147483647');
  refused('huge', 'uids and gids must be in range 0-2147483647');
  refused('0:2147483648', 'uids and gids must be in range 0-2147483647');
});

t.test('processEnvironment', async (t) => {
  t.same(processEnvironment({ Tty: true, Env: ['A=1', 'A=2', 'EMPTY=', 'X=a=b'] }, 'h', '/root'), [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'HOSTNAME=h',
    'TERM=xterm',
    'A=2',
    'EMPTY=',
    'X=a=b',
    'HOME=/root',
  ]);
  t.same(processEnvironment({ Env: ['HOSTNAME', 'PATH=/p', 'HOME=/h'] }, 'h', '/root'), ['PATH=/p', 'HOME=/h']);
});

function launchError(step: Step, errno: number, detail = ''): LaunchError {
  const plan: LaunchPlan = {
    supervisor: {
      controlSocket: '/s',
      exitFile: '/e',
      log: null,
      tty: false,
      openStdin: false,
      stdinOnce: false,
      oomCounterFile: null,
    },
    steps: [{ op: 'clone-tree', side: 'host', at: { path: '/src' }, slot: 3 }, step],
  };
  return new LaunchError(plan, { step: 1, errno, detail });
}

t.test("LaunchError speaks Docker's words, from which its client derives the exit code", async (t) => {
  const exec = (command: string, errno: number, detail = ''): LaunchError =>
    launchError({ op: 'exec', side: 'container', argv: [command], env: [] }, errno, detail);
  const user = exec('x', 2, 'x').toUserError();
  t.match(user, {
    code: 'bad_parameter',
    message:
      'failed to create task for container: failed to create shim task: OCI runtime create failed: unable to start container process: error during container init: exec: "x": executable file not found in $PATH: unknown',
  });
  t.match(exec('/x', 2, '/x'), { exitCode: 127, message: /exec: "\/x": stat \/x: no such file or directory$/ });
  t.match(exec('/x', 13, '/x'), { exitCode: 126, message: /exec: "\/x": permission denied$/, errnoName: 'EACCES' });
  t.match(exec('/etc', 21), { exitCode: 126, message: /exec: "\/etc": is a directory$/ });
  t.match(exec('/x', 8, '/x'), { exitCode: 128, message: /exec \/x: exec format error$/ });
  t.match(launchError({ op: 'attach-mount', side: 'container', slot: 3, at: { base: 0, path: '/t' } }, 20), {
    exitCode: 128,
    message:
      /error mounting "\/src" to rootfs at "\/t": not a directory: Are you trying to mount a directory onto a file/,
  });
  t.match(launchError({ op: 'change-directory', side: 'container', path: '/w' }, 13), {
    exitCode: 126,
    message: /chdir to cwd \("\/w"\) set in config.json failed: permission denied$/,
  });
  t.match(launchError({ op: 'clone', side: 'host', namespaces: ['user'] }, 28), {
    exitCode: 128,
    message: /clone: ENOSPC: this host allows no more user namespaces .*; --userns=host runs without one$/,
  });
  const inner = launchError({ op: 'unshare', side: 'container', namespaces: ['cgroup'] }, 2, '/proc');
  t.match(inner, { exitCode: 128, message: /unshare \/proc: ENOENT$/ });
  t.equal(inner.toUserError().code, 'internal');
});

t.test('a sealed file in memory cannot be written', async (t) => {
  const descriptor = createSealedMemfd('tsd-test', Buffer.from('content'));
  t.teardown(() => closeSync(descriptor));
  t.throws(() => writeSync(descriptor, 'x', 0), { code: 'EPERM' });
  t.throws(() => writeSync(openSync(`/proc/self/fd/${descriptor}`, 'r+'), 'x'), { code: /EPERM|EBADF/ });
});

t.test('spawnDescriptor gives exactly the descriptors, whatever their numbers', async (t) => {
  const shell = createSealedMemfd('tsd-test-shell', readFileSync('/bin/sh'));
  const output = createMemfd('tsd-test-output');
  const first = createMemfd('first');
  const second = createMemfd('second');
  writeSync(first, 'FIRST', 0);
  writeSync(second, 'SECOND', 0);
  t.teardown(() => [shell, output, first, second].map(closeSync));
  // Each is wanted where the other one is: done one after the other it would lose one of them.
  const descriptors = new Map([
    [1, output],
    [first, second],
    [second, first],
  ]);
  const script = `cat /proc/self/fd/${first} /proc/self/fd/${second}; echo; echo /proc/$$/fd/*; env; trap`;
  const pid = spawnDescriptor(shell, ['sh', '-c', script], descriptors);
  t.ok((processStartTicks(pid) ?? 1n) > 0n);
  await reapProcess(pid);
  const bytes = Buffer.alloc(4096);
  const text = bytes.toString('utf8', 0, readSync(output, bytes, 0, bytes.length, 0));
  const [contents, open] = text.split('\n');
  t.equal(contents, 'SECONDFIRST');
  t.notMatch(open, new RegExp(`/fd/${shell}( |$)`), 'close-on-exec descriptors do not arrive');
  t.equal(processStartTicks(pid), null, 'reaped');
});

t.test('sendDescriptors passes descriptors with the first byte', async (t) => {
  const [left, right] = createSocketPair();
  const file = createMemfd('passed');
  writeSync(file, 'passed on', 0);
  t.equal(sendDescriptors(left, [file], Buffer.from('abc')), 3);
  closeSync(left);
  const chunks: Buffer[] = [];
  // Node receives handles only between its own processes: the bytes are looked at here, the launcher's tests do the rest.
  const socket = new Socket({ fd: right, readable: true, writable: false });
  for await (const chunk of socket) chunks.push(chunk);
  t.equal(Buffer.concat(chunks).toString(), 'abc');
  t.throws(() => sendDescriptors(file, [file], Buffer.from('a')), SystemCallError);
  t.throws(() => sendDescriptors(file, [file], Buffer.alloc(0)), RangeError);
  closeSync(file);
});

t.test('connectUnix reaches sockets with long paths', async (t) => {
  const directory = join(t.testdir({}), 'd'.repeat(60), 'e'.repeat(60));
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 's.sock');
  t.throws(() => connectUnix(path), { code: 'ENOENT', path });
  const server = createServer((socket) => socket.end('hello'));
  process.chdir(directory);
  await new Promise<void>((resolve) => server.listen('s.sock', resolve));
  t.ok(existsSync(path) && Buffer.byteLength(path) > 108);
  const socket = new Socket({ fd: connectUnix(path) });
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  t.equal(Buffer.concat(chunks).toString(), 'hello');
  server.close();
});

t.test('a control connection that ends', async (t) => {
  const [daemonEnd, supervisorEnd] = createSocketPair();
  const closed = Promise.withResolvers<Error | null>();
  const connection = openControlConnection(daemonEnd, {
    onMessage: () => t.fail('no message'),
    onClose: closed.resolve,
  });
  const signal = connection.signal(15);
  signal.catch(() => undefined);
  // Requests go out in the next microtask.
  await Promise.resolve().then(() => undefined);
  const bytes = Buffer.alloc(64);
  const length = readSync(supervisorEnd, bytes);
  t.equal(bytes.toString('hex', 0, length), '0a00000003' + '01000000' + '0f000000' + '00');
  // REPLY with ESRCH, then the end.
  writeSync(supervisorEnd, Buffer.from('0900000081' + '01000000' + '03000000', 'hex'));
  await t.rejects(signal, { code: 'ESRCH' });
  const status = connection.status();
  closeSync(supervisorEnd);
  await t.rejects(status, { code: 'ESRCH' });
  await closed.promise;
  await t.rejects(connection.resize(1, 1), { code: 'ESRCH' });
});

t.test('what the supervisor said before it went is heard although nothing can be sent any more', async (t) => {
  const [daemonEnd, supervisorEnd] = createSocketPair();
  const closed = Promise.withResolvers<Error | null>();
  const heard: string[] = [];
  const connection = openControlConnection(daemonEnd, {
    onMessage: (message) => heard.push(message.type),
    onClose: closed.resolve,
  });
  const exited = `1700000085${'00'}${'07000000'}${'00'}${'01'.padEnd(16, '0')}${'02'.padEnd(16, '0')}`;
  writeSync(supervisorEnd, Buffer.from(exited, 'hex'));
  closeSync(supervisorEnd);
  await t.rejects(connection.signal(15), { code: 'ESRCH' });
  await closed.promise;
  t.same(heard, ['exited']);
});

t.test('input that is larger than the socket takes at once goes out as it is read', async (t) => {
  const [daemonEnd, supervisorEnd] = createSocketPair();
  const connection = openControlConnection(daemonEnd, { onMessage: () => undefined, onClose: () => undefined });
  const passed = createMemfd('passed');
  const initialInput = Buffer.alloc(900_000, 'x');
  const request = { stdin: true, stdout: false, stderr: false, detachKeys: Buffer.alloc(0), initialInput };
  const { sent, done } = connection.attach(passed, request);
  const ignored = done.catch(() => undefined);
  const started = connection.start();
  let received = 0;
  let last = Buffer.alloc(0);
  const supervisor = new Socket({ fd: supervisorEnd, readable: true, writable: false });
  supervisor.on('data', (chunk) => {
    received += chunk.length;
    last = Buffer.concat([last, chunk]).subarray(-5);
  });
  await sent;
  await started;
  while (received < 900_023) await new Promise((resolve) => supervisor.once('data', resolve));
  t.equal(received, 900_023, 'the frame, and START after it');
  t.equal(last.toString('hex'), '0100000001');
  connection.close();
  await ignored;
  supervisor.destroy();
  closeSync(passed);
});

t.test('lookupDevices', async (t) => {
  t.match(lookupDevices([{ PathOnHost: '/dev/null', PathInContainer: '/dev/x', CgroupPermissions: 'r' }], false), [
    { hostPath: '/dev/null', path: '/dev/x', permissions: 'r', type: 'char', major: 1, minor: 3, mode: 0o666 },
  ]);
  t.throws(() => lookupDevices([{ PathOnHost: '/dev/none' }], false), {
    code: 'bad_parameter',
    message: 'error gathering device information while adding custom device "/dev/none": no such file or directory',
  });
  t.throws(() => lookupDevices([{ PathOnHost: '/etc/passwd' }], false), { message: /not a device node$/ });
});

t.test('readExitFile', async (t) => {
  const directory = t.testdir({ broken: 'x' });
  t.equal(readExitFile(join(directory, 'missing')), null);
  t.equal(readExitFile(join(directory, 'broken')), null);
});
