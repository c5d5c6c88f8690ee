/** Brings the host's bridges together with the records, at the daemon's start. */
import type { NetworkDeps } from './network-deps.ts';
import { finishRemoval } from './remove-network.ts';
import { answerNames } from './set-up-network.ts';

/**
 * Finishes removals that an earlier daemon began, makes the bridges that are missing (a reboot takes all of them) and lets the
 * name server answer on each. A network that the host refuses does not keep the daemon from starting: its containers'
 * starts say what is wrong. The firewall is laid down as a whole before (`Firewall.restore`).
 */
export async function reconcileNetworks(
  deps: Pick<NetworkDeps, 'store' | 'bridges' | 'firewall' | 'forwarding' | 'names' | 'log'>,
): Promise<void> {
  for (const network of deps.store.removing()) {
    try {
      await finishRemoval(deps, network);
    } catch (error) {
      deps.log.error(
        { err: error, network: network.name },
        'a network is still not removed; the next start tries again',
      );
    }
  }
  for (const network of deps.store.list()) {
    if (network.driver !== 'bridge') continue;
    try {
      await deps.forwarding.prepare(network);
      deps.bridges.ensure(network);
      await answerNames(deps, network);
    } catch (error) {
      deps.log.error({ err: error, network: network.name }, 'a network could not be brought up');
    }
  }
}
