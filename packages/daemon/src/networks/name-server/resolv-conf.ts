/** The host's own name servers: /etc/resolv.conf, read anew when it changes (resolv.conf(5)). */
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';

export interface HostServers {
  /** Addresses, in the order in which they are asked; IPv6 ones may have a zone. */
  current(): readonly string[];
}

/** As many as the host's own resolver takes. */
const MAX_SERVERS = 3;
/** How old what is known of the file may be. The file is looked at when a query needs it, and not watched. */
const RECHECK_MS = 1000;

export function createHostServers(path: string, now: () => number): HostServers {
  let servers: readonly string[] = [];
  let seen = '';
  let checkedMs = Number.NEGATIVE_INFINITY;
  return {
    current() {
      if (now() - checkedMs < RECHECK_MS) return servers;
      checkedMs = now();
      // Follows symbolic links: with systemd-resolved the file is one, and its target is replaced.
      const status = statSync(path, { throwIfNoEntry: false, bigint: true });
      const sight = status === undefined ? 'absent' : `${status.dev} ${status.ino} ${status.size} ${status.mtimeNs}`;
      if (sight !== seen) servers = parseServers(status === undefined ? '' : readFileSync(path, 'utf8'));
      seen = sight;
      return servers;
    },
  };
}

/** The servers of the file; as for the host's own resolver, one on the host where the file names none. */
export function parseServers(text: string): readonly string[] {
  const servers = text.split('\n').flatMap((line) => {
    const [keyword, address] = line.trim().split(/\s+/);
    return keyword === 'nameserver' && address !== undefined && isIP(address) !== 0 ? [address] : [];
  });
  return servers.length > 0 ? [...new Set(servers)].slice(0, MAX_SERVERS) : ['127.0.0.1'];
}
