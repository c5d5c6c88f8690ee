/** `-p` and `--expose` as Docker reads them (github.com/docker/go-connections/nat). */
import { TsdError } from './errors.ts';

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

export interface PortBinding {
  HostIp: string;
  HostPort: string;
}

/** One published container port; hostPort is null where the engine chooses. */
export interface PublishedPort {
  readonly containerPort: number;
  readonly protocol: PortProtocol;
  readonly hostIp: string;
  readonly hostPort: number | null;
}

const PROTOCOLS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp']);

/** Parses `[[ip:][hostPort]:]containerPort[/protocol]`; ports may be ranges. Throws bad_parameter with Docker's texts. */
export function parsePublish(text: string): PublishedPort[] {
  const { ports, protocol } = splitProtocol(text);
  const containerColon = ports.lastIndexOf(':');
  const container = parseRange(ports.slice(containerColon + 1), 'containerPort');
  let hostIp = '';
  let hostText = '';
  if (containerColon !== -1) {
    const host = ports.slice(0, containerColon);
    const hostColon = host.lastIndexOf(':');
    hostText = hostColon === -1 ? host : host.slice(hostColon + 1);
    hostIp = hostColon === -1 ? '' : host.slice(0, hostColon);
    if (hostIp.startsWith('[') && hostIp.endsWith(']')) hostIp = hostIp.slice(1, -1);
    // Loaded only for an address: the client would take 3 ms longer to start.
    if (hostIp !== '' && process.getBuiltinModule('node:net').isIP(hostIp) === 0)
      throw new TsdError('bad_parameter', `invalid IP address: ${hostIp}`);
  }
  const host = hostText === '' ? null : parseRange(hostText, 'hostPort');
  const count = container.end - container.start;
  if (host !== null && host.end - host.start !== count && count !== 0) {
    throw new TsdError('bad_parameter', `invalid ranges specified for container and host Ports: ${ports}`);
  }
  return Array.from({ length: count + 1 }, (_, index) => ({
    containerPort: container.start + index,
    protocol,
    hostIp,
    hostPort: host === null ? null : host.start + index,
  }));
}

/** Parses `--expose` and the keys of ExposedPorts: `80`, `80/udp`, `8000-8010/tcp` → keys such as `80/tcp`. */
export function parseExpose(text: string): string[] {
  const { ports, protocol } = splitProtocol(text);
  const { start, end } = parseRange(ports, 'range format for --expose');
  return Array.from({ length: end - start + 1 }, (_, index) => `${start + index}/${protocol}`);
}

/** Groups published ports the way HostConfig.PortBindings holds them. */
export function toPortBindings(ports: readonly PublishedPort[]): Record<string, PortBinding[]> {
  const bindings: Record<string, PortBinding[]> = {};
  for (const port of ports) {
    const key = `${port.containerPort}/${port.protocol}`;
    bindings[key] ??= [];
    bindings[key].push({ HostIp: port.hostIp, HostPort: port.hostPort === null ? '' : String(port.hostPort) });
  }
  return bindings;
}

function splitProtocol(text: string): { ports: string; protocol: PortProtocol } {
  const slash = text.lastIndexOf('/');
  const ports = slash === -1 ? text : text.slice(0, slash);
  const protocol = slash === -1 ? 'tcp' : text.slice(slash + 1).toLowerCase();
  if (ports === '') throw new TsdError('bad_parameter', `no port specified: ${text}<empty>`);
  if (!PROTOCOLS.has(protocol)) throw new TsdError('bad_parameter', `invalid proto: ${protocol}`);
  return { ports, protocol: protocol as PortProtocol };
}

function parseRange(text: string, field: string): { start: number; end: number } {
  const match = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
  const start = Number(match?.[1]);
  const end = match?.[2] === undefined ? start : Number(match[2]);
  if (match === null || start < 1 || start > 65_535 || end > 65_535 || end < start) {
    throw new TsdError('bad_parameter', `invalid ${field}: ${text}`);
  }
  return { start, end };
}
