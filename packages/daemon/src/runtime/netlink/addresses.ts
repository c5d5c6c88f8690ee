/** Messages about the addresses of interfaces and of their neighbours: rtnetlink(7), linux/if_addr.h, linux/neighbour.h. */
import { readAttributes } from '../../os/netlink-answers.ts';
import { ipBytes, ipText, macBytes, macText, parsePrefix } from './address-bytes.ts';
import { attribute, netlinkMessage } from './message-builder.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWNEIGH = 28;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;
const NLM_F_DUMP = 0x300;
const AF_INET = 2;
const AF_INET6 = 10;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_F_NODAD = 2;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_STALE = 4;
const ADDRESS_HEADER_BYTES = 8;
const NEIGHBOUR_HEADER_BYTES = 12;

/**
 * Adds `172.18.0.2/16` or `fd00::2/64`, with IPv4's broadcast address; one that is there already stays. An IPv6 address is
 * usable at once: nobody is asked whether it is taken.
 */
export function encodeNewAddress(address: InterfaceAddress): Buffer {
  return encodeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
}

export function encodeDeleteAddress(address: InterfaceAddress): Buffer {
  return encodeAddress(RTM_DELADDR, 0, address);
}

/** All addresses of one interface, or of all in the namespace. */
export function encodeListAddresses(index = 0): Buffer {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES);
  header.writeUInt32LE(index, 4);
  return netlinkMessage(RTM_GETADDR, NLM_F_DUMP, header);
}

export interface InterfaceAddress {
  /** The interface's number. */
  readonly index: number;
  /** With its prefix length. */
  readonly address: string;
}

/** The body of an RTM_NEWADDR answer. */
export function decodeAddress(body: Buffer): InterfaceAddress & { readonly scope: number } {
  const attributes = readAttributes(body, ADDRESS_HEADER_BYTES);
  // On a point-to-point link IFA_ADDRESS is the other end's.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? Buffer.alloc(4);
  return {
    index: body.readUInt32LE(4),
    address: `${ipText(bytes)}/${body.readUInt8(1)}`,
    scope: body.readUInt8(3),
  };
}

/**
 * What the sender's side knows of a neighbour: the Ethernet address is used at once, and made sure of later (NUD_STALE).
 * Replaces what was remembered of an earlier owner of the address.
 */
export function encodeNewNeighbour(neighbour: Neighbour): Buffer {
  const destination = ipBytes(neighbour.address);
  const header = Buffer.alloc(NEIGHBOUR_HEADER_BYTES);
  header.writeUInt8(destination.length === 4 ? AF_INET : AF_INET6, 0);
  header.writeInt32LE(neighbour.index, 4);
  header.writeUInt16LE(NUD_STALE, 8);
  return netlinkMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header, [
    attribute(NDA_DST, destination),
    attribute(NDA_LLADDR, macBytes(neighbour.mac)),
  ]);
}

export interface Neighbour {
  /** The interface's number. */
  readonly index: number;
  readonly address: string;
  readonly mac: string;
}

/** The body of an RTM_NEWNEIGH answer; null for a neighbour that did not answer yet. */
export function decodeNeighbour(body: Buffer): Neighbour | null {
  const attributes = readAttributes(body, NEIGHBOUR_HEADER_BYTES);
  const address = attributes.get(NDA_DST);
  const mac = attributes.get(NDA_LLADDR);
  if (address === undefined || mac?.length !== 6) return null;
  return { index: body.readInt32LE(4), address: ipText(address), mac: macText(mac) };
}

/** struct ifaddrmsg: family, prefix length, flags, scope, index. */
function encodeAddress(type: number, flags: number, { index, address: text }: InterfaceAddress): Buffer {
  const { address, prefixLength } = parsePrefix(text);
  const isV4 = address.length === 4;
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES);
  header.writeUInt8(isV4 ? AF_INET : AF_INET6, 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt8(isV4 ? 0 : IFA_F_NODAD, 2);
  header.writeUInt32LE(index, 4);
  const attributes = [attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)];
  // Networks of two addresses and of one have no broadcast address (RFC 3021).
  if (isV4 && prefixLength < 31 && type === RTM_NEWADDR) {
    attributes.push(attribute(IFA_BROADCAST, broadcast(address, prefixLength)));
  }
  return netlinkMessage(type, flags, header, attributes);
}

function broadcast(address: Buffer, prefixLength: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((address.readUInt32BE() | (0xffff_ffff >>> prefixLength)) >>> 0);
  return bytes;
}
