/**
 * tsd as a systemd service on cgroup v2 with AppArmor, which this host may not have: a Debian guest under QEMU's software
 * emulation boots this checkout and runs test/guest/checks.sh; its TAP comes back over the serial line.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

const QEMU = '/usr/bin/qemu-system-x86_64';
const DEADLINE_MS = 600_000;
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tsd-test-guest');

const missing =
  process.getuid?.() !== 0
    ? 'needs root'
    : process.arch !== 'x64'
      ? 'the guest is an x86-64 machine'
      : [QEMU, '/usr/bin/mmdebstrap', '/sbin/mke2fs'].find((path) => !existsSync(path));

t.setTimeout(DEADLINE_MS * 2);
t.test(
  'the guest',
  { skip: missing === undefined ? false : `missing: ${missing}`, timeout: DEADLINE_MS * 2 },
  async (t) => {
    execFileSync('sh', [join(import.meta.dirname, 'guest/make-disk.sh'), cache], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const serial = await boot();
    t.match(serial, 'GUEST DONE', 'the checks ran to their end');
    for (const [, not, name, details] of serial.matchAll(/^(not )?ok \d+ - (.*)\r?\n((?:# .*\r?\n)*)/gm)) {
      t.ok(not === undefined, name ?? '', { found: details });
    }
  },
);

/** Boots the guest and returns what it printed, once it has powered itself off or the deadline has passed. */
function boot(): Promise<string> {
  const machine = [
    '-accel',
    'tcg,thread=multi',
    '-cpu',
    'max',
    '-smp',
    '2',
    '-m',
    '2048',
    '-nographic',
    '-no-reboot',
    '-nic',
    'none',
  ];
  const disk = ['-drive', `file=${join(cache, 'disk.img')},format=raw,if=virtio,cache=unsafe`];
  const kernel = ['-kernel', join(cache, 'vmlinuz'), '-initrd', join(cache, 'initrd')];
  const parameters = 'root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 security=apparmor swapaccount=1';
  const guest = spawn(QEMU, [...machine, ...disk, ...kernel, '-append', parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: AbortSignal.timeout(DEADLINE_MS),
    killSignal: 'SIGKILL',
  });
  const chunks: Buffer[] = [];
  guest.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    guest.on('error', reject);
    guest.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}
