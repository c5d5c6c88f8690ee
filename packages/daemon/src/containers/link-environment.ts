/** The variables that a container has of one that it is linked to (moby daemon/links/links.go). Pure. */
import { parseExpose } from '@tsd/shared/port-spec';

/** A container that another is linked to. */
export interface LinkedContainer {
  readonly alias: string;
  /** Its address in the default network. */
  readonly address: string;
  readonly environment: readonly string[];
  /** Keys such as `80/tcp`. */
  readonly exposedPorts: readonly string[];
}

interface Port {
  readonly port: number;
  readonly protocol: string;
}

/** Long runs of ports have their ends as variables of their own. */
const SMALLEST_RUN = 3;
/** What every container has of its own. */
const OWN: ReadonlySet<string> = new Set(['HOME', 'PATH']);

/** `NAME=value`; `parentName` is the name of the container that has the link. */
export function linkEnvironment(parentName: string, linked: LinkedContainer): string[] {
  const { alias, address } = linked;
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const ports = sortedPorts(linked.exposedPorts);
  const url = ({ port, protocol }: Port): string => `${protocol}://${address}:${port}`;
  const variable = ({ port, protocol }: Port): string => `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
  const [first] = ports;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${url(first)}`]),
    ...runs(ports).flatMap(({ start, end }) => [
      `${variable(start)}_START=${url(start)}`,
      `${variable(start)}_ADDR=${address}`,
      `${variable(start)}_PROTO=${start.protocol}`,
      `${variable(start)}_PORT_START=${start.port}`,
      `${variable(end)}_END=${url(end)}`,
      `${variable(end)}_PORT_END=${end.port}`,
    ]),
    ...ports.flatMap((port) => [
      `${variable(port)}=${url(port)}`,
      `${variable(port)}_ADDR=${address}`,
      `${variable(port)}_PORT=${port.port}`,
      `${variable(port)}_PROTO=${port.protocol}`,
    ]),
    `${prefix}_NAME=/${parentName}/${alias}`,
    ...linked.environment.flatMap((entry) => {
      const [name = '', ...value] = entry.split('=');
      return value.length === 0 || OWN.has(name) ? [] : [`${prefix}_ENV_${name}=${value.join('=')}`];
    }),
  ];
}

/** In ascending order, TCP first. */
function sortedPorts(keys: readonly string[]): Port[] {
  return keys
    .flatMap(parseExpose)
    .map((key): Port => {
      const [port, protocol = 'tcp'] = key.split('/');
      return { port: Number(port), protocol };
    })
    .sort((a, b) => a.port - b.port || Number(b.protocol === 'tcp') - Number(a.protocol === 'tcp'));
}

/** Ports that follow each other without a gap, where they are many. */
function runs(ports: readonly Port[]): { readonly start: Port; readonly end: Port }[] {
  const found: Port[][] = [];
  for (const port of ports) {
    const current = found.at(-1);
    if (current?.at(-1)?.port === port.port - 1) current.push(port);
    else found.push([port]);
  }
  return found.flatMap((run) => {
    const [start] = run;
    const end = run.at(-1);
    return start === undefined || end === undefined || run.length < SMALLEST_RUN ? [] : [{ start, end }];
  });
}
