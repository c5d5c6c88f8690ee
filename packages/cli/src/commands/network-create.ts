import type { NetworkCreateResponse } from '@tsd/shared/api-networks';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { networkCreateRequest } from '../request/network-create-request.ts';

const EGRESS = 'What its containers may reach';
const UNUSED = 'Of Docker’s swarm (refused by the daemon)';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NETWORK',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    { name: 'driver', short: 'd', type: 'string', help: 'Driver to manage the Network (default "bridge")' },
    { name: 'subnet', type: 'list', placeholder: 'cidr', help: 'Subnet in CIDR format (one each of IPv4 and IPv6)' },
    { name: 'gateway', type: 'list', placeholder: 'address', help: 'Address of the host in the subnet' },
    { name: 'ip-range', type: 'list', placeholder: 'cidr', help: 'Allocate container ip from a sub-range' },
    {
      name: 'aux-address',
      type: 'list',
      placeholder: 'name=address',
      help: 'Addresses of the subnet that containers do not get',
    },
    { name: 'ipv4', type: 'bool', default: true, help: 'Enable or disable IPv4 address assignment (default true)' },
    { name: 'ipv6', type: 'bool', help: 'Enable or disable IPv6 address assignment' },
    { name: 'internal', type: 'bool', help: 'Restrict external access to the network' },
    { name: 'label', type: 'list', help: 'Set metadata on a network' },
    {
      name: 'opt',
      short: 'o',
      type: 'list',
      placeholder: 'name=value',
      help: 'Set driver specific options (such as com.docker.network.driver.mtu=1400)',
    },
    {
      name: 'egress',
      type: 'string',
      placeholder: 'deny|allow',
      help: 'Whether containers reach what no --allow-egress names (default "allow", with --allow-egress "deny")',
      group: EGRESS,
    },
    {
      name: 'allow-egress',
      type: 'list',
      placeholder: 'rule',
      help: 'Let containers reach an address, a network or a DNS name: CIDR|ADDRESS|NAME[:port]',
      group: EGRESS,
    },
    { name: 'attachable', type: 'bool', help: 'Enable manual container attachment', group: UNUSED },
    { name: 'ingress', type: 'bool', help: 'Create swarm routing-mesh network', group: UNUSED },
    { name: 'scope', type: 'string', help: "Control the network's scope", group: UNUSED },
    { name: 'config-only', type: 'bool', help: 'Create a configuration only network', group: UNUSED },
    {
      name: 'config-from',
      type: 'string',
      help: 'The network from which to copy the configuration',
      group: UNUSED,
    },
    { name: 'ipam-driver', type: 'string', help: 'IP Address Management Driver (default "default")', group: UNUSED },
    { name: 'ipam-opt', type: 'list', help: 'Set IPAM driver specific options', group: UNUSED },
  ],
  description: 'Creates a network and prints its id. Containers of a network know each other by name.',
  examples: [
    ['A network for two containers', 'network create app'],
    ['With addresses of your own, IPv6 too', 'network create --subnet 10.9.0.0/24 --subnet fd00:9::/64 --ipv6 lab'],
    [
      'Containers that may fetch Debian packages and nothing else',
      'network create --egress deny --allow-egress deb.debian.org:80 build',
    ],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = ''] = flags.args;
  const { Id, Warning } = await context.client.json<NetworkCreateResponse>({
    method: 'POST',
    path: '/networks/create',
    json: networkCreateRequest(flags, name),
  });
  if (Warning !== '') context.stderr.write(`WARNING: ${Warning}\n`);
  context.stdout.write(`${Id}\n`);
  return 0;
}
