/** Work inside another process' network namespace, setns(2). */
import { closeSync, openSync, readlinkSync } from 'node:fs';
import { checked, libc } from './libc.ts';

const CLONE_NEWNET = 0x4000_0000;

const setns = libc.func('int setns(int descriptor, int kind)') as (descriptor: number, kind: number) => number;

/** The network namespace that the process `pid` is in; the caller closes it with closeSync. @throws ENOENT: it is gone. */
export function openNetworkNamespace(pid: number | 'self'): number {
  return openSync(`/proc/${pid}/ns/net`, 'r');
}

/** A text that is the same for processes in the same network namespace; null where the process is gone. */
export function networkNamespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return null;
  }
}

/**
 * Does `work`, which must not be asynchronous, with the main thread in the namespace of the descriptor. Sockets that it opens stay
 * there. The other threads are where they were all the time.
 * @throws SystemCallError where the namespace cannot be entered, and whatever `work` throws.
 */
export function inNetworkNamespace<T>(namespace: number, work: () => T): T {
  const own = openSync('/proc/thread-self/ns/net', 'r');
  try {
    checked('setns', setns(namespace, CLONE_NEWNET), 'network namespace');
    try {
      return work();
    } finally {
      // A daemon that went on in a container's network would answer and configure the wrong one.
      if (setns(own, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(own);
  }
}
