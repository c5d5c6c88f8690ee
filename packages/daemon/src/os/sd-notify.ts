/** sd_notify(3): tells systemd the daemon's state over the datagram socket that $NOTIFY_SOCKET names. */
import { closeSync } from 'node:fs';
import { checked, libc } from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** sizeof sun_path, unix(7). */
const MAX_PATH_BYTES = 108;

const socket = libc.func('int socket(int domain, int type, int protocol)');
const sendto = libc.func(
  'long sendto(int descriptor, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)',
);

/**
 * Sends assignments such as `READY=1` or `STOPPING=1`. Does nothing and returns false where `notifySocket` is not set:
 * the daemon was not started by systemd. Throws SystemCallError where the socket cannot be reached.
 */
export function sdNotify(assignments: readonly string[], notifySocket = process.env['NOTIFY_SOCKET']): boolean {
  if (notifySocket === undefined || notifySocket === '') return false;
  const address = encodeAddress(notifySocket);
  const data = Buffer.from(assignments.join('\n'));
  const descriptor = checked('socket', socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    checked(
      'sendto',
      Number(sendto(descriptor, data, data.length, MSG_NOSIGNAL, address, address.length)),
      notifySocket,
    );
  } finally {
    closeSync(descriptor);
  }
  return true;
}

/** struct sockaddr_un: the family in host order and the path; `@name` is in the abstract namespace. */
function encodeAddress(path: string): Buffer {
  if (!/^[/@]/.test(path)) throw new RangeError(`NOTIFY_SOCKET: unsupported address ${path}`);
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > MAX_PATH_BYTES) throw new RangeError(`NOTIFY_SOCKET: ${path} is too long`);
  const address = Buffer.alloc(2 + name.length);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return address;
}
