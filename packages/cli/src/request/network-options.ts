/** ExposedPorts, PortBindings, NetworkMode and NetworkingConfig. */

import { TsdError } from '@tsd/shared/errors';
import { type PortBinding, parseExpose, parsePublish, toPortBindings } from '@tsd/shared/port-spec';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { flagValues } from './flag-value.ts';

/** One --network, short (`NAME`) or long (`name=NAME,alias=…`). */
interface NetworkAttachment {
  readonly target: string;
  readonly aliases: readonly string[];
  readonly ipv4: string;
  readonly ipv6: string;
  readonly linkLocalIps: readonly string[];
  readonly links: readonly string[];
  readonly macAddress: string;
  readonly driverOptions: Readonly<Record<string, string>> | null;
  readonly gatewayPriority: number;
}

/** Modes that are not networks of their own: nothing can be configured about the attachment. */
const SINGLE_MODES: ReadonlySet<string> = new Set(['none', 'host', 'bridge', 'default']);

/** HostConfig.NetworkMode: the first --network. */
export function networkModeOf(flags: ParsedFlags): string {
  return attachments(flags)[0]?.target ?? 'default';
}

/** NetworkingConfig: an entry per network; a single network without options is left out, as by Docker. */
export function networkingConfigOf(flags: ParsedFlags): object {
  const networks = attachments(flags);
  const explicit = flags.list('network').length;
  const endpoints: Record<string, object> = {};
  for (const network of networks) {
    if (Object.hasOwn(endpoints, network.target)) {
      throw new UsageError(`network "${network.target}" is specified multiple times`);
    }
    if (explicit === 1 && !hasOptions(network)) continue;
    endpoints[network.target] = endpointSettings(network);
  }
  return { EndpointsConfig: endpoints };
}

/** Ports of --publish and --expose; undefined where there are none. */
export function exposedPortsOf(flags: ParsedFlags): Record<string, object> | undefined {
  const published = publishedPorts(flags).map((port) => `${port.containerPort}/${port.protocol}`);
  const exposed = flagValues(flags, 'expose', parseExpose).flat();
  const keys = [...published, ...exposed];
  return keys.length === 0 ? undefined : Object.fromEntries(keys.map((key) => [key, {}]));
}

export function portBindingsOf(flags: ParsedFlags): Record<string, PortBinding[]> {
  const bindings = toPortBindings(publishedPorts(flags));
  // Several host ports for one container port: the daemon chooses one of the range.
  for (const text of flags.list('publish')) {
    const match = /([0-9]+-[0-9]+):([0-9]+)(?:\/([a-z]+))?$/i.exec(text);
    if (match === null) continue;
    const [, range = '', port = '', protocol = 'tcp'] = match;
    const first = range.slice(0, range.indexOf('-'));
    for (const binding of bindings[`${port}/${protocol.toLowerCase()}`] ?? []) {
      if (binding.HostPort === first) binding.HostPort = range;
    }
  }
  return bindings;
}

function publishedPorts(flags: ParsedFlags): ReturnType<typeof parsePublish> {
  return flags.list('publish').flatMap((text) => {
    try {
      return parsePublish(text);
    } catch (error) {
      if (error instanceof TsdError) throw new UsageError(error.message);
      throw error;
    }
  });
}

function attachments(flags: ParsedFlags): NetworkAttachment[] {
  const values = flags.list('network');
  const parsed = (values.length === 0 ? ['default'] : values).map(parseNetwork);
  const [first, ...rest] = parsed;
  if (first === undefined) return [];
  return [withFlags(first, flags), ...rest];
}

