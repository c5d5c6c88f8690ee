/** The host's settings without which containers reach nothing: sysctl(8), kernel documentation ip-sysctl.rst. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressFamily } from './network.ts';
import type { NetworkLog } from './network-deps.ts';

export interface NetworkSysctls {
  /** The kernel has IPv6. */
  readonly hasIpv6: boolean;
  /** Trimmed; null where the kernel has no such setting. */
  read(name: string): string | null;
  write(name: string, value: string): void;
  /** Names of the interfaces that have IPv6 settings. */
  ipv6Interfaces(): readonly string[];
  /** Packets for 127/8 may be routed to the bridge's containers, for ports that are published on 127.0.0.1. */
  routeLoopback(bridge: string): void;
  /** Nobody on the interface's link gives it IPv6 routes by advertising itself as a router. */
  ignoreRouters(name: string): void;
}

/** In the network namespace that /proc/sys shows: that of whoever reads it. */
export function createNetworkSysctls(directory = '/proc/sys/net'): NetworkSysctls {
  const file = (name: string): string => `${directory}/${name}`;
  return {
    hasIpv6: existsSync(file('ipv6/conf/all')),
    read: (name) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8').trim() : null),
    write: (name, value) => writeFileSync(file(name), value),
    ipv6Interfaces: () => readdirSync(file('ipv6/conf')).filter((name) => name !== 'all' && name !== 'default'),
    routeLoopback: (name) => writeFileSync(file(`ipv4/conf/${name}/route_localnet`), '1'),
    ignoreRouters: (name) => writeFileSync(file(`ipv6/conf/${name}/accept_ra`), '0'),
  };
}

/** Names of the settings. */
export const FORWARDING = { 4: 'ipv4/ip_forward', 6: 'ipv6/conf/all/forwarding' } as const;

/** The families in which the host forwards no packets yet, of those that a network needs. */
export function forwardingToSwitchOn(
  sysctls: Pick<NetworkSysctls, 'read'>,
  { ipv6 }: { readonly ipv6: boolean },
): readonly AddressFamily[] {
  return ([4, 6] as const).filter((family) => (family === 4 || ipv6) && sysctls.read(FORWARDING[family]) === '0');
}

/**
 * Lets the host forward packets, where it does not yet, and says so: from then on it routes between all of its interfaces, unless
 * its packet filter forbids it (forwarding-guard.ts). An interface that learns its IPv6 routes from routers goes on doing so,
 * which the kernel would end otherwise.
 */
export function setUpForwarding(sysctls: NetworkSysctls, needs: { readonly ipv6: boolean }, log: NetworkLog): void {
  const consequence = 'the host forwards packets now: containers need it';
  const off = forwardingToSwitchOn(sysctls, needs);
  if (off.includes(4)) {
    sysctls.write(FORWARDING[4], '1');
    log.warn({ setting: 'net.ipv4.ip_forward' }, consequence);
  }
  if (!off.includes(6)) return;
  for (const name of sysctls.ipv6Interfaces()) {
    const setting = `ipv6/conf/${name}/accept_ra`;
    if (sysctls.read(setting) !== '1') continue;
    sysctls.write(setting, '2');
    log.info(
      { setting: `net.ipv6.conf.${name}.accept_ra`, value: 2 },
      'the interface still learns routes when the host forwards',
    );
  }
  sysctls.write(FORWARDING[6], '1');
  log.warn({ setting: 'net.ipv6.conf.all.forwarding' }, consequence);
}
