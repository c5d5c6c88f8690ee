/** The body of POST /networks/create from the flags of `network create` (docker/cli cli/command/network/create.go). */
import { BlockList, isIP } from 'node:net';
import { EGRESS_ALLOW_OPTION, EGRESS_OPTION, splitEgressRules } from '@tsd/shared/egress';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { commaSeparated, keyValues } from './flag-value.ts';

interface Pool {
  readonly Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

/** Every field as Docker's client sends it. Throws UsageError with Docker's texts. */
export function networkCreateRequest(flags: ParsedFlags, name: string): Readonly<Record<string, unknown>> {
  const copied = flags.string('config-from') ?? '';
  return {
    Driver: flags.string('driver') ?? 'bridge',
    Scope: flags.string('scope') ?? '',
    ...(flags.has('ipv4') ? { EnableIPv4: flags.bool('ipv4') } : {}),
    ...(flags.has('ipv6') ? { EnableIPv6: flags.bool('ipv6') } : {}),
    IPAM: {
      Driver: flags.string('ipam-driver') ?? 'default',
      Options: keyValues('ipam-opt', flags.list('ipam-opt')),
      Config: pools(flags),
    },
    Internal: flags.bool('internal'),
    Attachable: flags.bool('attachable'),
    Ingress: flags.bool('ingress'),
    ConfigOnly: flags.bool('config-only'),
    ConfigFrom: copied === '' ? null : { Network: copied },
    Options: { ...keyValues('opt', flags.list('opt')), ...egressOptions(flags) },
    Labels: keyValues('label', flags.list('label')),
    Name: name,
  };
}

/** A list alone is a list of all that may be reached: whoever gives one wants the rest refused. */
function egressOptions(flags: ParsedFlags): Record<string, string> {
  const rules = flags.list('allow-egress').flatMap(splitEgressRules);
  const policy = flags.string('egress') ?? (rules.length === 0 ? undefined : 'deny');
  if (policy === undefined) return {};
  if (policy !== 'deny' && policy !== 'allow') {
    throw new UsageError(`invalid argument "${policy}" for "--egress" flag: must be deny or allow`);
  }
  if (policy === 'allow' && rules.length > 0) {
    throw new UsageError('conflicting options: --allow-egress has no effect with --egress allow');
  }
  return { [EGRESS_OPTION]: policy, ...(rules.length === 0 ? {} : { [EGRESS_ALLOW_OPTION]: rules.join(',') }) };
}

/** Puts ranges, gateways and auxiliary addresses to the subnets that they are in. */
function pools(flags: ParsedFlags): Pool[] {
  const subnets = commaSeparated(flags.list('subnet'));
  const ranges = commaSeparated(flags.list('ip-range'));
  const gateways = commaSeparated(flags.list('gateway'));
  if (subnets.length < ranges.length || subnets.length < gateways.length) {
    throw new UsageError('every ip-range or gateway must have a corresponding subnet', { exitCode: 1 });
  }
  const overlap = subnets.some((one, index) =>
    subnets.some((other, position) => position !== index && contains(one, other)),
  );
  if (overlap) throw new UsageError('multiple overlapping subnet configuration is not supported', { exitCode: 1 });
  const all: Pool[] = subnets.map((Subnet) => ({ Subnet }));
  for (const range of ranges) {
    const pool = poolOf(all, range, 'range');
    if (pool.IPRange !== undefined) throw twice('ranges', range, pool.IPRange, 'on', pool.Subnet);
    pool.IPRange = range;
  }
  for (const gateway of gateways) {
    const pool = poolOf(all, gateway, 'gateway');
    if (pool.Gateway !== undefined) throw twice('gateways', gateway, pool.Gateway, 'for', pool.Subnet);
    pool.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(keyValues('aux-address', flags.list('aux-address')))) {
    const pool = poolOf(all, address, 'aux-address');
    pool.AuxiliaryAddresses = { ...pool.AuxiliaryAddresses, [name]: address };
  }
  return all;
}

function poolOf(all: readonly Pool[], value: string, what: string): Pool {
  const pool = all.find(({ Subnet }) => contains(Subnet, value));
  if (pool === undefined) throw new UsageError(`no matching subnet for ${what} ${value}`, { exitCode: 1 });
  return pool;
}

function twice(what: string, value: string, first: string, preposition: string, subnet: string): UsageError {
  const text = `cannot configure multiple ${what} (${value}, ${first}) ${preposition} the same subnet (${subnet})`;
  return new UsageError(text, { exitCode: 1 });
}

/** Whether the address, or the first one of a CIDR, is in the subnet. Nothing is in what is no subnet: the daemon says so. */
function contains(subnet: string, value: string): boolean {
  const [network = '', length = ''] = subnet.split('/');
  const [address = ''] = value.split('/');
  const family = isIP(network);
  const bits = Number(length);
  if (family === 0 || isIP(address) !== family || !/^[0-9]{1,3}$/.test(length) || bits > (family === 4 ? 32 : 128)) {
    return false;
  }
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, bits, type);
  return list.check(address, type);
}
