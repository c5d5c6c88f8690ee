/** The files that a container sees as /etc/hosts, /etc/hostname and /etc/resolv.conf: made anew at each start. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerConfig, ContainerRecord } from './container.ts';

export interface NetworkFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

/** What the files tell of the networks that the container is in. */
export interface NetworkView {
  /** The container's own, in all its networks. */
  readonly addresses: readonly string[];
  /** What `host-gateway` stands for: the host as the container reaches it. */
  readonly hostAddresses: readonly string[];
  /** Where the engine's name server answers the container; null without one, and then the servers are the host's. */
  readonly nameServer: string | null;
  /** With servers of its own (`--dns`) it asks them itself: nothing in its network has to be resolved by the engine. */
  readonly asksDirectly: boolean;
  /** Lines of /etc/hosts for the containers that it is linked to. */
  readonly linkLines: readonly string[];
}

/** Of a container in no network, or in the host's. */
export const NO_NETWORK: NetworkView = {
  addresses: [],
  hostAddresses: [],
  nameServer: null,
  asksDirectly: true,
  linkLines: [],
};

const LOOPBACK_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];
/** The host itself, for a container that has its network or none. */
const LOOPBACK_ADDRESS = '127.0.0.1';

/**
 * The texts of the three files, from the host's own read with `readHost`. With the host's network the container sees the host's names, as in Docker.
 *
 * @throws TsdError `bad_parameter` for an extra host that is not `name:address`
 */
export function networkFiles(
  record: Pick<ContainerRecord, 'config' | 'hostConfig'>,
  view: NetworkView,
  readHost: (path: string) => string,
): NetworkFiles {
  const { config, hostConfig } = record;
  const base = hostConfig.NetworkMode === 'host' ? readHost('/etc/hosts').trimEnd().split('\n') : LOOPBACK_HOSTS;
  const extra = (hostConfig.ExtraHosts ?? []).map(parseExtraHost).flatMap(({ address, name }) => {
    const hostAddresses = view.hostAddresses.length === 0 ? [LOOPBACK_ADDRESS] : view.hostAddresses;
    return (address === HOST_GATEWAY ? hostAddresses : [address]).map((one) => `${one}\t${name}`);
  });
  return {
    hosts: `${[...base, ...extra, ...view.linkLines, ...ownHostLines(config, view)].join('\n')}\n`,
    hostname: `${config.Hostname}\n`,
    resolvConf: resolvConf(record, view, readHost('/etc/resolv.conf')),
  };
}

/** The lines of /etc/hosts that name the container itself. */
export function ownHostLines(
  { Hostname, Domainname }: Pick<ContainerConfig, 'Hostname' | 'Domainname'>,
  { addresses }: Pick<NetworkView, 'addresses'>,
): readonly string[] {
  const names = Domainname === '' ? Hostname : `${Hostname}.${Domainname} ${Hostname}`;
  return addresses.map((address) => `${address}\t${names}`);
}

const HOST_GATEWAY = 'host-gateway';

/**
 * `name:address` or `name=address`; IPv6 addresses may be in brackets, and the address may be `host-gateway`.
 *
 * @throws TsdError `bad_parameter`
 */
export function parseExtraHost(text: string): { name: string; address: string } {
  const match = /^([^:=\s]+)[:=](\S+)$/.exec(text);
  const name = match?.[1];
  const address = match?.[2]?.replace(/^\[(.*)\]$/, '$1');
  if (name === undefined || address === undefined)
    throw new TsdError('bad_parameter', `bad format for add-host: "${text}"`);
  if (address !== HOST_GATEWAY && isIP(address) === 0)
    throw new TsdError('bad_parameter', `invalid IP address in add-host: "${address}"`);
  return { name, address };
}

/**
 * In a network of the engine its name server is the only one; it asks those of `--dns`, or the host's. `ndots:0`: a name
 * without dots is a container's before it is completed with a domain.
 */
function resolvConf(
  { hostConfig }: Pick<ContainerRecord, 'hostConfig'>,
  { nameServer, asksDirectly }: NetworkView,
  hostText: string,
): string {
  const { Dns, DnsSearch, DnsOptions } = hostConfig;
  if (hostConfig.NetworkMode === 'none' && Dns.length + DnsSearch.length + DnsOptions.length === 0) return hostText;
  const lines = hostText.split('\n');
  const kept = (keyword: string) => lines.filter((line) => line.split(/\s/)[0] === keyword);
  const search = DnsSearch.length > 0 ? searchLine(DnsSearch) : kept('search');
  if (nameServer === null || (asksDirectly && Dns.length > 0)) {
    return [
      ...(Dns.length > 0 ? Dns.map((address) => `nameserver ${address}`) : kept('nameserver')),
      ...search,
      ...(DnsOptions.length > 0 ? [`options ${DnsOptions.join(' ')}`] : kept('options')),
      '',
    ].join('\n');
  }
  const options = DnsOptions.length > 0 ? DnsOptions : kept('options').flatMap((line) => line.split(/\s+/).slice(1));
  const withDots = options.some((option) => option.startsWith('ndots:')) ? options : [...options, 'ndots:0'];
  return [
    `nameserver ${nameServer}`,
    ...search,
    `options ${withDots.join(' ')}`,
    // As Docker writes it: the container's own servers are behind the engine's.
    ...(Dns.length > 0 ? [`# ExtServers: [${Dns.join(' ')}]`] : []),
    '',
  ].join('\n');
}

/** `.` alone takes the host's search list away. */
function searchLine(domains: readonly string[]): readonly string[] {
  return domains.length === 1 && domains[0] === '.' ? [] : [`search ${domains.join(' ')}`];
}

/** The text of a file of the host; a missing one is empty. */
export function readHostFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
