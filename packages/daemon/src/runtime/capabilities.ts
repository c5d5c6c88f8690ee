/** Capability names and numbers, capabilities(7), and Docker's arithmetic on them. */
import { TsdError } from '@tsd/shared/errors';

/** Names by number, include/uapi/linux/capability.h. */
export const CAPABILITY_NAMES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

export type CapabilityName = (typeof CAPABILITY_NAMES)[number];

/** What a container has where nothing else is asked for: Podman's list, which is Docker's without AUDIT_WRITE, MKNOD and
 * NET_RAW. */
export const DEFAULT_CAPABILITIES: readonly CapabilityName[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/** The capability's number. */
export function capabilityNumber(name: CapabilityName): number {
  return CAPABILITY_NAMES.indexOf(name);
}

/** Names for the numbers of a set; numbers newer than this table are left out. */
export function capabilityNames(numbers: readonly number[]): CapabilityName[] {
  return numbers.flatMap((number) => CAPABILITY_NAMES[number] ?? []);
}

/** `net_admin`, `CAP_NET_ADMIN` or `ALL`, as Docker normalises them. */
function normalise(field: 'CapAdd' | 'CapDrop', text: string): CapabilityName | 'ALL' {
  const upper = text.toUpperCase();
  if (upper === 'ALL') return 'ALL';
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  const name = CAPABILITY_NAMES.find((known) => known === full);
  if (name === undefined) throw new TsdError('bad_parameter', `invalid ${field}: unknown capability: "${full}"`);
  return name;
}

/**
 * The container's capabilities (moby oci/caps, TweakCapabilities). `available` is what the process can have: every
 * capability in a user namespace of its own, the daemon's bounding set otherwise.
 * @throws TsdError for a name that does not exist, or an addition that this host cannot give.
 */
export function containerCapabilities(options: {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly privileged: boolean;
  readonly available: readonly CapabilityName[];
}): CapabilityName[] {
  const { available } = options;
  const add = options.add.map((text) => normalise('CapAdd', text));
  const drop = options.drop.map((text) => normalise('CapDrop', text));
  if (options.privileged) return [...available];
  if (add.includes('ALL')) return available.filter((name) => !drop.includes(name));
  const named = add.filter((name) => name !== 'ALL');
  const missing = named.find((name) => !available.includes(name));
  if (missing !== undefined) {
    throw new TsdError(
      'bad_parameter',
      `invalid CapAdd: capability not supported by your kernel or not available in the current environment: "${missing}"`,
    );
  }
  const kept = drop.includes('ALL')
    ? []
    : DEFAULT_CAPABILITIES.filter((name) => !drop.includes(name) && available.includes(name));
  return [...new Set([...kept, ...named])];
}
