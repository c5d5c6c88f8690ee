/** Which subnet a network gets that names none (`--default-address-pool`; libnetwork's ipamutils has Docker's pools). */
import { createHash } from 'node:crypto';
import { TsdError } from '@tsd/shared/errors';
import { addressBits, formatPrefix, type IpPrefix, lastOf, parseCidr, prefixFrom } from './ip-address.ts';
import type { AddressFamily } from './network.ts';

/** A block that subnets of one size are cut from. */
export interface AddressPool {
  readonly base: IpPrefix;
  /** Prefix length of the subnets. */
  readonly size: number;
}

const DOCKER_POOLS: readonly (readonly [base: string, size: number])[] = [
  ['172.17.0.0/16', 16],
  ['172.18.0.0/16', 16],
  ['172.19.0.0/16', 16],
  ['172.20.0.0/14', 16],
  ['172.24.0.0/14', 16],
  ['172.28.0.0/14', 16],
  ['192.168.0.0/16', 20],
];

/** Docker's pools; for IPv6 a unique local prefix (RFC 4193) that is the engine's own, told apart by `engineId`. */
export function defaultAddressPools(engineId: string): readonly AddressPool[] {
  const global = createHash('sha256').update(`tsd addresses ${engineId}`).digest().readUIntBE(0, 5);
  const first = (0xfdn << 120n) + (BigInt(global) << 80n);
  return [
    ...DOCKER_POOLS.map(([base, size]) => ({ base: prefixFrom(base), size })),
    { base: { family: 6, first, bits: 48 }, size: 64 },
  ];
}

/** `base=10.10.0.0/16,size=24`. Throws bad_parameter naming the setting. */
export function parseAddressPool(text: string): AddressPool {
  const fields = new Map(
    text.split(',').map((field) => {
      const [key = '', value = ''] = field.split('=', 2);
      return [key.trim(), value.trim()];
    }),
  );
  const base = parseCidr(fields.get('base') ?? '');
  const size = Number(fields.get('size') ?? Number.NaN);
  const wrong = (reason: string) =>
    new TsdError('bad_parameter', `default-address-pool: invalid pool "${text}": ${reason}`);
  if (base === null || fields.size !== 2) throw wrong('write base=CIDR,size=BITS');
  // A network of the pool needs room for its gateway and a container.
  const largest = addressBits(base.prefix.family) - 2;
  if (!Number.isInteger(size) || size < base.prefix.bits || size > largest)
    throw wrong(`the size is from ${base.prefix.bits} to ${largest}`);
  return { base: base.prefix, size };
}

/**
 * The first subnet of the pools that nothing of `taken` overlaps.
 *
 * @throws TsdError `conflict`, with Docker's text, where there is none
 */
export function chooseSubnet(
  pools: readonly AddressPool[],
  family: AddressFamily,
  taken: readonly IpPrefix[],
): IpPrefix {
  const blocks = taken
    .filter((prefix) => prefix.family === family)
    .map((prefix) => ({ first: prefix.first, last: lastOf(prefix) }))
    .sort((a, b) => (a.first < b.first ? -1 : 1));
  for (const { base, size } of pools) {
    if (base.family !== family) continue;
    const hostBits = BigInt(addressBits(family) - size);
    let first = base.first;
    for (const block of blocks) {
      if (block.last < first) continue;
      if (block.first > first + (1n << hostBits) - 1n) break;
      first = ((block.last >> hostBits) + 1n) << hostBits;
    }
    const subnet: IpPrefix = { family, first, bits: size };
    if (lastOf(subnet) <= lastOf(base)) return subnet;
  }
  const all = pools.filter(({ base }) => base.family === family).map(({ base }) => formatPrefix(base));
  throw new TsdError(
    'conflict',
    `all predefined address pools have been fully subnetted (${all.join(', ') || `none for IPv${family}`}): ` +
      'give the network a --subnet, or the daemon a --default-address-pool',
  );
}
