/**
 * A host that did not forward packets before is to be no router afterwards: what is new between interfaces that are no bridges
 * is dropped there. (Docker sets the FORWARD chain's policy to DROP in this case.)
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressFamily, NetworkRecord } from './network.ts';
import type { NetworkLog } from './network-deps.ts';
import { FORWARDING, forwardingToSwitchOn, type NetworkSysctls } from './network-sysctls.ts';

export interface ForwardingGuard {
  /** The families that are guarded: those that a daemon has switched on since the host booted. */
  families(): readonly AddressFamily[];
  /** Call it before the network's bridge is made, which switches forwarding on where it is off. */
  prepare(network: NetworkRecord): Promise<void>;
  /**
   * Call it when the daemon's bridges are gone: what was switched on is switched off again, unless there are bridges of others,
   * which may need it by now. Nothing else was forwarded.
   */
  release(): Promise<void>;
}

export interface ForwardingGuardOptions {
  readonly sysctls: Pick<NetworkSysctls, 'read' | 'write'>;
  /** Remembers what was switched on, for as long as this boot lasts. */
  readonly file: string;
  readonly hasBridges: () => boolean;
  /** Tells boots apart. */
  readonly bootId: string;
  /** Nothing is to be dropped (`--ip-forward-no-drop`). */
  readonly isOff: boolean;
  readonly log: NetworkLog;
}

/** `guard` puts the rules down: Firewall.guardForwarding. */
export function createForwardingGuard(
  { sysctls, file, hasBridges, bootId, isOff, log }: ForwardingGuardOptions,
  guard: (families: readonly AddressFamily[]) => Promise<void>,
): ForwardingGuard {
  let families: readonly AddressFamily[] = isOff ? [] : recall(file, bootId);
  return {
    families: () => families,
    async prepare(network) {
      if (isOff || network.internal) return;
      const ipv6 = network.subnets.some(({ family }) => family === 6);
      const added = forwardingToSwitchOn(sysctls, { ipv6 }).filter((family) => !families.includes(family));
      if (added.length === 0) return;
      const guarded = [...families, ...added];
      // Written before anything is switched on: a daemon that is killed in between leaves no open router.
      writeFileSync(`${file}.new`, `${JSON.stringify({ bootId, families: guarded })}\n`);
      renameSync(`${file}.new`, file);
      families = guarded;
      await guard(guarded);
      log.warn(
        { families: added },
        'the host forwarded no packets: from now on it does for containers, and new connections between its other interfaces are dropped. Switch forwarding on yourself (sysctl.d), or start tsd with --ip-forward-no-drop, where the host is to be a router',
      );
    },
    async release() {
      if (families.length === 0 || hasBridges()) return;
      for (const family of families) sysctls.write(FORWARDING[family], '0');
      rmSync(file);
      log.info({ families }, 'the host forwards no packets any more: no container needs it');
      families = [];
      await guard([]);
    },
  };
}

function recall(file: string, bootId: string): readonly AddressFamily[] {
  if (!existsSync(file)) return [];
  const remembered = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly bootId: string;
    readonly families: readonly AddressFamily[];
  };
  return remembered.bootId === bootId ? remembered.families : [];
}
