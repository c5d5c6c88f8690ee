/** poll(2) on one socket: the one thing about a peer that Node does not tell. */
import koffi from 'koffi';
import { errnoName, libc, SystemCallError } from './libc.ts';

koffi.struct('tsd_pollfd', { fd: 'int', events: 'short', revents: 'short' });
const poll = libc.func('int poll(_Inout_ tsd_pollfd *descriptors, unsigned long count, int timeoutMs)');

const POLLERR = 0x08;
const POLLHUP = 0x10;
const POLLNVAL = 0x20;

/**
 * Whether the peer of a stream socket has closed both directions (POLLHUP). A peer that has only ended its output
 * (shutdown(2) with SHUT_WR) is not gone. Throws SystemCallError.
 */
export function isPeerGone(descriptor: number): boolean {
  const entry = { fd: descriptor, events: 0, revents: 0 };
  while (poll(entry, 1, 0) < 0) {
    const errno = koffi.errno();
    // A signal that is pending (SIGCHLD, a profiler's) interrupts even a poll that does not wait.
    if (errnoName(errno) !== 'EINTR') throw new SystemCallError('poll', errno);
  }
  return (entry.revents & (POLLERR | POLLHUP | POLLNVAL)) !== 0;
}
