/** Sockets that hold a port of the host and do nothing else: bind(2) without listen(2). */
import { closeSync } from 'node:fs';
import { checked, libc, SystemCallError } from './libc.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_SCTP = 132;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const EADDRINUSE = 98;
const ADDRESS_BYTES = { 4: 16, 6: 28 } as const;

const socketCall = libc.func('int socket(int domain, int type, int protocol)');
const bindCall = libc.func('int bind(int socket, const void *address, uint32_t length)');
const setsockoptCall = libc.func('int setsockopt(int socket, int level, int name, const void *value, uint32_t length)');
const getsocknameCall = libc.func('int getsockname(int socket, _Out_ void *address, _Inout_ uint32_t *length)');

export interface HeldPort {
  readonly port: number;
  /** Closing it gives the port up. */
  readonly descriptor: number;
}

/**
 * Binds a socket to an address of the host that never answers anyone.
 *
 * @param addressBytes 4 or 16, in network order
 * @param port 0 for one that is free
 * @throws SystemCallError EADDRINUSE where another has it, EADDRNOTAVAIL where the host has no such address,
 *   EPROTONOSUPPORT where the kernel has no such protocol
 */
export function bindPort(protocol: 'tcp' | 'udp' | 'sctp', addressBytes: Uint8Array, port: number): HeldPort {
  const isIpv6 = addressBytes.length === 16;
  const type = protocol === 'udp' ? SOCK_DGRAM : SOCK_STREAM;
  const descriptor = checked(
    'socket',
    socketCall(isIpv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, protocol === 'sctp' ? IPPROTO_SCTP : 0),
  );
  try {
    if (isIpv6) setFlag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, true);
    const address = encodeAddress(addressBytes, port);
    try {
      checked('bind', bindCall(descriptor, address, address.length));
    } catch (error) {
      if (protocol !== 'tcp' || !(error instanceof SystemCallError && error.errno === EADDRINUSE)) throw error;
      // Connections of a server that has ended keep its port for a minute, but from those only who does not insist on
      // being alone. To stay alone from then on, the flag goes again.
      setFlag(descriptor, SOL_SOCKET, SO_REUSEADDR, true);
      checked('bind', bindCall(descriptor, address, address.length));
      setFlag(descriptor, SOL_SOCKET, SO_REUSEADDR, false);
    }
    return { port: port === 0 ? boundPort(descriptor, isIpv6) : port, descriptor };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** struct sockaddr_in or sockaddr_in6. */
function encodeAddress(addressBytes: Uint8Array, port: number): Buffer {
  const isIpv6 = addressBytes.length === 16;
  const address = Buffer.alloc(ADDRESS_BYTES[isIpv6 ? 6 : 4]);
  address.writeUInt16LE(isIpv6 ? AF_INET6 : AF_INET, 0);
  address.writeUInt16BE(port, 2);
  address.set(addressBytes, isIpv6 ? 8 : 4);
  return address;
}

function boundPort(descriptor: number, isIpv6: boolean): number {
  const address = Buffer.alloc(ADDRESS_BYTES[isIpv6 ? 6 : 4]);
  checked('getsockname', getsocknameCall(descriptor, address, [address.length]));
  return address.readUInt16BE(2);
}

function setFlag(descriptor: number, level: number, name: number, on: boolean): void {
  const value = Buffer.from([on ? 1 : 0, 0, 0, 0]);
  checked('setsockopt', setsockoptCall(descriptor, level, name, value, value.length));
}
