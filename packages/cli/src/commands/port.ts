import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { naturalOrder } from '../output/natural-order.ts';

export const spec: CommandSpec = {
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  minArgs: 1,
  maxArgs: 2,
  flags: [],
  examples: [['Where a port of the container is reachable', 'port web 80']],
};

interface Binding {
  readonly HostIp: string;
  readonly HostPort: string;
}

interface Inspected {
  readonly NetworkSettings: { readonly Ports?: Readonly<Record<string, readonly Binding[] | null>> | null };
}

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = '', wanted] = flags.args;
  const { NetworkSettings } = await context.client.json<Inspected>({
    method: 'GET',
    path: `/containers/${segment(name)}/json`,
  });
  const ports = NetworkSettings.Ports ?? {};
  const lines = wanted === undefined ? allPorts(ports) : onePort(ports, wanted, name);
  if (lines.length > 0) context.stdout.write(`${lines.sort(naturalOrder).join('\n')}\n`);
  return 0;
}

function allPorts(ports: Readonly<Record<string, readonly Binding[] | null>>): string[] {
  return Object.entries(ports).flatMap(([port, bindings]) =>
    (bindings ?? []).map((binding) => `${port} -> ${hostPort(binding)}`),
  );
}

function onePort(
  ports: Readonly<Record<string, readonly Binding[] | null>>,
  wanted: string,
  container: string,
): string[] {
  const [port = '', protocol = 'tcp'] = wanted.split('/');
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65_535) throw new CliError(`Error: invalid port (${port})`);
  const bindings = ports[`${port}/${protocol}`] ?? [];
  if (bindings.length === 0) throw new CliError(`Error: No public port '${wanted}' published for ${container}`);
  return bindings.map(hostPort);
}

function hostPort({ HostIp, HostPort }: Binding): string {
  return `${HostIp.includes(':') ? `[${HostIp}]` : HostIp}:${HostPort}`;
}
