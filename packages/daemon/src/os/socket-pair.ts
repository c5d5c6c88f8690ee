/** socketpair(2): two connected stream sockets. */
import { checked, libc } from './libc.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;

const socketpair = libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *descriptors)');

/** Two connected Unix stream sockets, close-on-exec and blocking. The caller closes both. Throws SystemCallError. */
export function createSocketPair(): readonly [number, number] {
  const descriptors: [number, number] = [-1, -1];
  checked('socketpair', socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, descriptors));
  return descriptors;
}
