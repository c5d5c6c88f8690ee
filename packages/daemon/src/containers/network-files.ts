/** The files that a container sees as /etc/hosts, /etc/hostname and /etc/resolv.conf: made anew at each start. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerRecord } from './container.ts';

export interface NetworkFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

const LOOPBACK_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

/**
 * The texts of the three files, from the host's own read with `readHost`. With the host's network the container sees the host's names, as in Docker.
 *
 * @throws TsdError `bad_parameter` for an extra host that is not `name:address`
 */
export function networkFiles(record: ContainerRecord, readHost: (path: string) => string): NetworkFiles {
  const { config, hostConfig } = record;
  const extra = (hostConfig.ExtraHosts ?? []).map(parseExtraHost);
  const base = hostConfig.NetworkMode === 'host' ? readHost('/etc/hosts').trimEnd().split('\n') : LOOPBACK_HOSTS;
  const hosts = [...base, ...extra.map(({ address, name }) => `${address}\t${name}`)];
  return {
    hosts: `${hosts.join('\n')}\n`,
    hostname: `${config.Hostname}\n`,
    resolvConf: resolvConf(record, readHost('/etc/resolv.conf')),
  };
}

/**
 * `name:address` or `name=address`; IPv6 addresses may be in brackets.
 *
 * @throws TsdError `bad_parameter`
 */
export function parseExtraHost(text: string): { name: string; address: string } {
  const match = /^([^:=\s]+)[:=](\S+)$/.exec(text);
  const name = match?.[1];
  const address = match?.[2]?.replace(/^\[(.*)\]$/, '$1');
  if (name === undefined || address === undefined)
    throw new TsdError('bad_parameter', `bad format for add-host: "${text}"`);
  // The gateway's name needs a bridge network; the host's own loopback address is what a container in the host's network
  // would want.
  const resolved = address === 'host-gateway' ? '127.0.0.1' : address;
  if (isIP(resolved) === 0) throw new TsdError('bad_parameter', `invalid IP address in add-host: "${address}"`);
  return { name, address: resolved };
}

function resolvConf({ hostConfig }: ContainerRecord, hostText: string): string {
  const { Dns, DnsSearch, DnsOptions } = hostConfig;
  if (hostConfig.NetworkMode === 'none' && Dns.length + DnsSearch.length + DnsOptions.length === 0) return hostText;
  const lines = hostText.split('\n');
  const kept = (keyword: string) => lines.filter((line) => line.split(/\s/)[0] === keyword);
  return [
    ...(Dns.length > 0 ? Dns.map((address) => `nameserver ${address}`) : kept('nameserver')),
    ...(DnsSearch.length > 0 ? searchLine(DnsSearch) : kept('search')),
    ...(DnsOptions.length > 0 ? [`options ${DnsOptions.join(' ')}`] : kept('options')),
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
