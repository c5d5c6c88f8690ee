/** Driver options of a network (`network create -o`): Docker's, and tsd's own (shared/egress.ts). */
import { isIPv4 } from 'node:net';
import { EGRESS_ALLOW_OPTION, EGRESS_OPTION, splitEgressRules } from '@tsd/shared/egress';
import { TsdError } from '@tsd/shared/errors';
import { parseEgressRules } from './egress-rule.ts';
import type { EgressPolicy, NetworkRecord } from './network.ts';

export const NETWORK_OPTION = {
  bridgeName: 'com.docker.network.bridge.name',
  mtu: 'com.docker.network.driver.mtu',
  /** Whether containers of the network reach each other. */
  interContainer: 'com.docker.network.bridge.enable_icc',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  /** Host address of ports that are published without one; of IPv6 too on the default bridge (`--ip`). */
  hostBindingIpv4: 'com.docker.network.bridge.host_binding_ipv4',
} as const;

/** Options that change what a network lets through: to pass over them would be a hole. */
const UNSUPPORTED: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['com.docker.network.bridge.gateway_mode_ipv4', new Set(['', 'nat'])],
  ['com.docker.network.bridge.gateway_mode_ipv6', new Set(['', 'nat'])],
  ['com.docker.network.bridge.inhibit_ipv4', new Set(['', 'false', '0'])],
  ['com.docker.network.bridge.trusted_host_interfaces', new Set([''])],
]);

/** The kernel's limit of an interface's name (IFNAMSIZ), without what `ip` would read as something else. */
const INTERFACE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;

export interface NetworkOptions {
  /** null: derived from the network's id. */
  readonly bridgeName: string | null;
  readonly mtu: number | null;
  readonly egress: EgressPolicy | null;
}

/** @throws TsdError `bad_parameter`, or `not_implemented` for options that would be unsafe to pass over */
export function parseNetworkOptions(options: Readonly<Record<string, string>>): NetworkOptions {
  for (const [key, accepted] of UNSUPPORTED) {
    const value = options[key];
    if (value !== undefined && !accepted.has(value))
      throw new TsdError('not_implemented', `the network option ${key}=${value} is not supported by tsd`);
  }
  for (const key of [NETWORK_OPTION.interContainer, NETWORK_OPTION.masquerade]) parseFlag(key, options[key] ?? 'true');
  const binding = options[NETWORK_OPTION.hostBindingIpv4] ?? '';
  if (binding !== '' && !isIPv4(binding))
    throw new TsdError(
      'bad_parameter',
      `${NETWORK_OPTION.hostBindingIpv4}: invalid value "${binding}" (an IPv4 address of the host)`,
    );
  return {
    bridgeName: parseBridgeName(options[NETWORK_OPTION.bridgeName] ?? ''),
    mtu: parseMtu(options[NETWORK_OPTION.mtu] ?? '', NETWORK_OPTION.mtu),
    egress: parseEgress(options[EGRESS_OPTION], options[EGRESS_ALLOW_OPTION]),
  };
}

/** A true/false option of the network, `true` where it is missing. */
export function networkFlag({ options }: Pick<NetworkRecord, 'options'>, key: string): boolean {
  return parseFlag(key, options[key] ?? 'true');
}

/** Bytes, or null for the default. Throws bad_parameter naming the setting. */
export function parseMtu(text: string, name: string): number | null {
  if (text === '' || text === '0') return null;
  const mtu = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (mtu >= 68 && mtu <= 65_535) return mtu;
  throw new TsdError('bad_parameter', `${name}: invalid value "${text}" (bytes, from 68 to 65535)`);
}

/** Throws bad_parameter for what cannot be an interface's name. */
export function parseBridgeName(name: string): string | null {
  if (name === '') return null;
  if (INTERFACE_NAME.test(name)) return name;
  throw new TsdError(
    'bad_parameter',
    `invalid name of a bridge "${name}": 1 to 15 letters, digits, "_", "." and "-", with a letter or digit first`,
  );
}

function parseEgress(policy: string | undefined, allow: string | undefined): EgressPolicy | null {
  const rules = splitEgressRules(allow ?? '');
  if (policy === undefined && rules.length === 0) return null;
  // A list alone means that nothing else is allowed.
  const fallback = policy ?? 'deny';
  if (fallback !== 'allow' && fallback !== 'deny')
    throw new TsdError('bad_parameter', `${EGRESS_OPTION}: invalid value "${fallback}" (allow or deny)`);
  parseEgressRules(rules);
  return { default: fallback, allow: rules };
}

/** Go's strconv.ParseBool. */
function parseFlag(key: string, value: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value)) return false;
  throw new TsdError('bad_parameter', `${key}: invalid value "${value}" (true or false)`);
}
