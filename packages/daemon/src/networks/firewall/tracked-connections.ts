/** Connections that the kernel tracks: those of UDP ports outlive what they were translated by. */
import { NETLINK_NETFILTER, openNetlink, requestInThread } from '../../os/netlink.ts';
import { NetlinkError } from '../../os/netlink-answers.ts';
import { destinationPort, encodeForgetConnection, encodeListUdpConnections } from '../../runtime/netlink/netfilter.ts';
import type { PublishedPortRecord } from '../network.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const ENOENT = 2;

/**
 * Forgets all connections to UDP ports of the host: the next packet of each is translated as the rules are now. (UDP has no
 * end: a client that goes on sending would reach a container that is gone, or none.) The kernel searches its whole table,
 * which can take some milliseconds, in a thread.
 */
export async function forgetUdpConnections(ports: readonly PublishedPortRecord[]): Promise<void> {
  for (const family of [AF_INET, AF_INET6]) {
    const ofFamily = ports.filter(({ hostIp }) => hostIp.includes(':') === (family === AF_INET6));
    const numbers = new Set(ofFamily.map(({ hostPort }) => hostPort));
    const [only] = numbers;
    if (only === undefined) continue;
    const list = encodeListUdpConnections(family, numbers.size === 1 ? only : null);
    const connections = await requestInThread(list, NETLINK_NETFILTER);
    forget(connections.filter((connection) => numbers.has(destinationPort(connection))));
  }
}

function forget(connections: Awaited<ReturnType<typeof requestInThread>>): void {
  if (connections.length === 0) return;
  const netlink = openNetlink(NETLINK_NETFILTER);
  try {
    for (const connection of connections) {
      try {
        netlink.request(encodeForgetConnection(connection));
      } catch (error) {
        // It ended by itself meanwhile.
        if (!(error instanceof NetlinkError && error.errno === ENOENT)) throw error;
      }
    }
  } finally {
    netlink.close();
  }
}
