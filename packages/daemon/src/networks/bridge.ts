/** The bridges of networks in the kernel: made, addressed and deleted with rtnetlink. */
import { createHash } from 'node:crypto';
import { TsdError } from '@tsd/shared/errors';
import { interfaceIndex } from '../os/interface-index.ts';
import type { NetlinkSocket } from '../os/netlink.ts';
import { requestInThread } from '../os/netlink.ts';
import { NetlinkError } from '../os/netlink-answers.ts';
import {
  decodeAddress,
  encodeDeleteAddress,
  encodeListAddresses,
  encodeNewAddress,
} from '../runtime/netlink/addresses.ts';
import {
  decodeLink,
  encodeDeleteLink,
  encodeGetLink,
  encodeLinkUp,
  encodeNewBridge,
  encodeNoLinkLocal,
  encodeSetMtu,
  type Link,
} from '../runtime/netlink/links.ts';
import type { Bridges } from './bridges.ts';
import type { NetworkRecord } from './network.ts';
import type { NetworkLog } from './network-deps.ts';
import { type NetworkSysctls, setUpForwarding } from './network-sysctls.ts';

/** Bytes, as Ethernet has it. */
export const DEFAULT_MTU_BYTES = 1500;
const LINK_SCOPE = 253;

export interface HostBridges extends Bridges {
  /** Whether the bridge that was made, or found at the start, has been deleted. Costs next to nothing. */
  isLost(network: NetworkRecord): boolean;
  /**
   * The host's number of the network's bridge, which is made again where somebody has deleted it.
   * @throws TsdError as `ensure`
   */
  index(network: NetworkRecord): number;
}

export interface BridgeDeps {
  /** In the host's network namespace. */
  readonly netlink: NetlinkSocket;
  readonly sysctls: NetworkSysctls;
  readonly log: NetworkLog;
  /** Told after a bridge that was deleted is there again: it has no ports any more. */
  readonly remade: (network: NetworkRecord) => void;
}

/**
 * The work is done when a function returns, in well under a millisecond each; only deleting, for which the kernel waits until
 * nobody uses the interface any more, happens in a thread.
 */
export function createBridges(deps: BridgeDeps): HostBridges {
  // By network: the bridge that its containers are on.
  const indices = new Map<string, number>();
  const ensure = (network: NetworkRecord): number => {
    const { id, bridgeName } = network;
    if (bridgeName === null) throw new Error(`the network ${network.name} has no bridge`);
    let made = false;
    try {
      made = findLink(deps.netlink, bridgeName) === null;
      const index = bringInLine(deps, network, bridgeName);
      const before = indices.get(id);
      indices.set(id, index);
      if (before !== undefined && before !== index) deps.remade(network);
      return index;
    } catch (error) {
      if (made) deleteAtOnce(deps.netlink, bridgeName);
      throw error instanceof TsdError ? error : refused(network.name, bridgeName, error);
    }
  };
  const find = ({ id, bridgeName }: NetworkRecord): number | null => {
    const index = interfaceIndex(bridgeName ?? '');
    return index === indices.get(id) ? index : null;
  };
  const findOwn = ({ id, bridgeName }: NetworkRecord): Link | null => {
    const link = bridgeName === null ? null : findLink(deps.netlink, bridgeName);
    return link !== null && isBridgeOf(id, link) ? link : null;
  };
  return {
    ensure: (network) => void ensure(network),
    isLost: (network) => indices.has(network.id) && find(network) === null,
    index: (network) => find(network) ?? ensure(network),
    async remove(network) {
      indices.delete(network.id);
      const link = findOwn(network);
      if (link !== null) await deleteLink({ index: link.index });
    },
    removeAtOnce(network) {
      indices.delete(network.id);
      const link = findOwn(network);
      if (link !== null) deleteAtOnce(deps.netlink, link.name);
    },
  };
}

/** Deletes an interface in a thread; one that is gone is as good. */
export async function deleteLink(link: Parameters<typeof encodeDeleteLink>[0]): Promise<void> {
  try {
    await requestInThread(encodeDeleteLink(link));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Whether the interface that a request names is not there (any more). */
export function isGone(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === 'ENODEV';
}

export function findLink(netlink: NetlinkSocket, name: string): Link | null {
  try {
    const [answer] = netlink.request(encodeGetLink({ name }));
    return answer === undefined ? null : decodeLink(answer.body);
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function bringInLine({ netlink, sysctls, log }: BridgeDeps, network: NetworkRecord, name: string): number {
  const mtu = network.mtu ?? DEFAULT_MTU_BYTES;
  if (findLink(netlink, name) === null) netlink.request(encodeNewBridge({ name, mac: bridgeMac(network.id), mtu }));
  const link = findLink(netlink, name);
  if (link === null || !isBridgeOf(network.id, link)) {
    throw new TsdError(
      'conflict',
      `network ${network.name}: the host has an interface ${name} that is not this network's: ` +
        'give the bridge another name (-o com.docker.network.bridge.name=…, --bridge-name for the default network)',
    );
  }
  const { index } = link;
  if (link.mtu !== mtu) netlink.request(encodeSetMtu({ index }, mtu));
  const hasIpv6 = network.subnets.some(({ family }) => family === 6);
  sysctls.routeLoopback(name);
  if (sysctls.hasIpv6) sysctls.ignoreRouters(name);
  if (sysctls.hasIpv6 && !hasIpv6) netlink.request(encodeNoLinkLocal({ index }));
  setAddresses(netlink, index, network);
  if (!link.up) netlink.request(encodeLinkUp({ index }));
  if (!network.internal) setUpForwarding(sysctls, { ipv6: hasIpv6 }, log);
  return index;
}

/** Adds the gateways and takes away what else is there, but link-local addresses. */
function setAddresses(netlink: NetlinkSocket, index: number, { subnets }: NetworkRecord): void {
  const wanted = new Set(subnets.map(({ gateway, subnet }) => `${gateway}${subnet.slice(subnet.lastIndexOf('/'))}`));
  const present = netlink.request(encodeListAddresses(index)).map(({ body }) => decodeAddress(body));
  for (const { address, scope } of present) {
    if (!wanted.delete(address) && scope !== LINK_SCOPE) netlink.request(encodeDeleteAddress({ index, address }));
  }
  for (const address of wanted) netlink.request(encodeNewAddress({ index, address }));
}

/** Not one that somebody else has made, like docker0: it would lose its addresses, and be deleted with the network. */
function isBridgeOf(networkId: string, link: Link): boolean {
  return link.kind === 'bridge' && link.mac === bridgeMac(networkId);
}

/**
 * A locally administered address that the network's bridge has whenever it is made anew: neighbours need not learn it again,
 * and it tells whose bridge it is.
 */
function bridgeMac(networkId: string): string {
  const hash = createHash('sha256').update(`tsd bridge ${networkId}`).digest();
  return ['02', ...[...hash.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

function deleteAtOnce(netlink: NetlinkSocket, name: string): void {
  try {
    netlink.request(encodeDeleteLink({ name }));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function refused(network: string, bridge: string, error: unknown): TsdError {
  const reason = error instanceof Error ? error.message : String(error);
  const remedy =
    error instanceof NetlinkError && (error.code === 'EOPNOTSUPP' || error.code === 'EPERM')
      ? ': the daemon needs CAP_NET_ADMIN and a kernel with bridges and veth (modprobe bridge veth); --network host and none work without'
      : '';
  return new TsdError('unavailable', `network ${network}: the bridge ${bridge} could not be made: ${reason}${remedy}`, {
    cause: error,
  });
}
