/** Which ports of a container are published, from `-p`, `-P` and `EXPOSE` (moby daemon/network.go, getPortMapInfo). */
import { isIP } from 'node:net';
import { TsdError } from '@tsd/shared/errors';
import { type PortBinding, parseExpose } from '@tsd/shared/port-spec';
import { canonicalAddress, parseAddress } from '../networks/ip-address.ts';
import type { AddressFamily } from '../networks/network.ts';
import type { RequestedPort } from '../networks/port-reservations.ts';
import type { ContainerConfig, HostConfig } from './container.ts';

export interface PublishedConfig {
  readonly config: Pick<ContainerConfig, 'ExposedPorts'>;
  readonly hostConfig: Pick<HostConfig, 'PortBindings' | 'PublishAllPorts'>;
}

/** The ports that the container says it has, published or not: keys such as `80/tcp`, in ascending order. */
export function exposedPorts({ config, hostConfig }: PublishedConfig): readonly string[] {
  const keys = [...Object.keys(config.ExposedPorts ?? {}), ...Object.keys(hostConfig.PortBindings)];
  return [...new Set(keys.flatMap(parseExpose))].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
}

/**
 * @param families those in which the container is reached from outside
 * @param defaultIps host addresses of ports that are published without one, of any families
 * @throws TsdError `bad_parameter` naming the port
 */
export function requestedPorts(
  container: PublishedConfig,
  families: readonly AddressFamily[],
  defaultIps: readonly string[],
): readonly RequestedPort[] {
  if (families.length === 0) return [];
  const { PublishAllPorts } = container.hostConfig;
  const bindings = bindingsByPort(container);
  const ofFamilies = (addresses: readonly string[]) =>
    addresses.filter((address) => families.some((family) => family === isIP(address)));
  return exposedPorts(container).flatMap((key) => {
    const { containerPort, protocol } = parsePortKey(key);
    const own = bindings.get(key) ?? [];
    const asked = own.length === 0 && PublishAllPorts ? [{ HostIp: '', HostPort: '' }] : own;
    return asked.flatMap(({ HostIp, HostPort }): RequestedPort[] => {
      const hostIps = ofFamilies(HostIp === '' ? defaultIps : [canonicalAddress(HostIp) ?? HostIp]);
      if (hostIps.length === 0 && HostIp !== '')
        throw new TsdError(
          'bad_parameter',
          `cannot publish port ${key} on ${HostIp}: the container has no IPv${isIP(HostIp)} address: join a network with --ipv6, or publish on another address`,
        );
      return hostIps.length === 0
        ? []
        : [{ containerPort, protocol, hostIps, hostPorts: parseHostPorts(key, HostPort) }];
    });
  });
}

/**
 * Refuses port bindings that cannot be, before a container is made of them.
 *
 * @throws TsdError `bad_parameter` with Docker's texts
 */
export function checkPorts(container: PublishedConfig): void {
  exposedPorts(container);
  for (const [key, bindings] of bindingsByPort(container)) {
    for (const { HostIp, HostPort } of bindings) {
      if (HostIp !== '' && parseAddress(HostIp) === null)
        throw new TsdError('bad_parameter', `invalid IP address: ${HostIp} (port ${key})`);
      parseHostPorts(key, HostPort);
    }
  }
}

/** `80` stands for `80/tcp`. */
function bindingsByPort({ hostConfig }: PublishedConfig): ReadonlyMap<string, readonly PortBinding[]> {
  return new Map(
    Object.entries(hostConfig.PortBindings).flatMap(([text, bindings]) =>
      parseExpose(text).map((key): [string, readonly PortBinding[]] => [key, bindings]),
    ),
  );
}

function parsePortKey(key: string): Pick<RequestedPort, 'containerPort' | 'protocol'> {
  const [port, protocol] = key.split('/');
  return { containerPort: Number(port), protocol: protocol as RequestedPort['protocol'] };
}

/** `8080`, `8000-8010`; empty and `0` for any. */
function parseHostPorts(key: string, text: string): RequestedPort['hostPorts'] {
  if (text === '' || text === '0') return null;
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? first);
  if (match === null || first < 1 || last > 65_535 || last < first)
    throw new TsdError('bad_parameter', `invalid port specification: "${text}" (port ${key})`);
  return { first, last };
}
