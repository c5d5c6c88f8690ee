/** `--sysctl`: settings of the container's own namespaces, sysctl(8). */
import { TsdError } from '@tsd/shared/errors';
import type { LaunchContext } from './launch-context.ts';
import type { Slot, Step } from './launch-plan.ts';
import type { OwnNamespaces } from './plan-namespaces.ts';

const IPC_SYSCTLS = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/** `net/ipv4/conf/eth0.1/forwarding` and `net.ipv4.conf.eth0/1.forwarding` name the same file, sysctl(8). */
function sysctlPath(name: string): string {
  const firstSeparator = /[./]/.exec(name)?.[0];
  if (firstSeparator !== '.') return name;
  return name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

/** Refuses what is not in a namespace of the container's own (runc, libcontainer/configs/validate sysctl). */
function checkSysctl(name: string, path: string, own: OwnNamespaces): void {
  const refuse = (reason: string): TsdError => new TsdError('bad_parameter', `sysctl "${name}" ${reason}`);
  if (!/^[A-Za-z0-9_-][A-Za-z0-9_.:@-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.:@-]*)+$/.test(path))
    throw refuse('is not a valid name');
  const dotted = path.replaceAll('/', '.');
  if (IPC_SYSCTLS.has(dotted) || dotted.startsWith('fs.mqueue.')) {
    if (!own.ipc) throw refuse('is not allowed in the hosts ipc namespace');
  } else if (dotted.startsWith('net.')) {
    if (!own.net) throw refuse('not allowed in host network namespace');
  } else if (dotted === 'kernel.domainname') {
    if (!own.uts) throw refuse('is not allowed in the hosts UTS namespace');
  } else if (dotted === 'kernel.hostname') {
    throw refuse('is not allowed as it conflicts with the OCI "hostname" field');
  } else {
    throw refuse('is not in a separate kernel namespace');
  }
}

/**
 * Docker's defaults: ports below 1024 and ICMP echo sockets need no capability inside the container. And no neighbour
 * gives it IPv6 routes by advertising itself as a router.
 */
function defaultSysctls(context: LaunchContext): [string, string][] {
  if (!context.own.net) return [];
  const withIpv6 = context.input.networks.filter(({ addresses }) => addresses.some((address) => address.includes(':')));
  const lastGroup = context.own.user && context.input.idRange !== null ? context.input.idRange.size - 1 : 0x7fffffff;
  return [
    ['net.ipv4.ip_unprivileged_port_start', '0'],
    ['net.ipv4.ping_group_range', `0 ${lastGroup}`],
    ...withIpv6.map(({ name }): [string, string] => [`net/ipv6/conf/${name}/accept_ra`, '0']),
  ];
}

/** Writes beneath the container's own /proc, which must be attached and not yet read-only. @throws TsdError as above. */
export function planSysctls(context: LaunchContext, proc: Slot): Step[] {
  const asked = Object.entries(context.input.hostConfig.Sysctls ?? {});
  for (const [name] of asked) checkSysctl(name, sysctlPath(name), context.own);
  const values = new Map([...defaultSysctls(context), ...asked].map(([name, value]) => [sysctlPath(name), value]));
  const optional = new Set(defaultSysctls(context).map(([name]) => sysctlPath(name)));
  for (const [name] of asked) optional.delete(sysctlPath(name));
  return [...values].map(([path, value]): Step => {
    // The file belongs to the host's root, the system call only needs the namespace's.
    if (path === 'kernel/domainname') return { op: 'set-domainname', side: 'container', name: value };
    return {
      op: 'write-file',
      side: 'container',
      at: { base: proc, path: `sys/${path}` },
      data: value,
      ...(optional.has(path) ? { optional: true } : {}),
    };
  });
}
