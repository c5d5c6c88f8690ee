/** Messages about routes: rtnetlink(7), linux/rtnetlink.h. */
import { readAttributes } from '../../os/netlink-answers.ts';
import { ipBytes, ipText, parsePrefix } from './address-bytes.ts';
import { attribute, netlinkMessage, u32Attribute } from './message-builder.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const NLM_F_REPLACE = 0x100;
const NLM_F_DUMP = 0x300;
const NLM_F_CREATE = 0x400;
const AF_INET = 2;
const AF_INET6 = 10;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
/** The host itself, and whom it reaches at once: kept by the kernel beside the routes proper. */
const RTN_LOCAL = 2;
const RTN_MULTICAST = 5;
const ROUTE_HEADER_BYTES = 12;
/** `default` for the one or the other family. */
const ALL: readonly string[] = ['0.0.0.0/0', '::/0'];

export interface Route {
  /** CIDR; `0.0.0.0/0` and `::/0` for the default routes. */
  readonly destination: string;
  /** null: the destination is on the link. */
  readonly gateway: string | null;
  /** The interface's number. */
  readonly index: number;
}

/** Adds the route to the main table, in place of one with the same destination. */
export function encodeNewRoute(route: Route): Buffer {
  return encodeRoute(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

/** The default route through a gateway of either family. */
export function encodeDefaultRoute(gateway: string, index: number): Buffer {
  return encodeNewRoute({ destination: gateway.includes(':') ? '::/0' : '0.0.0.0/0', gateway, index });
}

export function encodeDeleteRoute(route: Route): Buffer {
  return encodeRoute(RTM_DELROUTE, 0, route);
}

/** All routes of the namespace, of both families and of all tables. */
export function encodeListRoutes(): Buffer {
  return netlinkMessage(RTM_GETROUTE, NLM_F_DUMP, Buffer.alloc(ROUTE_HEADER_BYTES));
}

/** The body of an RTM_NEWROUTE answer; null for what is no unicast route of the main table, or leads to no interface. */
export function decodeRoute(body: Buffer): Route | null {
  const attributes = readAttributes(body, ROUTE_HEADER_BYTES);
  const table = attributes.get(RTA_TABLE)?.readUInt32LE() ?? body.readUInt8(4);
  const index = attributes.get(RTA_OIF)?.readUInt32LE();
  if (table !== RT_TABLE_MAIN || body.readUInt8(7) !== RTN_UNICAST || index === undefined) return null;
  const any = Buffer.alloc(body.readUInt8(0) === AF_INET ? 4 : 16);
  const gateway = attributes.get(RTA_GATEWAY);
  return {
    destination: `${ipText(attributes.get(RTA_DST) ?? any)}/${body.readUInt8(1)}`,
    gateway: gateway === undefined ? null : ipText(gateway),
    index,
  };
}

/** Where a listed route leads to (or what it refuses), in CIDR; null for one to the host itself, for broadcast and multicast. */
export function decodeDestination(body: Buffer): string | null {
  const family = body.readUInt8(0);
  const type = body.readUInt8(7);
  if ((family !== AF_INET && family !== AF_INET6) || (type >= RTN_LOCAL && type <= RTN_MULTICAST)) return null;
  const destination =
    readAttributes(body, ROUTE_HEADER_BYTES).get(RTA_DST) ?? Buffer.alloc(family === AF_INET ? 4 : 16);
  return `${ipText(destination)}/${body.readUInt8(1)}`;
}

/** struct rtmsg: family, destination and source lengths, tos, table, protocol, scope, type, flags. */
function encodeRoute(type: number, flags: number, { destination, gateway, index }: Route): Buffer {
  const { address, prefixLength } = parsePrefix(destination);
  const header = Buffer.alloc(ROUTE_HEADER_BYTES);
  header.writeUInt8(address.length === 4 ? AF_INET : AF_INET6, 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(gateway === null && address.length === 4 ? RT_SCOPE_LINK : 0, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  const attributes = ALL.includes(destination) ? [] : [attribute(RTA_DST, address)];
  if (gateway !== null) attributes.push(attribute(RTA_GATEWAY, ipBytes(gateway)));
  attributes.push(u32Attribute(RTA_OIF, index));
  return netlinkMessage(type, flags, header, attributes);
}
