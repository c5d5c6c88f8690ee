/** Messages of nfnetlink: the generation of the rule set, and connections that the kernel tracks. Pure; linux/netfilter. */
import { type NetlinkMessage, readAttributes } from '../../os/netlink-answers.ts';
import { attribute, nested, netlinkMessage, u8Attribute, u32Attribute } from './message-builder.ts';

const NLM_F_DUMP = 0x300;
const NESTED = 0x8000;
const NETFILTER_HEADER_BYTES = 4;

const NFT_MSG_GETGEN = 0x0a10;
const NFTA_GEN_ID = 1;

const IPCTNL_MSG_CT_GET = 0x0101;
const IPCTNL_MSG_CT_DELETE = 0x0102;
const CTA_TUPLE_ORIG = 1;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
/** Which fields of the tuple a list compares. */
const COMPARE_PROTOCOL = 1 << 3;
const COMPARE_PORT = 1 << 5;
const IPPROTO_UDP = 17;

/** struct nfgenmsg. */
function header(family: number): Buffer {
  return Buffer.from([family, 0, 0, 0]);
}

/** Asks for the number that every change of the rule set increases. */
export function encodeGetGeneration(): Buffer {
  return netlinkMessage(NFT_MSG_GETGEN, 0, header(0));
}

/** Throws where the answer holds none. */
export function decodeGeneration(messages: readonly NetlinkMessage[]): number {
  const attributes = messages[0] && readAttributes(messages[0].body, NETFILTER_HEADER_BYTES);
  const generation = attributes?.get(NFTA_GEN_ID);
  if (generation === undefined) throw new Error('nf_tables tells no generation');
  return generation.readUInt32BE(0);
}

/**
 * Asks for UDP connections by the address family (AF_INET or AF_INET6) and by the port that their first packet went to; null for
 * all ports.
 */
export function encodeListUdpConnections(family: number, port: number | null): Buffer {
  const portBytes = Buffer.alloc(2);
  portBytes.writeUInt16BE(port ?? 0);
  const protocol = nested(CTA_TUPLE_PROTO | NESTED, [
    u8Attribute(CTA_PROTO_NUM, IPPROTO_UDP),
    attribute(CTA_PROTO_DST_PORT, portBytes),
  ]);
  return netlinkMessage(IPCTNL_MSG_CT_GET, NLM_F_DUMP, header(family), [
    nested(CTA_TUPLE_ORIG | NESTED, [protocol]),
    nested(CTA_FILTER | NESTED, [
      u32Attribute(CTA_FILTER_ORIG_FLAGS, port === null ? COMPARE_PROTOCOL : COMPARE_PROTOCOL | COMPARE_PORT),
      u32Attribute(CTA_FILTER_REPLY_FLAGS, 0),
    ]),
  ]);
}

/** The port that the first packet of a listed connection went to. */
export function destinationPort({ body }: NetlinkMessage): number {
  const tuple = readAttributes(body, NETFILTER_HEADER_BYTES).get(CTA_TUPLE_ORIG);
  const protocol = tuple && readAttributes(tuple).get(CTA_TUPLE_PROTO);
  const port = protocol && readAttributes(protocol).get(CTA_PROTO_DST_PORT);
  if (port === undefined) throw new Error('a tracked connection without ports');
  return port.readUInt16BE(0);
}

/** Makes the kernel forget a connection of a list's answer. */
export function encodeForgetConnection({ body }: NetlinkMessage): Buffer {
  const attributes = readAttributes(body, NETFILTER_HEADER_BYTES);
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  if (tuple === undefined) throw new Error('a tracked connection without its addresses');
  const zone = attributes.get(CTA_ZONE);
  return netlinkMessage(IPCTNL_MSG_CT_DELETE, 0, header(body.readUInt8(0)), [
    attribute(CTA_TUPLE_ORIG | NESTED, tuple),
    ...(zone === undefined ? [] : [attribute(CTA_ZONE, zone)]),
  ]);
}
