/** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, read as Go's net/http and so as Docker does (golang.org/x/net/http/httpproxy). */
import { BlockList, isIP } from 'node:net';
import { TsdError } from '@tsd/shared/errors';
import { hostName } from './registry-hosts.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for a URL, null where the connection is direct. */
export type ProxyRules = (url: URL) => URL | null;

/**
 * Lower-case variables win over upper-case ones. Loopback is never proxied.
 *
 * @throws TsdError `bad_parameter` for a proxy that is no http, https or socks5 URL
 */
export function proxyRules(env: Environment): ProxyRules {
  const read = (name: string): string => env[name.toLowerCase()] || env[name] || '';
  const proxies = {
    'http:': parseProxy('HTTP_PROXY', read('HTTP_PROXY')),
    'https:': parseProxy('HTTPS_PROXY', read('HTTPS_PROXY')),
  };
  const isExempt = exemptions(read('NO_PROXY'));
  return (url) => {
    const proxy = url.protocol === 'http:' || url.protocol === 'https:' ? proxies[url.protocol] : null;
    return proxy === null || isExempt(url) ? null : proxy;
  };
}

function parseProxy(variable: string, text: string): URL | null {
  if (text === '') return null;
  // `proxy:3128` is short for http.
  const url = URL.parse(/^[a-z0-9]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url !== null && ['http:', 'https:', 'socks5:'].includes(url.protocol) && url.hostname !== '') return url;
  // Not the text itself: it may hold a password.
  throw new TsdError(
    'bad_parameter',
    `${variable}: invalid proxy address (expected http://HOST:PORT, https:// or socks5://)`,
  );
}

function exemptions(text: string): (url: URL) => boolean {
  const networks = new BlockList();
  networks.addSubnet('127.0.0.0', 8, 'ipv4');
  networks.addAddress('::1', 'ipv6');
  const names: ((host: string, port: string) => boolean)[] = [(host) => host === 'localhost'];
  for (const entry of text
    .toLowerCase()
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (entry === '*') names.push(() => true);
    else if (bits !== undefined && isIP(address) !== 0) {
      if (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 'ipv4' ? 32 : 128))
        networks.addSubnet(address, Number(bits), family);
    } else if (isIP(entry) !== 0) networks.addAddress(entry, family);
    else names.push(nameRule(entry));
  }
  return (url) => {
    const host = hostName(url.hostname).toLowerCase();
    const family = isIP(host);
    if (family !== 0 && networks.check(host, family === 4 ? 'ipv4' : 'ipv6')) return true;
    const port = url.port || (url.protocol === 'https:' ? '443' : '80');
    return names.some((matches) => matches(host, port));
  };
}

/** `example.com` and its subdomains; `.example.com` and `*.example.com` the subdomains alone; each with an optional port. */
function nameRule(entry: string): (host: string, port: string) => boolean {
  const wantedPort = /:(\d+)$/.exec(entry)?.[1];
  const name = hostName(entry).replace(/^\*\./, '.');
  const suffix = name.startsWith('.') ? name : `.${name}`;
  return (host, port) => (wantedPort === undefined || wantedPort === port) && (host === name || host.endsWith(suffix));
}
