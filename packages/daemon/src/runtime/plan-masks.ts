/** The parts of /proc and /sys that a container sees empty or read-only: Docker's lists (moby oci/defaults.go). */
import type { LaunchContext } from './launch-context.ts';
import type { PlanPath, Slot, Step } from './launch-plan.ts';
import type { SecurityOptions } from './security-options.ts';

export const DEFAULT_MASKED_PATHS: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

export const DEFAULT_READ_ONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/**
 * Container side, after `pivot-root` (masking a file needs the container's /dev/null). Paths in /proc and /sys go through
 * the slots of the mounts themselves, so that nothing in the image can stand in for them.
 */
export function planMasks(
  context: LaunchContext,
  security: SecurityOptions,
  mounts: { readonly proc: Slot; readonly sys: Slot | null },
): Step[] {
  const { hostConfig, host } = context.input;
  if (context.privileged || security.systemPathsUnconfined) return [];
  const locate = (path: string): PlanPath => {
    if (path.startsWith('/proc/')) return { base: mounts.proc, path: path.slice('/proc/'.length) };
    if (path.startsWith('/sys/') && mounts.sys !== null) return { base: mounts.sys, path: path.slice('/sys/'.length) };
    return { path };
  };
  const masked = hostConfig.MaskedPaths ?? [...DEFAULT_MASKED_PATHS, ...host.thermalThrottlePaths];
  const readOnly = hostConfig.ReadonlyPaths ?? DEFAULT_READ_ONLY_PATHS;
  return [
    ...masked.map((path): Step => ({ op: 'mask-path', side: 'container', at: locate(path) })),
    ...readOnly.map((path): Step => ({ op: 'read-only-path', side: 'container', at: locate(path) })),
  ];
}
