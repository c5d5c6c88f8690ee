/** Messages about interfaces: rtnetlink(7), linux/if_link.h. */
import type { LinkCounters } from '../../os/link-counters.ts';
import { readAttributes, textOf } from '../../os/netlink-answers.ts';
import { macBytes, macText } from './address-bytes.ts';
import {
  attribute,
  type EncodedAttribute,
  nested,
  netlinkMessage,
  textAttribute,
  u8Attribute,
  u32Attribute,
} from './message-builder.ts';

export const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NLM_F_DUMP = 0x300;
const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const VETH_INFO_PEER = 1;
const IFLA_INET_CONF = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const IPV4_DEVCONF_ARP_NOTIFY = 22;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const INTERFACE_HEADER_BYTES = 16;
/** The counters that are read, of struct rtnl_link_stats64. */
const COUNTERS_BYTES = 64;
/** IFNAMSIZ without the NUL. */
const NAME_LIMIT_BYTES = 15;

/** Which interface: its number, or its name. */
export type LinkSelector = { readonly index: number } | { readonly name: string };

/** A new bridge, down. */
export function encodeNewBridge(bridge: {
  readonly name: string;
  /** Without one a bridge takes the lowest of its ports', which changes as they come and go. */
  readonly mac: string;
  readonly mtu: number;
}): Buffer {
  return netlinkMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, interfaceHeader(), [
    attribute(IFLA_ADDRESS, macBytes(bridge.mac)),
    u32Attribute(IFLA_MTU, bridge.mtu),
    nameAttribute(bridge.name),
    nested(IFLA_LINKINFO, [attribute(IFLA_INFO_KIND, Buffer.from('bridge'))]),
  ]);
}

/**
 * A new veth pair, both ends down: one in the network namespace of a descriptor that whoever sends the message has open, its
 * peer in the sender's. Deleting one end, or the namespace, deletes both.
 *
 * The kernel numbers the peer itself: it takes a number for it only where the other end is given one too, hence this way round.
 */
export function encodeNewVeth(pair: {
  readonly name: string;
  readonly index: number;
  readonly mac: string;
  readonly mtu: number;
  readonly namespaceDescriptor: number;
  /** In the sender's namespace. */
  readonly peerName: string;
}): Buffer {
  const mtu = u32Attribute(IFLA_MTU, pair.mtu);
  const peer = nested(VETH_INFO_PEER, [interfaceHeader(), mtu, nameAttribute(pair.peerName)]);
  return netlinkMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, interfaceHeader({ index: pair.index }), [
    attribute(IFLA_ADDRESS, macBytes(pair.mac)),
    mtu,
    u32Attribute(IFLA_NET_NS_FD, pair.namespaceDescriptor),
    nameAttribute(pair.name),
    nested(IFLA_LINKINFO, [attribute(IFLA_INFO_KIND, Buffer.from('veth')), nested(IFLA_INFO_DATA, [peer])]),
  ]);
}

/** Makes the interface a port of the bridge, and brings it up. */
export function encodeNewPort(link: LinkSelector, masterIndex: number): Buffer {
  return encodeSetLink(link, [u32Attribute(IFLA_MASTER, masterIndex)], { up: true });
}

export function encodeLinkUp(link: LinkSelector): Buffer {
  return encodeSetLink(link, [], { up: true });
}

/** Works only while the interface is down, before Linux 6.2. */
export function encodeRename(index: number, name: string): Buffer {
  return encodeSetLink({ index }, [nameAttribute(name)]);
}

export function encodeSetMtu(link: LinkSelector, mtu: number): Buffer {
  return encodeSetLink(link, [u32Attribute(IFLA_MTU, mtu)]);
}

/** No link-local address when the interface comes up, and so no IPv6 but what is added. */
export function encodeNoLinkLocal(link: LinkSelector): Buffer {
  return encodeSetLink(link, [nested(IFLA_AF_SPEC, [noLinkLocal()])]);
}

/**
 * How an interface of a container comes up: it tells the neighbours its Ethernet address (arp_notify), which may be another
 * than the one that had the IP address before; and without IPv6 it has no link-local address.
 */
export function encodeAnnounce(link: LinkSelector, { linkLocal }: { readonly linkLocal: boolean }): Buffer {
  const arpNotify = u32Attribute(IPV4_DEVCONF_ARP_NOTIFY, 1);
  const ipv4 = nested(AF_INET, [nested(IFLA_INET_CONF, [arpNotify])]);
  return encodeSetLink(link, [nested(IFLA_AF_SPEC, linkLocal ? [ipv4] : [ipv4, noLinkLocal()])]);
}

