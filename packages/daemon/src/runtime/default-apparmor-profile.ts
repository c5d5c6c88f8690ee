/** Name of the profile that confines containers where nothing else is asked for. */
export const DEFAULT_APPARMOR_PROFILE = 'tsd-default';

/**
 * Text of the default AppArmor profile, apparmor.d(5): Docker's docker-default under our name. It allows what a
 * container needs and denies, whatever capabilities the container has, the parts of /proc and /sys through which the
 * host could be changed, mounting, and signals or traces across its border.
 */
export function defaultAppArmorProfile(): string {
  return `#include <tunables/global>

profile ${DEFAULT_APPARMOR_PROFILE} flags=(attach_disconnected,mediate_deleted) {
  #include <abstractions/base>

  network,
  capability,
  file,
  umount,

  # The supervisor and the host's administrator may signal the container; containers signal only their like.
  signal (receive) peer=unconfined,
  signal (send,receive) peer=${DEFAULT_APPARMOR_PROFILE},

  # /proc: a process writes to its own numbered directory and to sys/kernel/shm*, nowhere else.
  deny @{PROC}/* w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,

  deny mount,

  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,

  ptrace (trace,read,tracedby,readby) peer=${DEFAULT_APPARMOR_PROFILE},
}
`;
}
