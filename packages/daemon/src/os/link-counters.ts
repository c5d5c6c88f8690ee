/** What the interfaces of a process' network namespace have carried: /proc/PID/net/dev, proc_pid_net(5). */
import { readFileSync, readlinkSync } from 'node:fs';

/** Since the interface was made. Received is what came in at this end of a pair. */
export interface LinkCounters {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receiveErrors: number;
  readonly receiveDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sendErrors: number;
  readonly sendDropped: number;
}

/**
 * The counters by interface, without `lo`; null where the process is gone. A read of one file: unlike netlink, and unlike going
 * into the namespace, it waits for nobody.
 */
export function readLinkCounters(pid: number): ReadonlyMap<string, LinkCounters> | null {
  try {
    return parseLinkCounters(readFileSync(`/proc/${pid}/net/dev`, 'utf8'));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** EINVAL: a zombie, which has no network any more. */
function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'EINVAL'].includes(String(error.code));
}

/** Two lines of heads, then a name and sixteen numbers a line. */
export function parseLinkCounters(text: string): ReadonlyMap<string, LinkCounters> {
  const counters = new Map<string, LinkCounters>();
  for (const line of text.trimEnd().split('\n').slice(2)) {
    const colon = line.lastIndexOf(':');
    const name = line.slice(0, colon).trim();
    const numbers = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    const at = (column: number): number => numbers[column] ?? 0;
    if (name === 'lo') continue;
    counters.set(name, {
      receivedBytes: at(0),
      receivedPackets: at(1),
      receiveErrors: at(2),
      receiveDropped: at(3),
      sentBytes: at(8),
      sentPackets: at(9),
      sendErrors: at(10),
      sendDropped: at(11),
    });
  }
  return counters;
}

/** Whether the process is in the daemon's own network namespace, whose counters are not the container's; false where it is gone. */
export function sharesNetwork(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net');
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}
