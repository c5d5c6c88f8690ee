/** What is mounted beneath a directory of the host: a reading of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
import { readFileSync } from 'node:fs';
import { unescapeField } from './cgroup-layout.ts';

export interface MountBeneath {
  /** Below the directory, without a leading slash. */
  readonly path: string;
  readonly fsType: string;
}

/** @param directory without symbolic links. @returns a mount before those beneath it, the topmost alone where several are stacked */
export function mountsBeneath(
  directory: string,
  mountinfo: string = readFileSync('/proc/self/mountinfo', 'utf8'),
): readonly MountBeneath[] {
  const prefix = directory === '/' ? '/' : `${directory}/`;
  const found = new Map<string, string>();
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const point = unescapeField(left.split(' ')[4] ?? '');
    if (!point.startsWith(prefix) || point === prefix) continue;
    found.set(point.slice(prefix.length), right.split(' ')[0] ?? '');
  }
  const depth = (path: string): number => path.split('/').length;
  return [...found]
    .map(([path, fsType]) => ({ path, fsType }))
    .sort((a, b) => depth(a.path) - depth(b.path) || (a.path < b.path ? -1 : 1));
}
