/** Answers that the daemon knows itself: names and addresses of the containers in sight. */
import { formatAddress, parseAddress } from '../ip-address.ts';
import { CLASS_IN, type DnsQuery, encodeReply, TYPE } from './dns-message.ts';
import type { NameScope } from './name-directory.ts';

/** Containers come and go: whoever keeps answers should ask again soon. */
const LOCAL_TTL_SECONDS = 5;
const ENCODABLE_NAME = /^(?:[\w-]{1,63}\.)*[\w-]{1,63}$/;

/**
 * The answer to a query for what a container in sight has, null for any other query. A name of several containers has its
 * addresses in another order each time. Where not all fit, some are sent, marked as truncated: enough to go on with.
 */
export function localAnswer(query: DnsQuery, scope: NameScope, maxBytes: number): Buffer | null {
  if (query.class !== CLASS_IN) return null;
  if (query.type === TYPE.ptr) {
    const address = reverseAddress(query.name);
    const name = address === null ? null : scope.nameOf(address);
    if (name === null || !ENCODABLE_NAME.test(name) || name.length > 253) return null;
    return encodeReply(query, [record(TYPE.ptr, encodeName(name))], maxBytes);
  }
  const addresses = scope.addresses(query.name);
  if (addresses === null) return null;
  // Other types of a name that is there are empty: "no such name" would be believed for all types.
  const records = rotated(addresses).flatMap((address) => {
    const type = address.includes(':') ? TYPE.aaaa : TYPE.a;
    return query.type === type || query.type === TYPE.any ? [record(type, encodeAddress(address))] : [];
  });
  return encodeReply(query, records, maxBytes);
}

/** The address that a name beneath in-addr.arpa or ip6.arpa stands for (RFC 1035 section 3.5, RFC 3596 section 2.5). */
export function reverseAddress(name: string): string | null {
  const ipv4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1];
  if (ipv4 !== undefined) return ipv4.split('.').slice(0, 4).reverse().join('.');
  const ipv6 = /^((?:[\da-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (ipv6 === undefined) return null;
  return formatAddress({ family: 6, value: BigInt(`0x${ipv6.split('.').reverse().join('')}`) });
}

/** A record of the name that was asked for. */
function record(type: number, data: Buffer): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(0xc00c, 0);
  bytes.writeUInt16BE(type, 2);
  bytes.writeUInt16BE(CLASS_IN, 4);
  bytes.writeUInt32BE(LOCAL_TTL_SECONDS, 6);
  bytes.writeUInt16BE(data.length, 10);
  return Buffer.concat([bytes, data]);
}

function encodeAddress(text: string): Buffer {
  const address = parseAddress(text);
  if (address === null) throw new Error(`"${text}" is no address`);
  return Buffer.from(address.value.toString(16).padStart(address.family === 4 ? 8 : 32, '0'), 'hex');
}

function encodeName(name: string): Buffer {
  return Buffer.from(
    `${name
      .split('.')
      .map((label) => String.fromCharCode(label.length) + label)
      .join('')}\0`,
    'latin1',
  );
}

function rotated(addresses: readonly string[]): readonly string[] {
  const start = Math.floor(Math.random() * addresses.length);
  return [...addresses.slice(start), ...addresses.slice(0, start)];
}
