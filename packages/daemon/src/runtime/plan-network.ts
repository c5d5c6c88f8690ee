/** A container's interfaces, or the network of another container that it joins. */
import { TsdError } from '@tsd/shared/errors';
import type { LaunchContext } from './launch-context.ts';
import { type Side, type Step, slotDescriptor } from './launch-plan.ts';
import { interfaceMessages } from './netlink/interface-messages.ts';
import { encodeLinkUp } from './netlink/links.ts';

const NETLINK_ROUTE = 0;
const LOOPBACK_INDEX = 1;
/** Numbers of the container's own interfaces. Above those of the tunnels that some hosts have in every new namespace (sit0, …). */
const FIRST_INDEX = 100;

export interface PlannedNetwork {
  /** Host side, before `clone`: the process is made in the network that it joins. */
  readonly join: readonly Step[];
  /** Host side, after `clone`: the pairs. The kernel removes them with the container's namespace. */
  readonly host: readonly Step[];
  /** Container side, ahead: loopback up. */
  readonly own: readonly Step[];
  /** Container side: addresses, up, routes. */
  readonly container: readonly Step[];
}

/** @throws TsdError internal where the input contradicts the NetworkMode. */
export function planNetwork(context: LaunchContext): PlannedNetwork {
  const { networks, joinedNetworkPid, host } = context.input;
  const mode = context.input.hostConfig.NetworkMode ?? '';
  if (mode.startsWith('container:') !== (joinedNetworkPid !== undefined) || (!context.own.net && networks.length > 0)) {
    throw new TsdError('internal', `the interfaces of a launch do not fit its network mode "${mode}"`);
  }
  if (joinedNetworkPid !== undefined) {
    const slot = context.newSlot();
    const join: Step[] = [
      { op: 'open-pidfd', side: 'host', pid: joinedNetworkPid, slot },
      { op: 'join-namespaces', side: 'host', slot, namespaces: ['net'] },
    ];
    return { join, host: [], own: [], container: [] };
  }
  if (!context.own.net) return { join: [], host: [], own: [], container: [] };
  const own = [netlink('container', [encodeLinkUp({ index: LOOPBACK_INDEX })])];
  if (networks.length === 0) return { join: [], host: [], own, container: [] };

  const slot = context.newSlot();
  const interfaces = networks.map((planned, position) =>
    interfaceMessages(planned, {
      index: FIRST_INDEX + position,
      namespaceDescriptor: slotDescriptor(slot),
      ipv6: host.ipv6,
    }),
  );
  const neighbours = interfaces.flatMap((one) => one.neighbours);
  return {
    join: [],
    host: [
      { op: 'open-child-namespace', side: 'host', namespace: 'net', slot },
      netlink(
        'host',
        interfaces.flatMap((one) => [one.newPair, ...one.host]),
      ),
      ...(neighbours.length === 0 ? [] : [{ ...netlink('host', neighbours), optional: true }]),
    ],
    own,
    container: [
      netlink(
        'container',
        interfaces.flatMap((one) => one.container),
      ),
    ],
  };
}

function netlink(side: Side, messages: readonly Uint8Array[]): Step {
  return { op: 'netlink', side, protocol: NETLINK_ROUTE, messages };
}
