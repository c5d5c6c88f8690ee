/** The subnets of a new network: what the user asked for, checked (moby api/types/network, ValidateIPAM), and chosen ones. */
import type { IpamConfig } from '@tsd/shared/api-networks';
import { TsdError } from '@tsd/shared/errors';
import { type AddressPool, chooseSubnet } from './address-pools.ts';
import {
  addressBits,
  containsAddress,
  containsPrefix,
  formatAddress,
  formatPrefix,
  type IpPrefix,
  lastOf,
  overlaps,
  parseAddress,
  parseCidr,
  prefixFrom,
} from './ip-address.ts';
import type { AddressFamily, NetworkRecord, NetworkSubnet } from './network.ts';

export interface SubnetRequest {
  readonly families: readonly AddressFamily[];
  readonly configs: readonly IpamConfig[];
}

export interface SubnetSurroundings {
  readonly networks: readonly NetworkRecord[];
  readonly hostRoutes: readonly IpPrefix[];
  readonly addressPools: readonly AddressPool[];
}

/**
 * One subnet for each family.
 *
 * @throws TsdError `bad_parameter` for what contradicts itself, `forbidden` for a subnet that another network has (both
 *   with Docker's texts), `conflict` where the pools are used up
 */
export function planSubnets(
  request: SubnetRequest,
  around: SubnetSurroundings,
): { readonly subnets: readonly NetworkSubnet[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const wanted = new Map<AddressFamily, NetworkSubnet>();
  for (const config of request.configs) {
    const subnet = checkConfig(config);
    if (subnet === null) continue;
    if (!request.families.includes(subnet.family)) {
      warnings.push(`the subnet ${subnet.subnet} is not used: IPv${subnet.family} is not enabled on this network`);
      continue;
    }
    if (wanted.has(subnet.family))
      throw wrong(`subnet ${subnet.subnet}: a bridge network has one subnet of each family`);
    checkOverlap(subnet, around.networks);
    const route = around.hostRoutes.find((prefix) => overlaps(prefix, prefixFrom(subnet.subnet)));
    if (route !== undefined)
      warnings.push(`the subnet ${subnet.subnet} overlaps ${formatPrefix(route)}, which the host has a route to`);
    wanted.set(subnet.family, subnet);
  }
  const taken = [...around.hostRoutes, ...subnetsOf(around.networks)];
  const subnets = request.families.map(
    (family) => wanted.get(family) ?? withGateway(chooseSubnet(around.addressPools, family, taken)),
  );
  return { subnets, warnings };
}

/** A subnet whose gateway is its first address. */
export function withGateway(prefix: IpPrefix): NetworkSubnet {
  const { family, first, bits } = prefix;
  // A subnet of one or two addresses has no address of its own (RFC 3021).
  const offset = bits >= addressBits(family) - 1 ? 0n : 1n;
  return {
    family,
    subnet: formatPrefix(prefix),
    gateway: formatAddress({ family, value: first + offset }),
    ipRange: null,
    auxiliaryAddresses: {},
  };
}

/** null for an entry that says nothing. */
function checkConfig({ Subnet, IPRange, Gateway, AuxiliaryAddresses }: IpamConfig): NetworkSubnet | null {
  const others = [IPRange, Gateway, ...Object.values(AuxiliaryAddresses ?? {})];
  if (!Subnet) {
    if (others.every((value) => !value)) return null;
    throw wrong('an ip-range, gateway or aux-address needs the subnet that it belongs to');
  }
  const cidr = parseCidr(Subnet);
  if (cidr === null) throw wrong(`invalid subnet ${Subnet}: write ADDRESS/BITS`);
  const { prefix, address } = cidr;
  const text = formatPrefix(prefix);
  if (address.value !== prefix.first) throw wrong(`invalid subnet ${Subnet}: it should be ${text}`);
  if (prefix.bits > addressBits(prefix.family) - 2)
    throw wrong(`invalid subnet ${Subnet}: it has no room for containers`);
  const inside = (what: string, value: string): string => {
    const parsed = parseAddress(value);
    if (parsed === null) throw wrong(`invalid ${what} ${value}: it is no address`);
    if (parsed.family !== prefix.family)
      throw wrong(`invalid ${what} ${value}: parent subnet is an IPv${prefix.family} block`);
    if (!containsAddress(prefix, parsed))
      throw wrong(`invalid ${what} ${value}: parent subnet ${text} doesn't contain this address`);
    if (parsed.value === prefix.first || (prefix.family === 4 && parsed.value === lastOf(prefix)))
      throw wrong(`invalid ${what} ${value}: it is the network's own address or its broadcast address`);
    return formatAddress(parsed);
  };
  return {
    ...withGateway(prefix),
    ...(Gateway ? { gateway: inside('gateway', Gateway) } : {}),
    ipRange: IPRange ? checkRange(IPRange, prefix) : null,
    auxiliaryAddresses: Object.fromEntries(
      Object.entries(AuxiliaryAddresses ?? {}).map(([name, value]) => [name, inside('auxiliary address', value)]),
    ),
  };
}

function checkRange(text: string, subnet: IpPrefix): string {
  const cidr = parseCidr(text);
  if (cidr === null) throw wrong(`invalid ip-range ${text}: write ADDRESS/BITS`);
  const range = formatPrefix(cidr.prefix);
  if (cidr.address.value !== cidr.prefix.first) throw wrong(`invalid ip-range ${text}: it should be ${range}`);
  if (cidr.prefix.family !== subnet.family)
    throw wrong(`invalid ip-range ${text}: parent subnet is an IPv${subnet.family} block`);
  if (cidr.prefix.bits < subnet.bits)
    throw wrong(`invalid ip-range ${text}: CIDR block is bigger than its parent subnet ${formatPrefix(subnet)}`);
  if (!containsPrefix(subnet, cidr.prefix))
    throw wrong(`invalid ip-range ${text}: parent subnet ${formatPrefix(subnet)} doesn't contain ip-range`);
  return range;
}

function checkOverlap(subnet: NetworkSubnet, networks: readonly NetworkRecord[]): void {
  const prefix = prefixFrom(subnet.subnet);
  for (const { name, subnets } of networks) {
    const other = subnets.find((candidate) => overlaps(prefixFrom(candidate.subnet), prefix));
    if (other === undefined) continue;
    throw new TsdError(
      'forbidden',
      `invalid pool request: Pool overlaps with other one on this address space: ${subnet.subnet} with ${other.subnet} of network ${name}`,
    );
  }
}

/** All subnets of the networks. */
export function subnetsOf(networks: readonly NetworkRecord[]): readonly IpPrefix[] {
  return networks.flatMap(({ subnets }) => subnets.map(({ subnet }) => prefixFrom(subnet)));
}

function wrong(problem: string): TsdError {
  return new TsdError('bad_parameter', `invalid network config:\n${problem}`);
}
