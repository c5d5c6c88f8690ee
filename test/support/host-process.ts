/** What the host's /proc and cgroup file systems say about a process. */
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'] as const;
export type NamespaceName = (typeof NAMESPACES)[number];

/** The fields of /proc/PID/status. */
export function readStatus(pid: number): ReadonlyMap<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trimEnd().split('\n');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
}

/** Namespaces of the process that are the host's own. */
export function sharedNamespaces(pid: number): NamespaceName[] {
  return NAMESPACES.filter((name) => readlinkSync(`/proc/${pid}/ns/${name}`) === readlinkSync(`/proc/self/ns/${name}`));
}

/** What identifies a namespace of the process. */
export function namespaceOf(pid: number | 'self', name: NamespaceName): string {
  return readlinkSync(`/proc/${pid}/ns/${name}`);
}

/** Soft and hard limits of the process by name, proc_pid_limits(5). */
export function readLimits(pid: number): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/${pid}/limits`, 'utf8').trimEnd().split('\n').slice(1);
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, 26).trim(), line.slice(26, 68).trim().replace(/\s+/, ' ')]),
  );
}

/** True while the process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !readStatus(pid).get('State')?.startsWith('Z');
  } catch {
    return false;
  }
}

/** True where `controller` is on the unified hierarchy, false on v1. Throws where the host has neither. */
export function isUnified(controller: string): boolean {
  return hierarchy(controller).unified;
}

/**
 * Reads a control file of the process' cgroup: `v1` in the controller's own hierarchy, `v2` in the unified one. Without
 * the final newline.
 */
export function readCgroupFile(pid: number, controller: string, v1: string, v2: string): string {
  const { mountPoint, unified } = hierarchy(controller);
  return readFileSync(join(mountPoint, cgroupPath(pid, controller), unified ? v2 : v1), 'utf8').trimEnd();
}

/** The process' cgroup for a controller, relative to the hierarchy's root. */
export function cgroupPath(pid: number, controller: string): string {
  const { unified } = hierarchy(controller);
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trimEnd().split('\n');
  for (const line of lines) {
    const [, names = '', ...path] = line.split(':');
    if (unified ? names === '' : names.split(',').includes(controller)) return path.join(':');
  }
  throw new Error(`process ${pid} is in no ${controller} cgroup`);
}

function hierarchy(controller: string): { mountPoint: string; unified: boolean } {
  let unified: string | undefined;
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const mountPoint = left.split(' ')[4] ?? '';
    const [type, , options = ''] = right.split(' ');
    if (type === 'cgroup' && options.split(',').includes(controller)) return { mountPoint, unified: false };
    if (type === 'cgroup2') unified ??= mountPoint;
  }
  if (unified === undefined || !existsSync(join(unified, 'cgroup.controllers'))) {
    throw new Error(`this host has no ${controller} controller`);
  }
  return { mountPoint: unified, unified: true };
}
