/** What a user asks of a container's endpoint, checked against its network (moby daemon/container_operations.go). */
import type { EndpointSettings } from '@tsd/shared/api-networking-config';
import { TsdError } from '@tsd/shared/errors';
import { refusedAddress } from './address-allocator.ts';
import { formatAddress, parseAddress } from './ip-address.ts';
import { type AddressFamily, isPredefined, type NetworkRecord, subnetOf } from './network.ts';

/** Names end up in DNS answers and in hosts(5). */
const ALIAS = /^[^\s\p{C}#]{1,253}$/u;
const MAX_ALIASES = 256;
const MAC = /^([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2})$/;

/**
 * The settings as the database keeps them: only what was asked for, addresses in their canonical text. What describes an
 * endpoint (`IPAddress`, `EndpointID`, …) is left out: clients send what they inspected.
 *
 * @throws TsdError `bad_parameter` with Docker's texts, `not_implemented` for what tsd does not have
 */
export function checkEndpointConfig(network: NetworkRecord, config: EndpointSettings): EndpointSettings {
  const { IPAMConfig, Aliases, Links, DriverOpts, GwPriority, MacAddress } = config;
  if ((IPAMConfig?.LinkLocalIPs ?? []).length > 0)
    throw new TsdError('not_implemented', 'LinkLocalIPs: link-local addresses are not supported by tsd');
  for (const key of Object.keys(DriverOpts ?? {})) {
    if (key.startsWith('com.docker.network.endpoint.'))
      throw new TsdError('not_implemented', `DriverOpts: ${key} is not supported by tsd`);
  }
  const ipv4 = requestedAddress(network, 4, IPAMConfig?.IPv4Address ?? '');
  const ipv6 = requestedAddress(network, 6, IPAMConfig?.IPv6Address ?? '');
  checkAliases(network, Aliases ?? []);
  const mac = parseMac(MacAddress ?? '');
  const addresses = {
    ...(ipv4 === null ? {} : { IPv4Address: ipv4 }),
    ...(ipv6 === null ? {} : { IPv6Address: ipv6 }),
  };
  return {
    ...(ipv4 === null && ipv6 === null ? {} : { IPAMConfig: addresses }),
    ...(Links && Links.length > 0 ? { Links } : {}),
    ...(Aliases && Aliases.length > 0 ? { Aliases } : {}),
    ...(mac === null ? {} : { MacAddress: mac }),
    ...(DriverOpts && Object.keys(DriverOpts).length > 0 ? { DriverOpts } : {}),
    ...(GwPriority ? { GwPriority } : {}),
  };
}

/**
 * In lower case with colons; null for an empty text.
 *
 * @throws TsdError `bad_parameter` for what no interface can have
 */
function parseMac(text: string): string | null {
  if (text === '') return null;
  const mac = text.toLowerCase().replaceAll('-', ':');
  const first = Number.parseInt(MAC.exec(mac)?.[1] ?? '', 16);
  // The lowest bit is that of groups.
  if (Number.isNaN(first) || (first & 1) === 1 || mac === '00:00:00:00:00:00')
    throw new TsdError('bad_parameter', `invalid MAC address: address ${text}: it must be six bytes, of one interface`);
  return mac;
}

function requestedAddress(network: NetworkRecord, family: AddressFamily, text: string): string | null {
  if (text === '') return null;
  const parsed = parseAddress(text);
  if (parsed === null || parsed.family !== family)
    throw new TsdError('bad_parameter', `invalid IPv${family} address: ${text}`);
  if (isPredefined(network.name))
    throw new TsdError('bad_parameter', 'user specified IP address is supported on user defined networks only');
  const address = formatAddress(parsed);
  const subnet = subnetOf(network, family);
  const refused =
    subnet === undefined ? `no configured subnet contains IP address ${address}` : refusedAddress(subnet, address);
  if (refused === null) return address;
  throw new TsdError('bad_parameter', `invalid endpoint settings:\n${refused} (network ${network.name})`);
}

function checkAliases(network: NetworkRecord, aliases: readonly string[]): void {
  if (aliases.length === 0) return;
  if (isPredefined(network.name))
    throw new TsdError(
      'bad_parameter',
      'network-scoped alias is supported only for containers in user defined networks',
    );
  if (aliases.length > MAX_ALIASES)
    throw new TsdError('bad_parameter', `Aliases: ${aliases.length} of them, at most ${MAX_ALIASES} are possible`);
  for (const alias of aliases) {
    if (!ALIAS.test(alias))
      throw new TsdError('bad_parameter', `Aliases: invalid name ${JSON.stringify(alias.slice(0, 300))}`);
  }
}