export interface PortOptions {
  /** It reaches the bridge itself, and no other isolated port. */
  readonly isolated: boolean;
  /** The bridge may send a frame back by the port that it came from. */
  readonly hairpin: boolean;
}

/** Options of an interface that is a bridge's port. */
export function encodePortOptions(link: LinkSelector, { isolated, hairpin }: PortOptions): Buffer {
  const data = nested(IFLA_INFO_SLAVE_DATA, [
    u8Attribute(IFLA_BRPORT_MODE, Number(hairpin)),
    u8Attribute(IFLA_BRPORT_ISOLATED, Number(isolated)),
  ]);
  return encodeSetLink(link, [nested(IFLA_LINKINFO, [attribute(IFLA_INFO_SLAVE_KIND, Buffer.from('bridge')), data])]);
}

export function encodeDeleteLink(link: LinkSelector): Buffer {
  return aboutLink(RTM_DELLINK, 0, link, []);
}

export function encodeGetLink(link: LinkSelector): Buffer {
  return aboutLink(RTM_GETLINK, 0, link, []);
}

/** All interfaces of the namespace. */
export function encodeListLinks(): Buffer {
  return netlinkMessage(RTM_GETLINK, NLM_F_DUMP, interfaceHeader());
}

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly mac: string | null;
  readonly mtu: number;
  /** The bridge that it is a port of; null for none. */
  readonly masterIndex: number | null;
  /** `bridge`, `veth`, …; '' for a device of the machine. */
  readonly kind: string;
  readonly counters: LinkCounters;
}

/** The body of an RTM_NEWLINK answer. */
export function decodeLink(body: Buffer): Link {
  const attributes = readAttributes(body, INTERFACE_HEADER_BYTES);
  const mac = attributes.get(IFLA_ADDRESS);
  const information = readAttributes(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  return {
    index: body.readInt32LE(4),
    name: textOf(attributes.get(IFLA_IFNAME)),
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    mac: mac?.length === 6 ? macText(mac) : null,
    mtu: attributes.get(IFLA_MTU)?.readUInt32LE() ?? 0,
    masterIndex: attributes.get(IFLA_MASTER)?.readUInt32LE() ?? null,
    kind: textOf(information.get(IFLA_INFO_KIND)),
    counters: decodeCounters(attributes.get(IFLA_STATS64) ?? Buffer.alloc(COUNTERS_BYTES)),
  };
}

/** struct rtnl_link_stats64. */
function decodeCounters(stats: Buffer): LinkCounters {
  const at = (field: number): number => Number(stats.readBigUInt64LE(8 * field));
  return {
    receivedPackets: at(0),
    sentPackets: at(1),
    receivedBytes: at(2),
    sentBytes: at(3),
    receiveErrors: at(4),
    sendErrors: at(5),
    receiveDropped: at(6),
    sendDropped: at(7),
  };
}

function encodeSetLink(link: LinkSelector, attributes: readonly EncodedAttribute[], { up = false } = {}): Buffer {
  return aboutLink(RTM_NEWLINK, 0, link, attributes, up);
}

function aboutLink(
  type: number,
  flags: number,
  link: LinkSelector,
  attributes: readonly EncodedAttribute[],
  up = false,
): Buffer {
  if ('index' in link) return netlinkMessage(type, flags, interfaceHeader({ index: link.index, up }), attributes);
  return netlinkMessage(type, flags, interfaceHeader({ up }), [nameAttribute(link.name), ...attributes]);
}

/** struct ifinfomsg: family, pad, type, index, flags, change mask. */
function interfaceHeader({ index = 0, up = false } = {}): Buffer {
  const header = Buffer.alloc(INTERFACE_HEADER_BYTES);
  header.writeInt32LE(index, 4);
  if (up) {
    header.writeUInt32LE(IFF_UP, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

function nameAttribute(name: string): EncodedAttribute {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > NAME_LIMIT_BYTES) throw new Error(`"${name}" cannot be an interface's name`);
  return textAttribute(IFLA_IFNAME, name);
}

function noLinkLocal(): EncodedAttribute {
  return nested(AF_INET6, [u8Attribute(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE)]);
}
