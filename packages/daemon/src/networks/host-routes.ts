/** What the host reaches already: subnets for networks are chosen beside it (proc_pid_net(5)). */
import { readFileSync } from 'node:fs';
import type { IpPrefix } from './ip-address.ts';

/** Addresses that every interface has: link-local and multicast. */
const EVERYWHERE: readonly { readonly first: bigint; readonly bits: number }[] = [
  { first: 0xfe80n << 112n, bits: 10 },
  { first: 0xffn << 120n, bits: 8 },
];

/** The destinations of the host's routes, without default routes. Read anew each time: routes come and go. */
export function readHostRoutes(read: (path: string) => string = readIfThere): readonly IpPrefix[] {
  return [...parseRoutes(read('/proc/net/route')), ...parseIpv6Routes(read('/proc/net/ipv6_route'))];
}

/** /proc/net/route: destination and mask in the host's byte order, which is little-endian wherever tsd runs. */
export function parseRoutes(text: string): readonly IpPrefix[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .flatMap(([, destination = '', , , , , , mask = '']) => {
      const bits = reversedBytes(mask).toString(2).replaceAll('0', '').length;
      return bits === 0 ? [] : [{ family: 4 as const, first: BigInt(reversedBytes(destination)), bits }];
    });
}

/** /proc/net/ipv6_route: destination and prefix length in hexadecimal, in network byte order. */
export function parseIpv6Routes(text: string): readonly IpPrefix[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([0-9a-f]{32}) ([0-9a-f]{2}) /.exec(line);
    if (match === null) return [];
    const first = BigInt(`0x${match[1]}`);
    const bits = Number.parseInt(match[2] ?? '', 16);
    const isEverywhere = EVERYWHERE.some(
      (block) => bits >= block.bits && first >> BigInt(128 - block.bits) === block.first >> BigInt(128 - block.bits),
    );
    return bits === 0 || isEverywhere ? [] : [{ family: 6 as const, first, bits }];
  });
}

function reversedBytes(hex: string): number {
  return Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE(0);
}

/** A host without IPv6 has no table of it. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
