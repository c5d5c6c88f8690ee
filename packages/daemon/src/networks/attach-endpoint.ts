/** What an endpoint gets at its container's start. */
import { randomBytes } from 'node:crypto';
import { TsdError } from '@tsd/shared/errors';
import { type AddressAllocator, refusedAddress } from './address-allocator.ts';
import type { EndpointRows } from './endpoint-rows.ts';
import { parseAddress } from './ip-address.ts';
import { type AddressFamily, type Attachment, type EndpointRecord, type NetworkRecord, subnetOf } from './network.ts';

export interface AttachRequest {
  readonly endpoint: EndpointRecord;
  readonly network: NetworkRecord;
  readonly rows: EndpointRows;
  readonly allocator: AddressAllocator;
}

/**
 * Chooses everything; the caller writes it within the same transaction.
 *
 * @throws TsdError `conflict` where an address is in use or none is free
 */
export function attachEndpoint(request: AttachRequest): Attachment {
  const id = randomBytes(32).toString('hex');
  if (request.network.driver !== 'bridge') return { id, mac: null, ipv4: null, ipv6: null, interface: null };
  const { IPv4Address, IPv6Address } = request.endpoint.config.IPAMConfig ?? {};
  const ipv4 = addressFor(request, 4, IPv4Address ?? '');
  const ipv6 = addressFor(request, 6, IPv6Address ?? '');
  return { id, mac: macFor(request, ipv4 ?? ipv6), ipv4, ipv6, interface: freeInterface(request) };
}

function addressFor(
  { endpoint, network, rows, allocator }: AttachRequest,
  family: AddressFamily,
  wanted: string,
): string | null {
  const subnet = subnetOf(network, family);
  if (subnet === undefined) return null;
  if (wanted === '') {
    return allocator.choose(subnet, network.name, (address) => rows.isSpokenFor(network.id, family, address));
  }
  const refused = refusedAddress(subnet, wanted);
  if (refused !== null) throw new TsdError('conflict', `${refused} (network ${network.name})`);
  const owner = rows.byAddress(network.id, family, wanted);
  if (owner !== undefined && owner.containerId !== endpoint.containerId) {
    throw new TsdError(
      'conflict',
      `Address already in use: ${wanted} in network ${network.name} belongs to container ${owner.containerId.slice(0, 12)}`,
    );
  }
  return wanted;
}

/** Derived from the address: whoever remembers the last owner's MAC reaches the next one. */
function macFor({ endpoint, network, rows }: AttachRequest, address: string | null): string | null {
  const wanted = endpoint.config.MacAddress ?? '';
  if (wanted !== '') {
    const owner = rows.byMac(network.id, wanted);
    if (owner === undefined) return wanted;
    throw new TsdError(
      'conflict',
      `MAC address already in use: ${wanted} in network ${network.name} belongs to container ${owner.containerId.slice(0, 12)}`,
    );
  }
  const parsed = address === null ? null : parseAddress(address);
  if (parsed === null) return null;
  let mac = macOf(parsed.value & 0xffff_ffffn);
  // Somebody asked for it, or (IPv6 alone) another address ends in the same bits.
  while (rows.byMac(network.id, mac) !== undefined) mac = macOf(BigInt(randomBytes(4).readUInt32BE()));
  return mac;
}

/** Locally administered, with the prefix that Docker's containers have. */
function macOf(low: bigint): string {
  const bytes = ['02', '42', ...(low.toString(16).padStart(8, '0').match(/../g) ?? [])];
  return bytes.join(':');
}

function freeInterface({ endpoint, rows }: AttachRequest): string {
  const taken = new Set(rows.ofContainer(endpoint.containerId).map(({ attachment }) => attachment?.interface));
  let index = 0;
  while (taken.has(`eth${index}`)) index++;
  return `eth${index}`;
}
