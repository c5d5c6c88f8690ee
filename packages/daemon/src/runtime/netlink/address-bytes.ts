/** Addresses of IP and Ethernet as the bytes that netlink messages hold. */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/** 4 or 16 bytes in network byte order. Throws for what is no address; a zone is none. */
export function ipBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address) || address.includes('%')) throw new Error(`"${address}" is no IP address`);
  const [head = '', tail] = address.split('::');
  const before = groupBytes(head);
  const after = groupBytes(tail ?? '');
  return Buffer.concat([before, Buffer.alloc(16 - before.length - after.length), after]);
}

/** The canonical text (RFC 5952) of 4 or 16 bytes. */
export function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(2 * group).toString(16));
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address;
}

/** `172.18.0.2/16` as address and prefix length; without a length the address alone is meant. Throws as above. */
export function parsePrefix(text: string): { readonly address: Buffer; readonly prefixLength: number } {
  const [addressText = '', lengthText] = text.split('/');
  const address = ipBytes(addressText);
  const prefixLength = lengthText === undefined ? address.length * 8 : Number(lengthText);
  if ((lengthText !== undefined && !/^\d{1,3}$/.test(lengthText)) || prefixLength > address.length * 8) {
    throw new Error(`"${text}" has no valid prefix length`);
  }
  return { address, prefixLength };
}

/** The six bytes of `02:42:ac:11:00:02`. */
export function macBytes(mac: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) throw new Error(`"${mac}" is no Ethernet address`);
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function macText(bytes: Buffer): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The groups of one side of `::`; the last may be an IPv4 address. */
function groupBytes(text: string): Buffer {
  if (text === '') return Buffer.alloc(0);
  const groups = text.split(':').map((group) => {
    if (group.includes('.')) return Buffer.from(group.split('.').map(Number));
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(Number.parseInt(group, 16));
    return bytes;
  });
  return Buffer.concat(groups);
}
