/** The messages that make one interface of a container, for its launch and for a connection to a running one. Pure. */
import type { PlannedInterface } from '../launch-input.ts';
import { encodeNewAddress, encodeNewNeighbour } from './addresses.ts';
import { encodeAnnounce, encodeIsolatePort, encodeLinkUp, encodeNewVeth, encodeNoLinkLocal } from './links.ts';
import { encodeDefaultRoute } from './routes.ts';

const FIRST_HOST_INDEX = 0x1000_0000;

export interface InterfaceMessages {
  /** In the host's namespace: makes the pair, down, with the host's end on its bridge. */
  readonly newPair: Buffer;
  /** There too: the host's end, up. */
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

/** Above the numbers that the kernel chooses, and as random as the name: `tsdv` and hexadecimal digits. */
function hostIndex(hostName: string): number {
  return FIRST_HOST_INDEX + Number.parseInt(hostName.slice(-7), 16);
}

/** Throws for addresses, MACs and names that are none. */
export function interfaceMessages(planned: PlannedInterface, options: InterfaceOptions): InterfaceMessages {
  const { hostName, bridgeIndex, name, mac, mtu, addresses, gateways } = planned;
  const { index, namespaceDescriptor, ipv6 } = options;
  const hasIpv6 = addresses.some((address) => address.includes(':'));
  const peer = { name, index, mac, namespaceDescriptor };
  return {
    newPair: encodeNewVeth({ hostName, hostIndex: hostIndex(hostName), masterIndex: bridgeIndex, mtu, peer }),
    host: [
      // A port needs no address, and the kernel's work for one goes on after the start.
      ...(ipv6 ? [encodeNoLinkLocal({ name: hostName })] : []),
      ...(planned.isolated === true ? [encodeIsolatePort({ name: hostName })] : []),
      encodeLinkUp({ name: hostName }),
    ],
    neighbours: addresses.map((address) =>
      encodeNewNeighbour({ index: bridgeIndex, address: address.split('/')[0] ?? '', mac }),
    ),
    container: [
      ...addresses.map((address) => encodeNewAddress({ index, address })),
      encodeAnnounce({ index }, { linkLocal: hasIpv6 || !ipv6 }),
      encodeLinkUp({ index }),
      ...gateways.map((gateway) => encodeDefaultRoute(gateway, index)),
    ],
  };
}
