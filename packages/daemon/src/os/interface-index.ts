/** The numbers of interfaces, if_nametoindex(3). */
import koffi from 'koffi';
import { libc, SystemCallError } from './libc.ts';

const ENODEV = 19;
const ENXIO = 6;

const nameToIndex = libc.func('unsigned int if_nametoindex(const char *name)') as (name: string) => number;

/**
 * The number of an interface in the network namespace of the thread; null where it is missing. An ioctl of a few microseconds,
 * which does not wait for the kernel's lock on interfaces, as netlink does. /sys would do too, but for where it is mounted:
 * after `nsenter --net` it still shows the interfaces of another namespace.
 * @throws SystemCallError where there are no sockets left
 */
export function interfaceIndex(name: string): number | null {
  const index = nameToIndex(name);
  if (index !== 0) return index;
  const errno = koffi.errno();
  if (errno === ENODEV || errno === ENXIO) return null;
  throw new SystemCallError('if_nametoindex', errno, name);
}
