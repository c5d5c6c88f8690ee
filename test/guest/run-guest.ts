/**
 * A Debian guest under QEMU's software emulation, with systemd, AppArmor and cgroup v2, which this host may not have: it boots
 * this checkout and runs test/guest/checks.sh; its TAP comes back over the serial line.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

const QEMU = '/usr/bin/qemu-system-x86_64';
export const GUEST_DEADLINE_MS = 600_000;
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tsd-test-guest');

const missing =
  process.getuid?.() !== 0
    ? 'needs root'
    : process.arch !== 'x64'
      ? 'the guest is an x86-64 machine'
      : [QEMU, '/usr/bin/mmdebstrap', '/sbin/mke2fs'].find((path) => !existsSync(path));

/** Why no guest can be run here; false: nothing. */
export const guestMissing: string | false = missing === undefined ? false : `missing: ${missing}`;

/** Runs the checks in a guest with the kernel of that Debian suite and reports each of them. */
export async function runGuest(t: Test, kernelFrom: 'bookworm' | 'trixie' | 'trixie-backports'): Promise<void> {
  const directory = join(cache, kernelFrom);
  execFileSync('sh', [join(import.meta.dirname, 'make-disk.sh'), directory, kernelFrom], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const serial = await boot(directory);
  t.match(serial, 'GUEST DONE', 'the checks ran to their end');
  for (const [, not, name, details] of serial.matchAll(/^(not )?ok \d+ - (.*)\r?\n((?:# .*\r?\n)*)/gm)) {
    t.ok(not === undefined, name ?? '', { found: details });
  }
}

/** Boots the guest and returns what it printed, once it has powered itself off or the deadline has passed. */
function boot(directory: string): Promise<string> {
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
  const disk = ['-drive', `file=${join(directory, 'disk.img')},format=raw,if=virtio,cache=unsafe`];
  const kernel = ['-kernel', join(directory, 'vmlinuz'), '-initrd', join(directory, 'initrd')];
  const parameters = 'root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 security=apparmor swapaccount=1';
  const guest = spawn(QEMU, [...machine, ...disk, ...kernel, '-append', parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: AbortSignal.timeout(GUEST_DEADLINE_MS),
    killSignal: 'SIGKILL',
  });
  const chunks: Buffer[] = [];
  guest.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    guest.on('error', reject);
    guest.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}
