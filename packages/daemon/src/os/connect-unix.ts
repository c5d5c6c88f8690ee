/** Connects to a Unix socket whose path may be longer than an address holds, unix(7). */
import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { checked, libc } from './libc.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const ADDRESS_PATH_BYTES = 108;

const socketCall = libc.func('int socket(int domain, int type, int protocol)');
const connectCall = libc.func('int connect(int socket, void *address, uint32_t length)');

function connectTo(path: string, shownPath: string): number {
  const address = Buffer.alloc(2 + ADDRESS_PATH_BYTES);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  const socket = checked('socket', socketCall(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    checked('connect', connectCall(socket, address, address.length), shownPath);
  } catch (error) {
    closeSync(socket);
    throw error;
  }
  return socket;
}

/** A connected stream socket, close-on-exec. The caller closes it. @throws SystemCallError (ENOENT, ECONNREFUSED). */
export function connectUnix(path: string): number {
  if (Buffer.byteLength(path) < ADDRESS_PATH_BYTES) return connectTo(path, path);
  const directory = openSync(dirname(path), O_PATH | constants.O_DIRECTORY);
  try {
    return connectTo(`/proc/self/fd/${directory}/${basename(path)}`, path);
  } finally {
    closeSync(directory);
  }
}