/** --ip, --network-alias and the like configure the first network. */
function withFlags(network: NetworkAttachment, flags: ParsedFlags): NetworkAttachment {
  const aliases = flags.list('network-alias');
  const ipv4 = flags.string('ip');
  const ipv6 = flags.string('ip6');
  const isNamed = !SINGLE_MODES.has(network.target) && !network.target.startsWith('container:');
  if (!isNamed && aliases.length > 0) {
    throw new UsageError('network-scoped aliases are only supported for user-defined networks');
  }
  return {
    ...network,
    aliases: [...network.aliases, ...aliases],
    ipv4: ipv4 ?? network.ipv4,
    ipv6: ipv6 ?? network.ipv6,
    linkLocalIps: [...network.linkLocalIps, ...flags.list('link-local-ip')],
    links: isNamed ? [...network.links, ...flags.list('link')] : network.links,
    macAddress: flags.string('mac-address') ?? network.macAddress,
  };
}

function parseNetwork(text: string): NetworkAttachment {
  const plain: NetworkAttachment = {
    target: text,
    aliases: [],
    ipv4: '',
    ipv6: '',
    linkLocalIps: [],
    links: [],
    macAddress: '',
    driverOptions: null,
    gatewayPriority: 0,
  };
  if (!text.includes('=')) return plain;
  const aliases: string[] = [];
  const linkLocalIps: string[] = [];
  const driverOptions: Record<string, string> = {};
  const single: { target: string; ipv4: string; ipv6: string; macAddress: string; gatewayPriority: number } = {
    target: '',
    ipv4: '',
    ipv6: '',
    macAddress: '',
    gatewayPriority: 0,
  };
  for (const field of text.split(',')) {
    const equals = field.indexOf('=');
    const key = field.slice(0, equals).trim().toLowerCase();
    const value = field.slice(equals + 1).trim();
    if (equals === -1) throw new UsageError(`invalid field ${field}: must be a key=value pair`);
    switch (key) {
      case 'name':
        single.target = value;
        break;
      case 'alias':
        aliases.push(value);
        break;
      case 'ip':
        single.ipv4 = value;
        break;
      case 'ip6':
        single.ipv6 = value;
        break;
      case 'mac-address':
        single.macAddress = value;
        break;
      case 'link-local-ip':
        linkLocalIps.push(value);
        break;
      case 'driver-opt': {
        const separator = value.indexOf('=');
        if (separator === -1) throw new UsageError(`invalid key value pair format in driver options: ${value}`);
        driverOptions[value.slice(0, separator).trim().toLowerCase()] = value.slice(separator + 1).trim();
        break;
      }
      case 'gw-priority':
        if (!/^-?[0-9]+$/.test(value)) throw new UsageError(`invalid gw-priority (${value}): must be a number`);
        single.gatewayPriority = Number(value);
        break;
      default:
        throw new UsageError(`invalid field key ${key}`);
    }
  }
  if (single.target === '') throw new UsageError('network name/id is not specified');
  const options = Object.keys(driverOptions).length === 0 ? null : driverOptions;
  return { ...plain, ...single, aliases, linkLocalIps, driverOptions: options };
}

function hasOptions(network: NetworkAttachment): boolean {
  return (
    network.aliases.length > 0 ||
    network.ipv4 !== '' ||
    network.ipv6 !== '' ||
    network.linkLocalIps.length > 0 ||
    network.links.length > 0 ||
    network.macAddress !== '' ||
    network.driverOptions !== null ||
    network.gatewayPriority !== 0
  );
}

/** Docker's EndpointSettings, with every field as its client sends it. */
function endpointSettings(network: NetworkAttachment): object {
  const ipam = {
    ...(network.ipv4 === '' ? {} : { IPv4Address: network.ipv4 }),
    ...(network.ipv6 === '' ? {} : { IPv6Address: network.ipv6 }),
    ...(network.linkLocalIps.length === 0 ? {} : { LinkLocalIPs: network.linkLocalIps }),
  };
  return {
    IPAMConfig: Object.keys(ipam).length === 0 ? null : ipam,
    Links: network.links.length === 0 ? null : network.links,
    Aliases: network.aliases.length === 0 ? null : network.aliases,
    MacAddress: network.macAddress,
    DriverOpts: network.driverOptions,
    GwPriority: network.gatewayPriority,
    NetworkID: '',
    EndpointID: '',
    Gateway: '',
    IPAddress: '',
    IPPrefixLen: 0,
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}
