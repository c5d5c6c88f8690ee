/** Where a registry is reached: its hosts and mirrors, and which of them may speak HTTP. */
import { BlockList, isIP } from 'node:net';
import { TsdError } from '@tsd/shared/errors';

/** docker.io is a name only; images come from this host. */
const DOCKER_HUB_HOST = 'registry-1.docker.io';
export const DOCKER_HUB_DOMAIN = 'docker.io';

/** Who may speak plain HTTP, or HTTPS with a certificate that nobody vouches for. */
export interface InsecureHosts {
  /** Whether `host[:port]` is among them as it is written. */
  includes(hostAndPort: string): boolean;
  /** Whether an address is, in one of the networks. */
  hasAddress(address: string): boolean;
}

/** The `host[:port]` that serves a reference's domain. */
export function registryHost(domain: string): string {
  return domain === DOCKER_HUB_DOMAIN ? DOCKER_HUB_HOST : domain;
}

/**
 * The domain that `docker login ADDRESS` means: an address may be a host, a URL (its path is ignored, as by Docker), or
 * the hub's.
 *
 * @throws TsdError `bad_parameter`
 */
export function domainOfServerAddress(address: string): string {
  const text = address.trim();
  const host = text.replace(/^https?:\/\//i, '').replace(/\/.*$/s, '');
  if (text === '' || ['docker.io', 'index.docker.io', DOCKER_HUB_HOST].includes(host.toLowerCase())) {
    return DOCKER_HUB_DOMAIN;
  }
  if (!isHost(host)) {
    // Not the text itself: it may hold a password.
    throw new TsdError('bad_parameter', 'serveraddress: invalid registry address (expected HOST[:PORT])');
  }
  return host;
}

/**
 * `--registry-mirror`: an absolute URL, http or https, with an optional path.
 *
 * @throws TsdError `bad_parameter` with dockerd's texts
 */
export function parseMirror(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TsdError('bad_parameter', `invalid mirror: "${text}" is not a valid URI`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new TsdError(
      'bad_parameter',
      `invalid mirror: unsupported scheme "${url.protocol.slice(0, -1)}" in "${text}"`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new TsdError('bad_parameter', `invalid mirror: username/password not allowed in URI of ${url.host}`);
  }
  if (url.search !== '' || url.hash !== '') {
    throw new TsdError('bad_parameter', `invalid mirror: query or fragment at end of the URI "${text}"`);
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/**
 * `--insecure-registry`: `host[:port]`, each as images name it, and networks in CIDR notation. Loopback always belongs to them.
 *
 * @throws TsdError `bad_parameter` with dockerd's texts
 */
export function parseInsecureRegistries(entries: readonly string[]): InsecureHosts {
  const networks = new BlockList();
  networks.addSubnet('127.0.0.0', 8, 'ipv4');
  networks.addAddress('::1', 'ipv6');
  const hosts = new Set<string>();
  for (const entry of entries) {
    if (/^https?:\/\//i.test(entry)) {
      throw new TsdError('bad_parameter', `insecure registry ${entry} should not contain '://'`);
    }
    const [address = '', bits = '', ...rest] = entry.split('/');
    const family = isIP(address);
    if (
      bits !== '' &&
      rest.length === 0 &&
      family !== 0 &&
      /^\d{1,3}$/.test(bits) &&
      Number(bits) <= (family === 4 ? 32 : 128)
    ) {
      networks.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
    } else if (isHost(entry)) {
      hosts.add(entry.toLowerCase());
    } else {
      throw new TsdError('bad_parameter', `insecure registry ${entry} is not valid: invalid host "${entry}"`);
    }
  }
  const hasAddress = (address: string): boolean => contains(networks, address);
  return {
    includes(hostAndPort) {
      const name = hostAndPort.toLowerCase();
      const host = hostName(name);
      return hosts.has(name) || host === 'localhost' || hasAddress(host);
    },
    hasAddress,
  };
}

const ownAddresses = new BlockList();
for (const network of ['127.0.0.0', '0.0.0.0']) ownAddresses.addSubnet(network, 8, 'ipv4');
for (const address of ['::1', '::']) ownAddresses.addAddress(address, 'ipv6');

/**
 * Whether `host[:port]` is written as an address of this host itself: loopback, the unspecified address, which leads there too, and
 * the names that belong to it (RFC 6761, 6.3).
 */
export function isThisHost(hostAndPort: string): boolean {
  const name = hostName(hostAndPort).toLowerCase().replace(/\.$/, '');
  return name === 'localhost' || name.endsWith('.localhost') || contains(ownAddresses, name);
}

function contains(networks: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && networks.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** The host without its port and without the brackets of an IPv6 address. */
export function hostName(hostAndPort: string): string {
  // An IPv6 address without brackets has no port.
  if (isIP(hostAndPort) === 6) return hostAndPort;
  return hostAndPort.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

function isHost(text: string): boolean {
  return /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/.test(text);
}
