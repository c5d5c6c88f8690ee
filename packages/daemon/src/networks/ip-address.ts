/** IP addresses and prefixes as numbers, with their canonical text (RFC 4632, RFC 5952). */
import { isIPv4, isIPv6 } from 'node:net';
import type { AddressFamily } from './network.ts';

export interface IpAddress {
  readonly family: AddressFamily;
  readonly value: bigint;
}

/** A block of addresses; `first` has no bits set beyond `bits`. */
export interface IpPrefix {
  readonly family: AddressFamily;
  readonly first: bigint;
  readonly bits: number;
}

/** 32 or 128. */
export function addressBits(family: AddressFamily): number {
  return family === 4 ? 32 : 128;
}

/** null for anything but an address without a zone. */
export function parseAddress(text: string): IpAddress | null {
  if (isIPv4(text)) return { family: 4, value: ipv4Value(text) };
  if (!isIPv6(text) || text.includes('%')) return null;
  return { family: 6, value: ipv6Value(text) };
}

/** The canonical text; IPv6 as RFC 5952 has it, always in hexadecimal. */
export function formatAddress({ family, value }: IpAddress): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  const zeros = longestZeros(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (zeros === null) return hex(groups);
  return `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.end))}`;
}

/** Another way to write the same address becomes the canonical one; null for what is none. */
export function canonicalAddress(text: string): string | null {
  const address = parseAddress(text);
  return address === null ? null : formatAddress(address);
}

/** The address that the kernel gives an interface by its Ethernet address, like `02:42:ac:11:00:02` (RFC 4291 appendix A). */
export function linkLocalAddress(mac: string): string {
  const bytes = mac.split(':').map((byte) => BigInt(`0x${byte}`));
  const [first = 0n, ...rest] = [...bytes.slice(0, 3), 0xffn, 0xfen, ...bytes.slice(3)];
  const identifier = [first ^ 2n, ...rest].reduce((value, byte) => (value << 8n) | byte, 0n);
  return formatAddress({ family: 6, value: (0xfe80n << 112n) | identifier });
}

/** `172.18.0.5/16` as the address and the prefix that it lies in; null for what is no CIDR. */
export function parseCidr(text: string): { readonly address: IpAddress; readonly prefix: IpPrefix } | null {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match?.[1] === undefined ? null : parseAddress(match[1]);
  const bits = Number(match?.[2]);
  if (address === null || bits > addressBits(address.family)) return null;
  return { address, prefix: prefixOf(address, bits) };
}

/** A prefix that is known to be one, such as those in the database. Throws for anything else. */
export function prefixFrom(text: string): IpPrefix {
  const cidr = parseCidr(text);
  if (cidr === null) throw new Error(`"${text}" is no prefix`);
  return cidr.prefix;
}

/** The prefix of a length that an address lies in. */
export function prefixOf({ family, value }: IpAddress, bits: number): IpPrefix {
  const hostBits = BigInt(addressBits(family) - bits);
  return { family, first: (value >> hostBits) << hostBits, bits };
}

export function formatPrefix({ family, first, bits }: IpPrefix): string {
  return `${formatAddress({ family, value: first })}/${bits}`;
}

/** The highest address of the prefix. */
export function lastOf({ family, first, bits }: IpPrefix): bigint {
  return first + (1n << BigInt(addressBits(family) - bits)) - 1n;
}

export function containsAddress(prefix: IpPrefix, { family, value }: IpAddress): boolean {
  return family === prefix.family && value >= prefix.first && value <= lastOf(prefix);
}

/** Whether all of `inner` lies in `outer`. */
export function containsPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  return outer.bits <= inner.bits && containsAddress(outer, { family: inner.family, value: inner.first });
}

export function overlaps(a: IpPrefix, b: IpPrefix): boolean {
  return containsPrefix(a, b) || containsPrefix(b, a);
}

function ipv4Value(text: string): bigint {
  return text.split('.').reduce((value, part) => value * 256n + BigInt(part), 0n);
}

function ipv6Value(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const before = ipv6Groups(head);
  const after = ipv6Groups(tail ?? '');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0n);
  return [...before, ...zeros, ...after].reduce((value, group) => (value << 16n) + group, 0n);
}

function ipv6Groups(text: string): readonly bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)];
    const embedded = ipv4Value(group);
    return [embedded >> 16n, embedded & 0xffffn];
  });
}

/** The first of the longest runs of two or more zero groups: what `::` stands for. */
function longestZeros(groups: readonly number[]): { readonly start: number; readonly end: number } | null {
  let longest = { start: 0, end: 1 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > longest.end - longest.start) longest = { start, end: index + 1 };
  }
  return longest.end - longest.start < 2 ? null : longest;
}
