/** Interfaces of containers that run already. A launch makes those of its own container (runtime/plan-network.ts). */
import { closeSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { type NetlinkSocket, openNetlink } from '../os/netlink.ts';
import { inNetworkNamespace, networkNamespaceOf, openNetworkNamespace } from '../os/network-namespace.ts';
import type { PlannedInterface } from '../runtime/launch-input.ts';
import { interfaceMessages, portMessages } from '../runtime/netlink/interface-messages.ts';
import { decodeLink, encodeDeleteLink, encodeListLinks, type Link } from '../runtime/netlink/links.ts';
import { decodeRoute, encodeDefaultRoute, encodeDeleteRoute, encodeListRoutes } from '../runtime/netlink/routes.ts';
import { deleteLink, findLink, isGone } from './bridge.ts';
import type { NetworkSysctls } from './network-sysctls.ts';

/** A default route inside a container. */
export interface Gateway {
  /** `eth0`, … */
  readonly interface: string;
  /** Of either family. */
  readonly address: string;
}

export interface HostEnd {
  /** The bridge that it is a port of; null once somebody has deleted that. */
  readonly bridgeIndex: number | null;
}

export interface ContainerInterfaces {
  /**
   * Adds the interface to the network of the process `pid`, up, with its addresses; default routes are `setGateways`' to set.
   * @throws TsdError where the kernel refuses, or the process is gone; nothing is left of it
   */
  add(pid: number, planned: PlannedInterface): void;
  /**
   * Makes the host's end of a pair that is there a port of the bridge, after that was deleted and made again. What the container
   * has stays as it is.
   * @throws NetlinkError where the kernel refuses
   */
  plug(planned: PlannedInterface): void;
  /** Removes the pair by the name of the host's end; one that is gone is as good. In a thread. */
  remove(hostName: string): Promise<void>;
  /** Replaces the default routes by these: at most one of each family. @throws TsdError as `add` */
  setGateways(pid: number, gateways: readonly Gateway[]): void;
  /** The host's end of a pair; null where the pair is gone. */
  find(hostName: string): HostEnd | null;
  /** A text that is the same for processes with the same network; null where the process is gone. */
  networkOf(pid: number): string | null;
}

/** @param netlink a socket in the host's network namespace. */
export function createContainerInterfaces({
  netlink,
  sysctls,
}: {
  readonly netlink: NetlinkSocket;
  readonly sysctls: NetworkSysctls;
}): ContainerInterfaces {
  return {
    add(pid, planned) {
      inNetworkOf(pid, `the interface ${planned.name} could not be added`, (container, namespace) => {
        const index = Math.max(...listLinks(container).map((link) => link.index)) + 1;
        const options = { index, namespaceDescriptor: namespace, ipv6: sysctls.hasIpv6 };
        const messages = interfaceMessages({ ...planned, gateways: [] }, options);
        netlink.request(messages.newPair);
        try {
          for (const message of [...messages.host, ...messages.neighbours]) netlink.request(message);
          if (sysctls.hasIpv6) inNetworkNamespace(namespace, () => sysctls.ignoreRouters(planned.name));
          for (const message of messages.container) container.request(message);
        } catch (error) {
          removeAtOnce(netlink, planned.hostName);
          throw error;
        }
      });
    },
    plug(planned) {
      const { host, neighbours } = portMessages(planned, { ipv6: sysctls.hasIpv6 });
      for (const message of [...host, ...neighbours]) netlink.request(message);
    },
    remove: (hostName) => deleteLink({ name: hostName }),
    setGateways(pid, gateways) {
      inNetworkOf(pid, 'the default route could not be changed', (container) => {
        const links = new Map(listLinks(container).map((link) => [link.name, link.index]));
        const wanted = gateways.map(({ interface: name, address }) => {
          const index = links.get(name);
          if (index === undefined) throw new Error(`there is no interface ${name}`);
          return { index, gateway: address, destination: address.includes(':') ? '::/0' : '0.0.0.0/0' };
        });
        const present = container
          .request(encodeListRoutes())
          .map(({ body }) => decodeRoute(body))
          .filter((route) => route?.destination === '::/0' || route?.destination === '0.0.0.0/0')
          .filter((route) => route !== null);
        for (const route of present) {
          const kept = wanted.some((one) => one.gateway === route.gateway && one.index === route.index);
          if (!kept) container.request(encodeDeleteRoute(route));
        }
        for (const { gateway, index } of wanted) container.request(encodeDefaultRoute(gateway, index));
      });
    },
    find(hostName) {
      const link = findLink(netlink, hostName);
      return link === null ? null : { bridgeIndex: link.masterIndex };
    },
    networkOf: networkNamespaceOf,
  };
}

/** Calls `work` with a socket inside the network of a process; the thread is back where it was when `work` begins. */
function inNetworkOf(
  pid: number,
  failure: string,
  work: (container: NetlinkSocket, namespaceDescriptor: number) => void,
): void {
  let namespace: number;
  try {
    namespace = openNetworkNamespace(pid);
  } catch (error) {
    throw new TsdError('conflict', `${failure}: the container is not running`, { cause: error });
  }
  try {
    const container = inNetworkNamespace(namespace, openNetlink);
    try {
      work(container, namespace);
    } finally {
      container.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TsdError('internal', `${failure}: ${reason}`, { cause: error });
  } finally {
    closeSync(namespace);
  }
}

function listLinks(container: NetlinkSocket): readonly Link[] {
  return container.request(encodeListLinks()).map(({ body }) => decodeLink(body));
}

/** What a failed `add` has made. */
function removeAtOnce(netlink: NetlinkSocket, hostName: string): void {
  try {
    netlink.request(encodeDeleteLink({ name: hostName }));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}
