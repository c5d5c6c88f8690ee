/** The messages that make one interface of a container, for its launch and for a connection to a running one. Pure. */
import type { PlannedInterface } from '../launch-input.ts';
import { encodeNewAddress, encodeNewNeighbour } from './addresses.ts';
import {
  encodeAnnounce,
  encodeLinkUp,
  encodeNewPort,
  encodeNewVeth,
  encodeNoLinkLocal,
  encodePortOptions,
} from './links.ts';
import { encodeDefaultRoute } from './routes.ts';

export interface InterfaceMessages {
  /** In the host's namespace: makes the pair, down. */
  readonly newPair: Buffer;
  /** There too: the host's end becomes a port of its bridge, and up. */
  readonly host: readonly Buffer[];
  /** There too, after those, and of use only: whose address the host's neighbours' table has for the container's. */
  readonly neighbours: readonly Buffer[];
  /** In the container's namespace: addresses, up, default routes. */
  readonly container: readonly Buffer[];
}

export interface InterfaceOptions {
  /** The interface's number in the container, which nothing there has. */
  readonly index: number;
  /** The container's network namespace in the process that sends the host's messages. */
  readonly namespaceDescriptor: number;
  /** Whether the kernel has IPv6 at all. */
  readonly ipv6: boolean;
}

/** Throws for addresses, MACs and names that are none. */
export function interfaceMessages(planned: PlannedInterface, options: InterfaceOptions): InterfaceMessages {
  const { hostName, name, mac, mtu, addresses, gateways } = planned;
  const { index, namespaceDescriptor, ipv6 } = options;
  const hasIpv6 = addresses.some((address) => address.includes(':'));
  return {
    newPair: encodeNewVeth({ name, index, mac, mtu, namespaceDescriptor, peerName: hostName }),
    ...portMessages(planned, options),
    container: [
      ...addresses.map((address) => encodeNewAddress({ index, address })),
      encodeAnnounce({ index }, { linkLocal: hasIpv6 || !ipv6 }),
      encodeLinkUp({ index }),
      ...gateways.map((gateway) => encodeDefaultRoute(gateway, index)),
    ],
  };
}

/** Those of the above that make a pair's end on the host a port of the bridge. */
export function portMessages(
  { hostName, bridgeIndex, mac, addresses, isolated = false, hairpin = false }: PlannedInterface,
  { ipv6 }: Pick<InterfaceOptions, 'ipv6'>,
): Pick<InterfaceMessages, 'host' | 'neighbours'> {
  return {
    host: [
      // A port needs no address, and the kernel's work for one goes on after the start.
      ...(ipv6 ? [encodeNoLinkLocal({ name: hostName })] : []),
      encodeNewPort({ name: hostName }, bridgeIndex),
      ...(isolated || hairpin ? [encodePortOptions({ name: hostName }, { isolated, hairpin })] : []),
    ],
    neighbours: addresses.map((address) =>
      encodeNewNeighbour({ index: bridgeIndex, address: address.split('/')[0] ?? '', mac }),
    ),
  };
}
