/** Compares whole trees: type, mode, owner, times to the nanosecond, links, attributes, device numbers and content. */
import { spawnSync } from 'node:child_process';

const OPTIONS = [
  '--create',
  '--sort=name',
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=*',
  '--format=posix',
  '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
];

/**
 * The tree as tar(1) would archive it, one line for each member with the member's digest. `descriptors` are passed on as 3, 4, …
 * so that `/proc/self/fd/3` names a detached mount.
 */
export function describeTree(directory: string, descriptors: readonly number[] = []): string {
  const script = `tar --directory "$1" ${OPTIONS.map((option) => `'${option}'`).join(' ')} . | sha256sum;
    cd "$1" && find . -printf '%p %y %m %U:%G %T@ %l %n ' \\( ! -type d -printf '%s' , -printf '\\n' \\) | LC_ALL=C sort`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', `set -o pipefail; ${script}`, 'bash', directory], {
    stdio: ['ignore', 'pipe', 'pipe', ...descriptors],
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`describing ${directory}: ${stderr.toString()}`);
  return stdout.toString('latin1');
}
