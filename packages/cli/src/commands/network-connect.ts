import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { commaSeparated, keyValues } from '../request/flag-value.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NETWORK CONTAINER',
  minArgs: 2,
  maxArgs: 2,
  flags: [
    { name: 'alias', type: 'list', help: 'Add network-scoped alias for the container' },
    { name: 'ip', type: 'string', help: 'IPv4 address (e.g., "172.30.100.104")' },
    { name: 'ip6', type: 'string', help: 'IPv6 address (e.g., "2001:db8::33")' },
    { name: 'link', type: 'list', help: 'Add link to another container' },
    { name: 'link-local-ip', type: 'list', help: 'Add a link-local address for the container' },
    { name: 'driver-opt', type: 'list', help: 'driver options for the network' },
    { name: 'gw-priority', type: 'int', help: 'Highest gw-priority provides the default gateway' },
  ],
  examples: [['A second name for it in that network', 'network connect --alias database app postgres']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [network = '', container = ''] = flags.args;
  await context.client.send({
    method: 'POST',
    path: `/networks/${segment(network)}/connect`,
    json: { Container: container, EndpointConfig: endpointSettings(flags) },
  });
  return 0;
}

/** Every field as Docker's client sends it (docker/cli cli/command/network/connect.go). */
function endpointSettings(flags: ParsedFlags): object {
  const ipv4 = flags.string('ip') ?? '';
  const ipv6 = flags.string('ip6') ?? '';
  const linkLocal = commaSeparated(flags.list('link-local-ip'));
  const links = flags.list('link');
  return {
    IPAMConfig: {
      ...(ipv4 === '' ? {} : { IPv4Address: ipv4 }),
      ...(ipv6 === '' ? {} : { IPv6Address: ipv6 }),
      ...(linkLocal.length === 0 ? {} : { LinkLocalIPs: linkLocal }),
    },
    Links: links.length === 0 ? null : links,
    Aliases: commaSeparated(flags.list('alias')),
    MacAddress: '',
    DriverOpts: keyValues('driver-opt', commaSeparated(flags.list('driver-opt'))),
    GwPriority: flags.int('gw-priority') ?? 0,
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
