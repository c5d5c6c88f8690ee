/** Everything outside of the database that belongs to a network: its bridge, its rules and its name server. */

import type { NetworkRecord } from './network.ts';
import type { NetworkDeps } from './network-deps.ts';

export type SetUpDeps = Pick<NetworkDeps, 'bridges' | 'firewall' | 'forwarding' | 'names'>;

/**
 * Makes what is missing; repeatable. The rules come first: nothing passes a bridge before it is isolated.
 *
 * @throws TsdError where the host refuses; what was made until then is left to `tearDownNetwork`
 */
export async function setUpNetwork(deps: SetUpDeps, network: NetworkRecord): Promise<void> {
  if (network.driver !== 'bridge') return;
  await deps.firewall.setNetwork(network);
  await deps.forwarding.prepare(network);
  deps.bridges.ensure(network);
  await answerNames(deps, network);
}

/** Lets the name server answer what is asked at port 53 of the network's bridge, which has its addresses. Repeatable. */
export async function answerNames(
  { firewall, names }: Pick<SetUpDeps, 'firewall' | 'names'>,
  { id, subnets }: NetworkRecord,
): Promise<void> {
  for (const { gateway } of subnets) {
    const { port } = await names.listen(id, gateway);
    await firewall.redirectNames(id, gateway, port);
  }
}

/** Removes what is there, in reverse; repeatable. */
export async function tearDownNetwork(
  deps: Pick<SetUpDeps, 'bridges' | 'firewall' | 'names'>,
  network: NetworkRecord,
): Promise<void> {
  if (network.driver !== 'bridge') return;
  await deps.names.stop(network.id);
  await deps.bridges.remove(network);
  await deps.firewall.removeNetwork(network.id);
}
