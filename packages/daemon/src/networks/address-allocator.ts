/** Which address an endpoint gets. What is taken is asked of the database, so no second list can contradict it. */
import { TsdError } from '@tsd/shared/errors';
import { addressBits, formatAddress, type IpAddress, lastOf, parseAddress, prefixFrom } from './ip-address.ts';
import type { NetworkSubnet } from './network.ts';

export interface AddressAllocator {
  /**
   * A free address of the subnet: neither the network's own, nor its broadcast address, nor the gateway's, nor an auxiliary
   * one. One goes round the range, so that an address that was given back is used again as late as possible: neighbours may
   * remember who had it.
   *
   * @throws TsdError `conflict` where none is free
   */
  choose(subnet: NetworkSubnet, networkName: string, isTaken: (address: string) => boolean): string;
}

export function createAddressAllocator(): AddressAllocator {
  // By subnet: the last address that was given. Lost with the daemon, which costs only the going round.
  const cursors = new Map<string, bigint>();
  return {
    choose(subnet, networkName, isTaken) {
      const { first, last, family } = usableRange(subnet);
      const reserved = new Set([subnet.gateway, ...Object.values(subnet.auxiliaryAddresses)]);
      const start = cursors.get(subnet.subnet) ?? first - 1n;
      const size = last - first + 1n;
      for (let step = 1n; step <= size; step++) {
        const value = first + ((((start - first + step) % size) + size) % size);
        const address = formatAddress({ family, value });
        if (reserved.has(address) || isTaken(address)) continue;
        cursors.set(subnet.subnet, value);
        return address;
      }
      throw new TsdError(
        'conflict',
        `no available IPv${family} addresses on this network's address pools: ${networkName} (${subnet.ipRange ?? subnet.subnet})`,
      );
    },
  };
}

/**
 * Why the address cannot be an endpoint's, or null: the network's own addresses and those outside of the subnet.
 * `address` is canonical.
 */
export function refusedAddress(subnet: NetworkSubnet, address: string): string | null {
  const parsed = parseAddress(address);
  const prefix = prefixFrom(subnet.subnet);
  if (
    parsed === null ||
    parsed.family !== subnet.family ||
    parsed.value < prefix.first ||
    parsed.value > lastOf(prefix)
  )
    return `no configured subnet contains IP address ${address}`;
  if (address === subnet.gateway || Object.values(subnet.auxiliaryAddresses).includes(address))
    return `Address already in use: ${address} is the gateway or an auxiliary address`;
  if (!isUsable(subnet, parsed))
    return `Address already in use: ${address} is the network's own or its broadcast address`;
  return null;
}

function isUsable(subnet: NetworkSubnet, { value }: IpAddress): boolean {
  const { first, last } = usableRange({ ...subnet, ipRange: null });
  return value >= first && value <= last;
}

/** The range, without the subnet's first address (the network's; IPv6: the routers' anycast) and last (IPv4: broadcast). */
function usableRange({ subnet, ipRange, family }: NetworkSubnet): { first: bigint; last: bigint; family: 4 | 6 } {
  const whole = prefixFrom(subnet);
  const range = ipRange === null ? whole : prefixFrom(ipRange);
  const first = range.first === whole.first ? range.first + 1n : range.first;
  const isBroadcast = family === 4 && lastOf(range) === lastOf(whole);
  // RFC 3021: a subnet of two addresses has neither.
  if (whole.bits >= addressBits(family) - 1) return { first: range.first, last: lastOf(range), family };
  return { first, last: isBroadcast ? lastOf(range) - 1n : lastOf(range), family };
}
