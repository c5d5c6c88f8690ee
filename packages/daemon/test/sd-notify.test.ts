/** Received by Python, since Node has no Unix datagram sockets. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { sdNotify } from '../src/os/sd-notify.ts';

const RECEIVER = `
import socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('bound', flush=True)
print(repr(s.recv(4096)), flush=True)
`;

const directory = mkdtempSync(join(tmpdir(), 'tsd-notify-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

const hasPython = spawnSync('python3', ['-c', '']).status === 0;
for (const name of [join(directory, 'notify'), `@tsd-notify-test-${process.pid}`]) {
  t.test(`arrives at ${name}`, { skip: hasPython ? false : 'python3 is missing' }, async (t) => {
    const receiver = spawn('python3', ['-c', RECEIVER, name], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    receiver.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await once(receiver.stdout, 'data');
    t.ok(sdNotify(['READY=1', 'STATUS=Listening'], name));
    await once(receiver, 'close');
    t.equal(output, "bound\nb'READY=1\\nSTATUS=Listening'\n");
  });
}

t.test('without systemd, and with a wrong address', async (t) => {
  t.notOk(sdNotify(['READY=1'], undefined) && process.env['NOTIFY_SOCKET'] === undefined);
  t.notOk(sdNotify(['READY=1'], ''));
  t.throws(() => sdNotify(['READY=1'], 'relative'), { message: /unsupported address/ });
  t.throws(() => sdNotify(['READY=1'], `/${'x'.repeat(108)}`), { message: /too long/ });
  t.throws(() => sdNotify(['READY=1'], join(directory, 'missing')), { code: 'ENOENT' });
});
